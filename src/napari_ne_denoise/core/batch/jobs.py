"""Which file becomes which: decided, and refused, before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io import WRITABLE, check_target, is_zarr, stem

ENDING, ZARR_ENDING = "_denoised.ome.tif", "_denoised.ome.zarr"


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
    """

    source: Path
    target: Path
    overwrite: bool = False
    skipped: bool = False


def plan_jobs(inputs: Sequence[Path], out: Path | None, *, overwrite: bool = False, skip_existing: bool = False) -> list[Job]:
    """Give each input its output.

    Parameters
    ----------
    inputs
        Files to read.
    out
        A file, for a single input, if it ends like an image; otherwise a folder, which is made if it is not there.  None: each result lies
        beside its input.
    overwrite, skip_existing
        What to do with outputs that exist; neither: refuse.

    Raises
    ------
    SettingsError
        If an output exists, is an input, or would be written twice.
    FileError
        If an output cannot be written.
    """
    if overwrite and skip_existing:
        raise SettingsError("--overwrite and --skip-existing exclude each other; leave one out.")
    targets = _targets(inputs, out)
    _refuse_repeated(targets)
    _refuse_inputs(inputs, targets)
    existing = [target for target in targets if target.exists()]
    if existing and not overwrite and not skip_existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise SettingsError(f"{existing[0]}{more}: exists already; say --overwrite to replace it, or --skip-existing to leave it as it is.")
    return [Job(source, target, overwrite, skip_existing and target.exists()) for source, target in zip(inputs, targets, strict=True)]


def _targets(inputs: Sequence[Path], out: Path | None) -> list[Path]:
    if out is None:
        return [source.parent / _result_name(source) for source in inputs]
    # an OME-Zarr is a folder, but one image
    looks_like_file = bool(out.suffix) and (is_zarr(out) or not out.is_dir())
    if len(inputs) == 1 and looks_like_file:
        check_target(out, "uint8", "YX")  # the pixels are checked once they are known
        return [out]
    if out.is_file() or (looks_like_file and out.name.lower().endswith(WRITABLE)):
        raise SettingsError(f"{out}: is a file, and a folder is needed for {len(inputs)} input(s); give -o the name of a folder.")
    return [out / _result_name(source) for source in inputs]


def _result_name(source: Path) -> str:
    return f"{stem(source)}{ZARR_ENDING if source.is_dir() else ENDING}"


def _refuse_repeated(targets: list[Path]) -> None:
    for target, count in Counter(targets).items():
        if count > 1:
            raise SettingsError(f"{target}: {count} inputs would be written there; rename them, or denoise them into different folders.")


def _refuse_inputs(inputs: Sequence[Path], targets: list[Path]) -> None:
    sources = {os.path.realpath(source) for source in inputs}  # of links that lead round in a circle, too
    for target in targets:
        if os.path.realpath(target) in sources:
            raise SettingsError(f"{target}: is an input, and inputs are never overwritten; give -o another name.")
