"""A journal: a line of JSON for each thing that was finished, so that work goes on after its process was killed at any moment."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_ne_denoise.core.io.failures import NOT_WRITTEN, failures_named
from napari_ne_denoise.core.io.names import nowhere_else

BEGINNING, ENDING = "napari-ne-denoise", ".jsonl"


class Journal:
    """A journal of this process in a folder where several processes may keep theirs.

    Parameters
    ----------
    folder
        Where; it is made with the first line.
    name
        Of what it is the journal.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{BEGINNING}.{name}.{nowhere_else()}{ENDING}"

    def add(self, *records: Mapping[str, Any]) -> None:
        """Write lines, which are on their way to the disk when this returns.

        Raises
        ------
        FileError
            If they cannot be written.
        """
        with failures_named(self.path, *NOT_WRITTEN), open(self.path, "a+b") as file:
            # after a line that was broken off, by a full disk for instance
            begins = file.tell() == 0 or _last_byte(file) == b"\n"
            lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
            file.write(lines if begins else b"\n" + lines)
            file.flush()
            os.fsync(file.fileno())


def journals_in(folder: Path, name: str) -> list[Path]:
    """All journals of a name, of whatever process."""
    return sorted(folder.glob(f"{BEGINNING}.{glob.escape(name)}.*{ENDING}"))


def read_journals(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The lines of journals, each in its order; lines that were broken off are left out."""
    for path in paths:
        try:
            lines = path.read_bytes().splitlines() if path.is_file() else []
        except FileNotFoundError:  # whoever it belonged to has finished
            continue
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))
