"""What a result was made from and how: so much that work which was broken off goes on only with the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.provenance import KEY, package_version
from napari_ne_denoise.core.settings import PROFILE_SUFFIX, DenoiseSettings

if TYPE_CHECKING:
    from napari_ne_denoise.core.inference import Denoiser

# files of an OME-Zarr that are looked at: a terabyte has hundreds of thousands
MOST_FILES = 10_000
_WORDS = {"version": f"version of {KEY}", "torch": "version of torch"}


def file_identity(path: Path) -> dict[str, Any] | None:
    """Name, bytes and time of change of a file; of a folder, of its first ten thousand files.  None: there is none."""
    try:
        files = list(_files(path)) if path.is_dir() else [path]
        seen = [file.stat() for file in files]
    except OSError:  # nor is there one whose name is too long, or a link that leads to itself
        return None
    newest = max((file.st_mtime_ns for file in seen), default=0)
    return {"name": path.name, "files": len(seen), "size": sum(file.st_size for file in seen), "mtime_ns": newest}


def _files(folder: Path) -> Iterator[Path]:
    """At most so many files, in an order that does not change."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in names if not _is_of_viewing(name)):
            yield Path(place) / name
            count += 1
            if count >= MOST_FILES:
                return


def _is_of_viewing(name: str) -> bool:
    """Whether a file is left by whoever looks into a folder, on macOS or Windows, and is none of its image."""
    return name.startswith("._") or name.casefold() in (".ds_store", "thumbs.db", "desktop.ini")


def way_of(source: Path, settings: DenoiseSettings, denoiser: Denoiser, series: int, *, with_std: bool = False) -> dict[str, Any]:
    """All that a result depends on, as plain values that JSON can hold.

    Parameters
    ----------
    source
        What is denoised.
    settings, denoiser, series
        How; the model of the settings does not count.
    with_std
        Whether there are to be error bars too.
    """
    chosen = replace(settings, model=denoiser).as_record()
    del chosen["model"]  # its path may be written in several ways
    noise = settings.noise
    if isinstance(noise, str | os.PathLike) and str(os.fspath(noise)).lower().endswith(PROFILE_SUFFIX):
        chosen["noise"] = file_identity(Path(noise))
    way = {
        "version": package_version(KEY),
        "torch": package_version("torch"),
        "input": file_identity(source),
        "series": series,
        "model": denoiser.name if denoiser.sha256 is None else f"{denoiser.name} ({denoiser.sha256[:16]})",
        "error bars": with_std,
        **chosen,
    }
    plain: dict[str, Any] = json.loads(json.dumps(way))  # as it comes back from a file
    return plain


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two ways, in words; empty if nothing does."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(_difference(name, before.get(name), now.get(name)) for name in names)


def _difference(name: str, before: Any, now: Any) -> str:
    if name == "input":
        return f"the image has changed ({_file_in_words(before)}, now {_file_in_words(now)})"
    return f"{_WORDS.get(name, name)} was {before}, now {now}"


def _file_in_words(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "none"
    changed = datetime.fromtimestamp(found["mtime_ns"] / 1e9).isoformat(" ", "seconds")
    return f"{found['name']}, {found['size']:,} bytes of {changed}"
