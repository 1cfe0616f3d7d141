"""The folder beside a large result in which it is made."""

from __future__ import annotations

import glob
import json
import shutil
from pathlib import Path
from typing import Any

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io.complete import clear_leftovers
from napari_ne_denoise.core.io.failures import failures_named

ENDING = ".napari-ne-denoise"
STORE, PLAN, REPLACED, PARTS = "image.ome.zarr", "plan.json", "replaced.ome.zarr", "parts"


def work_folder(target: Path) -> Path:
    """Where a large result is made."""
    return target.with_name(f".{target.name}{ENDING}")


def plan_in(folder: Path) -> dict[str, Any]:
    """What is made there, from what and how; empty if there is no such folder.

    Raises
    ------
    FileError
        If it is damaged, or cannot be read.
    """
    with failures_named(folder / PLAN, "cannot be read", "give the result another name, or see to it that it can be read"):
        try:
            written = (folder / PLAN).read_bytes()
        except FileNotFoundError:
            return {}
    try:
        plan = json.loads(written)
    except (ValueError, RecursionError):
        plan = None
    if not isinstance(plan, dict) or not _makes_sense(plan):
        raise FileError(f"{folder / PLAN}: is damaged, and nothing can be gone on with; remove the folder {folder}, to begin anew.")
    return plan


def _makes_sense(plan: dict[str, Any]) -> bool:
    way, side, decided = (plan.get(name) for name in ("way", "side", "decided"))
    if not isinstance(way, dict) or not isinstance(side, int) or side < 1 or not isinstance(decided, dict):
        return False
    device, halves, tile_size = (decided.get(name) for name in ("device", "halves", "tile_size"))
    return isinstance(device, str) and isinstance(halves, list) and isinstance(tile_size, int) and tile_size > 0


def way_of_finished(target: Path) -> dict[str, Any] | None:
    """How a result was made that was given its name just before its process was killed; None: it was not."""
    if not is_finished(target):
        return None
    way = plan_in(work_folder(target)).get("way")
    return way if isinstance(way, dict) else None


def is_finished(target: Path) -> bool:
    """Whether a result is there, and nothing beside it is of use for it any more."""
    return target.exists() and not (work_folder(target) / STORE / "0").exists()


def clear_finished(target: Path) -> None:
    """Remove what is left of the making of a result that is there."""
    if is_finished(target):
        shutil.rmtree(work_folder(target), ignore_errors=True)


def clear_unfinished(target: Path) -> None:
    """Remove what processes that were killed left of a result, or of its folder, under temporary names."""
    clear_leftovers(target, f"{glob.escape(work_folder(target).name)}.*.new")
