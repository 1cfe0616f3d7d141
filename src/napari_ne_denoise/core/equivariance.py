"""Measure how well any denoising function keeps f(λy + μ) = λf(y) + μ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Denoise = Callable[[np.ndarray], np.ndarray]

SCALES = (1e-3, 7.3, 1e3)
SHIFTS = (-100.0, 3.7, 1e3)


@dataclass(frozen=True)
class EquivarianceErrors:
    """Largest errors of the law, as a fraction of the output's standard deviation (of its largest value if that is zero).

    Attributes
    ----------
    scale
        f(λy) against λf(y).
    shift
        f(y + μ) against f(y) + μ.
    both
        f(λy + μ) against λf(y) + μ.
    """

    scale: float
    shift: float
    both: float


def measure_equivariance(
    denoise_function: Denoise, image: np.ndarray, *, scales: Iterable[float] = SCALES, shifts: Iterable[float] = SHIFTS
) -> EquivarianceErrors:
    """Measure the errors of the law for one function and one image.

    Parameters
    ----------
    denoise_function
        Takes an image and returns one of the same shape.  It is given float64.
    image
        Any real image.
    scales
        The factors λ to try.
    shifts
        The offsets μ to try, in standard deviations of the image.

    Returns
    -------
    EquivarianceErrors
        The worst over all factors and offsets.
    """
    y = np.asarray(image, np.float64)
    reference = np.asarray(denoise_function(y), np.float64)
    unit = float(y.std()) or 1.0
    spread = float(reference.std()) or float(np.abs(reference).max()) or 1.0

    def error(scale: float, shift: float) -> float:
        found = np.asarray(denoise_function(scale * y + shift * unit * scale), np.float64)
        return float(np.abs(found - (scale * reference + shift * unit * scale)).max()) / (scale * spread)

    scales, shifts = tuple(scales), tuple(shifts)
    return EquivarianceErrors(
        scale=max(error(scale, 0.0) for scale in scales),
        shift=max(error(1.0, shift) for shift in shifts),
        both=max(error(scale, shift) for scale in scales for shift in shifts),
    )


def with_normalisation(denoise_function: Denoise, image: np.ndarray, low: float, high: float) -> np.ndarray:
    """T⁻¹ ∘ f ∘ T with T the map of the image's minimum and maximum to [low, high].

    This is how networks are usually applied.  For a normalization-equivariant one the choice of [low, high] changes nothing.
    A constant image comes back as it is.
    """
    y = np.asarray(image, np.float64)
    span = float(np.ptp(y))
    if span == 0:
        return y.copy()
    slope = (high - low) / span
    denoised = np.asarray(denoise_function((y - y.min()) * slope + low), np.float64)
    return np.asarray((denoised - low) / slope + y.min())
