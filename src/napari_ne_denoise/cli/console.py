"""What the commands say and how they end: messages on stderr, results on stdout, exit codes."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_ne_denoise.core.errors import (
    DeviceError,
    DownloadError,
    FileError,
    ImageError,
    ModelError,
    NEDenoiseError,
    SettingsError,
    torch_failure,
)
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.words import percent

if TYPE_CHECKING:
    import numpy as np

    from napari_ne_denoise.core.run import DenoisingRun

FAILED, UNUSABLE, INTERRUPTED, TERMINATED = 1, 2, 130, 143

# what to do about an error, by what mends it
REMEDIES = {
    "existing": "say --overwrite to replace it, or --skip-existing to leave it as it is",
    "busy": "wait for it, or let jobs share the work (--shard)",
    "either": "leave --overwrite or --skip-existing out",
    "out": "give -o another name; a folder, for several images",
    "nonfinite": "repair them, or let denoise give them back as they are: --nonfinite keep",
    "region": "give others with --region, such as 0:32,0:32",
    "plane": "say which with --position, that of any pixel of it, such as 3,0,0",
    "last_axis": "say --channel-axis -1 for colours, or --axes (a letter an axis) for columns",
    "noise_level": "give --sigma, the standard deviation of the noise in image units, or choose a blind model",
    "failing_device": "try --device cpu",
    "failing_device_inside": "try --device cpu",
    "full_device": "close other programs that use it, or say --device cpu",
    "precision_of_filters": "close other programs, or say --precision float32",
    "names": "give --maps their names, with commas between, or all",
}

# what core calls as its options are called
_SETTINGS = {field.name for field in fields(DenoiseSettings)} | {"noise_model", "period", "direction", "probes", "peak"}
_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in _SETTINGS}

_LONGEST_BAR = 24  # characters
_PAUSE = 0.1  # seconds between two drawings
# what comes first is slow, since noise is found and the device warms up: until one of these, nobody knows the time left, and after so many
# steps the first does not count
_STEPS_TO_KNOW, _SHARE_TO_KNOW = 4, 0.2


def say(message: str) -> None:
    """Tell the user something, on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_json(record: object) -> None:
    """Print one line of JSON on stdout; numbers that are none, as a width that a filter has not, are null."""
    print(json.dumps(_strict(record), allow_nan=False), flush=True)


