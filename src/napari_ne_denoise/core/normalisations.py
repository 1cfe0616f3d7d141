"""How programs normalise images before a network sees them, and what each way does to the result of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.equivariance import Denoise

Levels = tuple[float, float]


@dataclass(frozen=True)
class Normalisation:
    """A map T(y) = slope · y + offset, chosen by the image.

    Attributes
    ----------
    name
        Short, for a table.
    meaning
        In one sentence.
    levels
        Two brightnesses of an image (Y, X), in its units.
    goal
        What they become.
    """

    name: str
    meaning: str
    levels: Callable[[np.ndarray], Levels]
    goal: Levels

    def line(self, image: np.ndarray) -> tuple[float, float]:
        """Slope and offset for an image; (1, −y) for one of constant y, where there is nothing to choose."""
        (low, high), (first, last) = self.levels(image), self.goal
        slope = (last - first) / (high - low) if high > low else 1.0
        return slope, first - slope * low


def _smallest_and_largest(image: np.ndarray) -> Levels:
    return float(image.min()), float(image.max())


def _percentiles(image: np.ndarray) -> Levels:
    low, high = np.percentile(image, (1.0, 99.8))
    return float(low), float(high)


def _mean_and_one_deviation_more(image: np.ndarray) -> Levels:
    return float(image.mean()), float(image.mean() + image.std())


def _as_they_are(image: np.ndarray) -> Levels:
    return 0.0, 1.0


# an ordinary network is trained with one of them; ours with the first, that the others are compared with
NORMALISATIONS = (
    Normalisation("min–max to [0, 1]", "The darkest pixel becomes 0, the brightest 1.", _smallest_and_largest, (0.0, 1.0)),
    Normalisation("min–max to [0, 255]", "The darkest pixel becomes 0, the brightest 255.", _smallest_and_largest, (0.0, 255.0)),
    Normalisation("min–max to [−1, 1]", "The darkest pixel becomes −1, the brightest 1.", _smallest_and_largest, (-1.0, 1.0)),
    Normalisation("percentiles 1–99.8", "1 % of the pixels come below 0, 0.2 % above 1; nothing is cut off.", _percentiles, (0.0, 1.0)),
    Normalisation("z-score", "The mean becomes 0, the standard deviation 1.", _mean_and_one_deviation_more, (0.0, 1.0)),
    Normalisation("none", "The network gets the values as they are.", _as_they_are, (0.0, 1.0)),
)


def through(denoise_function: Denoise, image: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """T⁻¹ ∘ f ∘ T with T(y) = slope · y + offset; (Y, X), float64, in the image's units."""
    y = np.asarray(image, np.float64)
    return np.asarray((np.asarray(denoise_function(slope * y + offset), np.float64) - offset) / slope)


@dataclass(frozen=True)
class NormalisationDifference:
    """How far a result moves with the normalisation, in image units.

    Attributes
    ----------
    name
        Of the normalisation.
    largest, rms
        Of the difference from the result with the one that is compared with.
    """

    name: str
    largest: float
    rms: float


def difference(name: str, result: np.ndarray, reference: np.ndarray) -> NormalisationDifference:
    """That of two results, by the name of the normalisation of the first."""
    apart = np.asarray(result, np.float64) - reference
    return NormalisationDifference(name, float(np.abs(apart).max()), float(np.sqrt(np.mean(apart**2))))


def differences(
    denoise_function: Denoise, image: np.ndarray, normalisations: Iterable[Normalisation] = NORMALISATIONS
) -> tuple[NormalisationDifference, ...]:
    """What the choice of a normalisation does to the result; nothing, if the function is normalization-equivariant.

    Parameters
    ----------
    denoise_function
        Takes an image (Y, X), float64, and returns one of the same shape.
    image
        Any real image.
    normalisations
        To try; the first is compared with, and is not in the result.
    """
    y = np.asarray(image, np.float64)
    first, *others = normalisations
    reference = through(denoise_function, y, *first.line(y))
    return tuple(difference(other.name, through(denoise_function, y, *other.line(y)), reference) for other in others)
