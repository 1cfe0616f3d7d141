"""Which file becomes which: decided, and refused, before any work is done."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.resume import Earlier
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io import WRITABLE, check_target, home, is_zarr, label, stem
from napari_ne_denoise.core.io.targets import is_folder_of_zarr

SHARE_FORM = "I/N, such as 2/8 for the second of eight jobs"
DENOISED = "_denoised"  # behind the name of the image
ENDING, ZARR_ENDING = f"{DENOISED}.ome.tif", f"{DENOISED}.ome.zarr"


Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Job:
    """One image to denoise.

    Attributes
    ----------
    source, target
        File to read, and file to write.
    overwrite
        Whether the target may be replaced.
    skipped
        Whether the target is there already and shall stay.
    kept
        Whether the target is what an earlier run finished that was broken off; it stays, whatever else.
    lacks_std
        Whether the target is the result of an earlier run that was broken off before its error bars were there.
    """

    source: Path
    target: Path
    overwrite: bool = False
    skipped: bool = False
    kept: bool = False
    lacks_std: bool = False


@dataclass(frozen=True)
class Share:
    """One of several jobs that share some work.

    Attributes
    ----------
    number, count
        Which, from 1, and of how many.

    Raises
    ------
    SettingsError
        If there is no such share.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise SettingsError(f"shard {self}: must be {SHARE_FORM}; they count from 1.")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Share:
        """From the text "2/8".

        Raises
        ------
        SettingsError
            If it is none.
        """
        numbers = text.split("/")
        if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise SettingsError(f"shard {text}: must be {SHARE_FORM}.")
        return cls(int(numbers[0]), int(numbers[1]))

    def of(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """Every so-many-th, so that shares are even."""
        return things[self.number - 1 :: self.count]


def plan_jobs(
    inputs: Sequence[Path],
    out: Path | None,
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
    share: Share | None = None,
    with_std: bool = False,
) -> list[Job]:
    """Give each input its output.

    Parameters
    ----------
    inputs
        Files to read.
    out
        A file, for a single input, if it ends like an image; otherwise a folder, which is made if it is not there.  None: each result lies
        beside its input, or beside the OME-Zarr that its input is in.
    overwrite, skip_existing
        What to do with outputs that exist; neither: refuse, but for those that an earlier run finished that was broken off (`resume`).
    share
        Which of the jobs are wanted, in the order of their names, however they were given.  None: all.
    with_std
        Whether error bars are to be written too.

    Raises
    ------
    SettingsError
        If an output exists, is an input, or would be written twice.
    FileError
        If an output cannot be written.
    """
    if overwrite and skip_existing:
        raise SettingsError("To replace outputs that exist and to leave them exclude each other.", mend="either")
    targets = plan_targets(inputs, out)
    _refuse_repeated(targets)
    _refuse_inputs(inputs, [*targets, *(map(std_target, targets) if with_std else ())])
    pairs = list(zip(inputs, targets, strict=True))
    if share is not None:
        pairs = list(share.of(sorted(pairs, key=lambda pair: (pair[0].name, str(pair[0])))))
    targets = [target for _, target in pairs]
    earlier = Earlier(targets)
    half_done = {target for target in targets if earlier.is_half_done(target)}
    existing = [target for target in targets if os.path.exists(target) and target not in half_done and earlier.way_of(target) is None]
    if existing and not overwrite and not skip_existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise SettingsError(f"{existing[0]}{more}: exists already.", mend="existing")
    jobs = []
    for source, target in pairs:
        kept = earlier.way_of(target) is not None
        skipped = kept or (skip_existing and os.path.exists(target) and target not in half_done)
        jobs.append(Job(source, target, overwrite or target in half_done, skipped, kept, target in half_done))
    return jobs


def plan_targets(inputs: Sequence[Path], out: Path | None) -> list[Path]:
    """Which file each input becomes; those that would have the same name get their folder or their ending into it.

    Parameters
    ----------
    inputs, out
        As in `plan_jobs`.

    Raises
    ------
    SettingsError
        If `out` is a file, and a folder is needed.
    FileError
        If `out` cannot be written.
    """
    if out is None:
        return _distinct(inputs, [home(source).parent / result_name(source) for source in inputs])
    # an OME-Zarr is a folder, but one image
    # of os.path, which say no of names that are too long: that is said of each result, and stops no other
    looks_like_file = bool(out.suffix) and (is_zarr(out) or not os.path.isdir(out))
    if len(inputs) == 1 and looks_like_file:
        check_target(out, "uint8", "YX")  # the pixels are checked once they are known
        return [out]
    if os.path.isfile(out) or (looks_like_file and out.name.lower().endswith(WRITABLE)):
        what = "is" if os.path.isfile(out) else "is the name of"
        raise SettingsError(f"{out}: {what} a file, and a folder is needed for {len(inputs)} input(s).", mend="out")
    return _distinct(inputs, [out / result_name(source) for source in inputs])


def result_name(source: Path, called: str | None = None) -> str:
    """What the result of a file is called; `called` is what stands for the file, if not its own name."""
    return f"{label(source) if called is None else called}{ZARR_ENDING if os.path.isdir(source) else ENDING}"


def _distinct(inputs: Sequence[Path], targets: list[Path]) -> list[Path]:
    """The same targets, but those that several inputs share made different."""
    sharing: dict[str, list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        sharing[_on_any_disk(target)].append(number)
    distinct = list(targets)
    for numbers in sharing.values():
        if len(numbers) > 1:
            labels = _labels([inputs[number] for number in numbers])
            for number, called in zip(numbers, labels, strict=True):
                distinct[number] = targets[number].with_name(result_name(inputs[number], called))
    return distinct


def _on_any_disk(name: Path | str) -> str:
    """What names have in common that some disks take for one: those of Windows and macOS ignore case, and how accents are written."""
    return unicodedata.normalize("NFC", str(name)).casefold()


def _labels(sources: list[Path]) -> list[str]:
    """Short names that tell files of one stem apart: by their endings, or by as many of their folders as it takes."""
    deepest = max(len(home(source).parent.parts) for source in sources)
    for depth in range(deepest + 1):
        for with_ending in (False, True):
            labels = [_label(source, depth, with_ending) for source in sources]
            if len({_on_any_disk(label) for label in labels}) == len(labels):
                return labels
    return [label(source) for source in sources]  # one file, given twice


def _label(source: Path, depth: int, with_ending: bool) -> str:
    whole = home(source)
    folders = [part for part in whole.parent.parts if part != whole.anchor]
    ending = whole.name[len(stem(whole)) :].lstrip(".").replace(".", "_")
    return "_".join([*folders[max(0, len(folders) - depth) :], label(source), *([ending] if with_ending and ending else [])])


def _refuse_repeated(targets: list[Path]) -> None:
    sharing: dict[str, list[Path]] = defaultdict(list)
    for target in targets:
        sharing[_on_any_disk(target)].append(target)
    for same in sharing.values():
        if len(set(same)) > 1:
            raise SettingsError(f"{same[0]} and {same[1]}: are one file where a disk ignores case; rename one of their inputs.")
        if len(same) > 1:
            raise SettingsError(f"{same[0]}: {len(same)} inputs would be written there; give each once.")


def _refuse_inputs(inputs: Sequence[Path], targets: list[Path]) -> None:
    """Nothing is written in place of an input, around one or into one, whatever ways lead there, and however they are written."""
    identity = cache(_identity)
    sources = {identity(_real(source)) for source in inputs}
    around = {identity(folder) for source in inputs for folder in _real(source).parents}
    images = {identity(_real(source)) for source in inputs if os.path.isdir(source) and is_folder_of_zarr(source)}
    for target, real in zip(targets, map(_real, targets), strict=True):
        if identity(real) in sources:
            raise SettingsError(f"{target}: is an input, and inputs are never overwritten.", mend="out")
        if identity(real) in around:
            raise SettingsError(f"{target}: holds an input, and inputs are never overwritten.", mend="out")
        if any(identity(folder) in images for folder in real.parents):
            raise SettingsError(f"{target}: lies in an input, and inputs are never changed.", mend="out")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # of links that lead round in a circle, too


def _identity(path: Path) -> tuple[int, int] | Path:
    """What a file or folder is, whatever it is called; the path itself where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return path
    return (found.st_dev, found.st_ino) if found.st_ino else path
