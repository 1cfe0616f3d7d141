"""Memory that a large image takes beyond itself and its result, in a process of its own.

``python -m benchmarks.speed.memory MODEL SIDE`` is that process.
"""

from __future__ import annotations

import json
import sys
from math import sqrt
from pathlib import Path

import torch

from benchmarks.images import noisy_plane
from benchmarks.options import Options
from benchmarks.ours import chosen_precision, drain
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.processes import in_fresh_process
from napari_ne_denoise import Denoiser, load_denoiser
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import DRUNet
from napari_ne_denoise.core.tiling import Window

DRUNET = "DRUNet"
DRUNET_SIDE, FULL_TILES = 3024, 4  # large enough for a tile with its halo on all sides, small enough to wait for
GIGABYTE = 1e9

FAST_EXTRA, DRUNET_EXTRA = 1.5, 4.0


def memory(options: Options) -> Report:
    """Of the default model, on 400 megapixels."""
    return _report("Memory", "fast", round(sqrt(options.megapixels * 1e6)), FAST_EXTRA)


def memory_drunet(options: Options) -> Report:
    """Of DRUNet with random weights, on an image of several full tiles: beyond that, memory does not grow with the image."""
    side = min(DRUNET_SIDE, round(sqrt(options.megapixels * 1e6)))
    report = _report("Memory, DRUNet", DRUNET, side, DRUNET_EXTRA)
    report.notes.append("DRUNet-NE with random weights.")
    return report


def _report(title: str, model: str, side: int, limit: float) -> Report:
    found = in_fresh_process("benchmarks.speed.memory", model, side)
    extra = found["peak"] - found["arrays"]
    row = [f"{model}, {found['precision']}", f"{side}×{side} float32", f"{found['full_tiles']} of {found['largest']}"]
    sizes = [f"{found[name] / GIGABYTE:.2f}" for name in ("arrays", "before", "peak")]
    table = Table(["model", "image", "full tiles", "both arrays, GB", "before the call, GB", "peak, GB", "peak − arrays, GB"], [])
    table.rows.append([*row, *sizes, f"{extra / GIGABYTE:.2f}"])
    target = Target(f"{model}, {number(side**2 / 1e6)} MPix, beyond the two arrays", extra / GIGABYTE, limit, "GB")
    notes = ["Peak resident memory of a fresh process, torch and the input included; GB are 10⁹ bytes."]
    if found["full_tiles"] < FULL_TILES:
        notes.append(f"Fewer than {FULL_TILES} tiles of full size: a larger image may take more.")
    return Report(title, [table], [target], notes)


def main(model: str, side: int) -> None:
    """Denoise an image and print, as JSON, what it took."""
    denoiser = random_drunet() if model == DRUNET else load_denoiser(model)
    image = noisy_plane((side, side))
    precision = chosen_precision(image, denoiser)
    before = resident("VmRSS")
    result, kept = drain(image, denoiser)
    print(
        json.dumps(
            {
                "precision": precision,
                "before": before,
                "peak": resident("VmHWM"),
                "arrays": image.nbytes + result.nbytes,
                **_full_tiles(kept),
            }
        )
    )


def random_drunet() -> Denoiser:
    """DRUNet of full size with weights that were never trained."""
    torch.manual_seed(0)
    return Denoiser(DRUNet().eval(), ModelCard(DRUNET))


def resident(which: str) -> int:
    """Resident bytes of this process: "VmRSS" now, "VmHWM" at most so far (that of ``getrusage`` is inherited from the parent)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def _full_tiles(kept: list[Window]) -> dict[str, int | str]:
    """How many tiles are as large as the largest one, and its size."""
    sizes = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in kept]
    largest = max(sizes, key=lambda size: size[0] * size[1])
    return {"full_tiles": sizes.count(largest), "largest": f"{largest[0]}×{largest[1]}"}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