def _strict(value: object) -> object:
    """As JSON has it, which knows neither NaN nor infinity: strict readers refuse the whole line."""
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows whose columns are aligned; the last one is as wide as it likes."""
    for line in table_lines(rows):
        print(line)


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def parsed_region(text: str | None) -> tuple[slice, slice] | None:
    """Rows and columns of ``--region``; None where it was not given."""
    if text is None:
        return None
    try:
        rows, columns = (slice(*map(int, part.split(":"))) for part in text.split(","))
    except (TypeError, ValueError):
        raise SettingsError(f"--region {text}: must be rows and columns, such as 0:256,100:356.") from None
    return rows, columns


def exit_code(error: NEDenoiseError) -> int:
    """2 if the request cannot be fulfilled on this machine as it is, 1 if it was tried and failed."""
    unusable = isinstance(error, SettingsError | ModelError | DeviceError) and not isinstance(error, DownloadError)
    return UNUSABLE if unusable else FAILED


def said_in_options(error: NEDenoiseError) -> str:
    """What an error says, with options in place of settings, and what to do about it."""
    return error.with_remedy(REMEDIES, _OPTIONS)


def with_files(said: str, **files: Path | str | None) -> str:
    """A message with names of files in place of what core calls by its part, such as "image"."""
    part, colon, rest = said.partition(": ")
    return f"{files[part]}: {rest}" if colon and files.get(part) is not None else said


@contextmanager
def errors_end_the_program(image: Path | None = None, **others: Path | None) -> Iterator[None]:
    """Our errors become a line on stderr and an exit code; so does Ctrl-C.

    What is wrong with the pixels of an image is told with the name of its file, which core does not know; so it is of others, by what
    core calls them.
    """
    try:
        yield
    except NEDenoiseError as error:
        said = with_files(said_in_options(error), image=image, **others)
        named = said.startswith(tuple(str(file) for file in (image, *others.values()) if file is not None))
        say(f"error: {image}: {said}" if image is not None and isinstance(error, ImageError) and not named else f"error: {said}")
        raise typer.Exit(exit_code(error)) from None
    except MemoryError:
        say("error: memory ran out; close other programs, or take a part of the image")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        say("interrupted; nothing is half-written, and the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    except (ImportError, OSError) as error:
        if torch_fails := torch_failure(error):
            say(f"error: {torch_fails}")
            raise typer.Exit(FAILED) from None
        raise


class ProgressLine:
    """One line on stderr that says how far the work is, how fast, and how long it will take; nothing where no one is watching.

    Parameters
    ----------
    label
        What is being done.
    unit, unit_size
        What is counted, such as "MPix", and how many make one.
    quiet
        Say nothing.
    """

    def __init__(self, label: str, unit: str = "MPix", unit_size: float = 1e6, *, quiet: bool = False) -> None:
        self.label, self.unit, self.unit_size = label, unit, unit_size
        self._shown = sys.stderr.isatty() and not quiet
        self._started, self._drawn = time.monotonic(), 0.0
        self._steps, self._first = 0, (0.0, 0.0)  # when the first was done, and how much that was

    def show(self, done: float, total: float) -> None:
        """So much is done of so much."""
        now = time.monotonic()
        if done > 0:
            self._steps += 1
            self._first = (now, done) if self._steps == 1 else self._first
        if self._shown and (now - self._drawn >= _PAUSE or done >= total):
            self._drawn = now
            self._draw(self._text(done, total, self._pace(done, now)))

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown and self._drawn:
            self._draw("")
            print(end="\r", file=sys.stderr, flush=True)

    def _pace(self, done: float, now: float) -> float:
        """How much is done in a second."""
        began, before = self._first if self._steps >= _STEPS_TO_KNOW else (self._started, 0.0)
        return (done - before) / max(now - began, 1e-3)

    def _text(self, done: float, total: float, pace: float) -> str:
        share, speed = min(done / total, 1.0) if total else 0.0, pace / self.unit_size
        known = pace > 0 and (share >= _SHARE_TO_KNOW or self._steps >= _STEPS_TO_KNOW)
        left = f"{duration(max(total - done, 0) / pace)} left" if known else ""
        amount = f"{done / self.unit_size:.3g}/{total / self.unit_size:.3g} {self.unit}"
        said = f" {percent(share):>5}  {amount}  {speed:.2g} {self.unit}/s  {left}"
        room = min(_LONGEST_BAR, _width() - len(self.label) - len(said) - 3)
        filled = round(room * share)
        bar = f" [{'#' * filled}{'-' * (room - filled)}]" if room > 0 else ""
        return self.label + bar + said

    def _draw(self, text: str) -> None:
        print("\r" + text[: _width()].ljust(_width()), end="", file=sys.stderr, flush=True)


def _width() -> int:
    return shutil.get_terminal_size().columns - 1  # in the last column, some terminals begin a new line


def collect(run: DenoisingRun, line: ProgressLine) -> np.ndarray:
    """Run a denoising to its end, and show how far it is."""
    import numpy as np

    result = np.empty(run.shape, run.dtype)
    try:
        for step in run.steps(first_side=None):
            result[step.index] = step.values
            line.show(step.done, step.total)
    finally:
        line.clear()
    return result


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def make_folder(folder: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made ({error}); give -o another folder.") from error


@contextmanager
def folders_for_results(folders: Iterable[Path], *, shared: bool = False) -> Iterator[None]:
    """Make folders, and remove those again that were not there and in which nothing was written.

    Parameters
    ----------
    folders
        For results.
    shared
        Whether other processes may be about to write there too: then they stay.

    Raises
    ------
    FileError
        If one cannot be made.
    """
    wanted = list(folders)
    # each, and those above it that do not exist either: the deepest one first
    new = sorted({each for folder in wanted for each in (folder, *folder.parents) if not each.exists()}, reverse=True)
    try:
        for folder in wanted:
            make_folder(folder)
        yield
    finally:
        for folder in [] if shared else new:
            with suppress(OSError):  # something is in it
                folder.rmdir()
