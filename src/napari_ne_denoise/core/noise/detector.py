"""What a detector and a file did to the values: cut them off, rounded them, and pixels that are stuck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_ne_denoise.core.noise.blocks import Blocks
from napari_ne_denoise.core.noise.hot_pixels import MARGIN, LonelyPixels
from napari_ne_denoise.core.noise.model import NoiseModel

LOOKED_AT = 4  # every so many rows; values are sorted, which takes time
FEWEST, CROWDED = 8, 3  # pixels at the last level: at least so many, and so many times as many as at the next
SMALLEST_STEP = 1e-5  # of the range; float32 tells no smaller ones apart
FEW_STEPS = 50  # between two values; rounding of one step does not add up to another
DARKEST = 1e-3  # share of the pixels; of more, one dead pixel may be the darkest


def levels_of(windows: Sequence[np.ndarray]) -> dict[str, Any]:
    """Fields of a `NoiseModel`: where values were cut off, and to which steps they were rounded."""
    looked_at = np.concatenate([window[:, ::LOOKED_AT].ravel() for window in windows])
    values, counts = np.unique(looked_at[np.isfinite(looked_at)], return_counts=True)
    found: dict[str, Any] = {}
    if len(values) > 2:
        total = counts.sum()
        if step := _step(np.diff(values.astype(np.float64))):
            found["step"] = step
        if counts[-1] >= FEWEST and counts[-1] > CROWDED * counts[-2]:
            found |= {"saturation": float(values[-1]), "saturated_share": float(counts[-1] / total)}
        if counts[0] >= FEWEST and counts[0] > CROWDED * counts[1]:
            found |= {"floor": float(values[0]), "floor_share": float(counts[0] / total)}
    return found


def _step(gaps: np.ndarray) -> float:
    """What all small gaps between values are multiples of; 0 if nothing."""
    smallest = float(gaps.min())
    if smallest <= SMALLEST_STEP:
        return 0.0
    small = gaps[gaps <= FEW_STEPS * smallest]
    steps = np.rint(small / smallest)
    # a mean over many, without the roundings of one
    return float(small.sum() / steps.sum()) if np.abs(small / smallest - steps).max() < 0.1 else 0.0


def lopsidedness(blocks: Blocks, noise: NoiseModel) -> float:
    """The skewness of the noise if all of it is that of photons, and the darkest pixels got none; 0 where the gain is known."""
    light = float(np.median(blocks.brightness) - np.quantile(blocks.shades[:, ::4, ::4], DARKEST))
    return noise.read_noise / light if noise.kind == "gaussian" and light > 0 else 0.0


def isolated_share(windows: Sequence[np.ndarray], noise: NoiseModel) -> float:
    """Share of the pixels of windows (frames, Y, X) that stand out from all their neighbours, in each frame."""
    lonely, found, total = LonelyPixels(noise), 0, 0
    for window in windows:
        each = [{tuple(at) for at in lonely.find(frame).tolist()} for frame in window]
        found += len(set.intersection(*each))
        total += max(0, window.shape[1] - 2 * MARGIN) * max(0, window.shape[2] - 2 * MARGIN)
    return found / total if total else 0.0
