"""Measure how well any denoising function keeps f(λy + μ) = λf(y) + μ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.errors import ImageError

Denoise = Callable[[np.ndarray], np.ndarray]

SCALES = (1e-3, 7.3, 1e3)
SHIFTS = (-100.0, 3.7, 1e3)
# how programs normalise images: the first is the one that the others are compared with
RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (0.2, 0.8))


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

    def in_units_of(self, output: np.ndarray) -> EquivarianceErrors:
        """The same as differences between images, for a function that gave this output."""
        unit = _spread_of(output)
        return EquivarianceErrors(self.scale * unit, self.shift * unit, self.both * unit)


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
    y = np.array(image, np.float64)
    if not np.isfinite(y).all():
        raise ImageError("image: holds NaN or infinities, of which no error can be measured; give a part without them.")
    reference = np.asarray(denoise_function(y.copy()), np.float64)
    unit = float(y.std()) or 1.0
    spread = _spread_of(reference)

    def error(scale: float, shift: float) -> float:
        found = np.asarray(denoise_function(scale * y + shift * unit * scale), np.float64)
        return float(np.abs(found - (scale * reference + shift * unit * scale)).max()) / (scale * spread)

    scales, shifts = tuple(scales), tuple(shifts)
    return EquivarianceErrors(
        scale=max(error(scale, 0.0) for scale in scales),
        shift=max(error(1.0, shift) for shift in shifts),
        both=max(error(scale, shift) for scale in scales for shift in shifts),
    )


def _spread_of(output: np.ndarray) -> float:
    return float(output.std()) or float(np.abs(output).max()) or 1.0


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


@dataclass(frozen=True)
class RangeDifference:
    """How far a result moves when the image is normalised to another range, in image units.

    Attributes
    ----------
    low, high
        The range.
    largest, rms
        Of the difference from the result with the first range.
    """

    low: float
    high: float
    largest: float
    rms: float


def compare_normalisations(
    denoise_function: Denoise, image: np.ndarray, ranges: Iterable[tuple[float, float]] = RANGES
) -> tuple[RangeDifference, ...]:
    """What the choice of a normalisation range does to the result; nothing, if the function is normalization-equivariant.

    Parameters
    ----------
    denoise_function, image
        As in `measure_equivariance`.
    ranges
        The ranges [low, high] to try; the first is compared with, and is not in the result.
    """
    first, *others = ranges
    reference = with_normalisation(denoise_function, image, *first)
    differences = ((low, high, with_normalisation(denoise_function, image, low, high) - reference) for low, high in others)
    return tuple(RangeDifference(low, high, float(np.abs(d).max()), float(np.sqrt(np.mean(d**2)))) for low, high, d in differences)
