"""Put together what is said of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.quality.error import ErrorEstimate, estimate_error
from napari_ne_denoise.core.quality.looking import Seen
from napari_ne_denoise.core.quality.residual import Structure, find_structure, whiteness
from napari_ne_denoise.core.quality.result import Place, Quality

FEWEST_BLOCKS = 16  # that anything can be said of
PEAK_QUANTILES = (0.001, 0.999)
MOST_PLACES = 16

NO_NOISE = "no noise was found in the image, so that nothing can be said of the result"
TOO_SMALL = "the image is too small to tell"
ANOTHER_RESULT = "its error cannot be estimated, since it is not what this model makes of this image"


def judge(seen: Seen, noise: NoiseModel, *, peak: float | None, integers: bool) -> Quality:
    """All that can be said.

    Parameters
    ----------
    seen
        What was looked at.
    noise
        Of the image.
    peak
        What counts as full signal; None for the range of the result.
    integers
        Whether the image has grey levels.
    """
    low, high = np.quantile(seen.values, PEAK_QUANTILES) if seen.values.size else (0.0, 0.0)
    looked, full = seen.looked, float(high - low) if peak is None else float(peak)
    nothing = Quality(peak=full, noise=noise, integers=integers, pixels=int(looked.removed.size))
    if noise.uncertainty is None or (noise.kind != "none" and len(looked.removed) < FEWEST_BLOCKS):
        return replace(nothing, reason=TOO_SMALL)
    if noise.kind == "none" or not noise.variance(looked.denoised).any():
        return replace(nothing, reason=NO_NOISE)
    std, correlation = whiteness(looked, noise)
    before = float(np.sqrt(noise.variance(looked.denoised).mean()))
    found = replace(nothing, noise_before=before, residual_std=std, residual_correlation=correlation)
    found = _with_structure(found, find_structure(looked, noise), seen.places)
    return _with_error(found, estimate_error(looked, noise)) if seen.by_model else replace(found, reason=ANOTHER_RESULT)


def _with_structure(quality: Quality, structure: Structure, places: list[Place]) -> Quality:
    held = [int(number) for number in structure.order if structure.held[number]]
    shown = tuple(places[number] for number in held[:MOST_PLACES])
    return replace(quality, structured=bool(held), structured_share=len(held) / len(structure.held), places=shown)


def _with_error(quality: Quality, estimate: ErrorEstimate) -> Quality:
    def psnr(square: float) -> float:
        return float(10 * np.log10(quality.peak**2 / square)) if square > 0 and quality.peak > 0 else float("inf")

    low, high = estimate.interval
    return replace(
        quality,
        noise_after=float(np.sqrt(estimate.noise_left)),
        error=float(np.sqrt(estimate.error)),
        error_interval=(float(np.sqrt(low)), float(np.sqrt(high))),
        psnr=psnr(estimate.error),
        psnr_interval=(psnr(high), psnr(low)),
    )
