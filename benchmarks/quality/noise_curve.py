"""The noise of one image, found in that image alone: var(x) = a x + b.

What is left of an image after its smooth part is taken away (the Laplacian over the four neighbours) is noise where there is no
structure.  Of all blocks of about one brightness, those with little variance are the ones without.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK = 8  # pixels
QUANTILE = 0.3  # of the variances of blocks of one brightness: low enough to find blocks without structure
BLOCKS_IN_BIN, FEWEST_BINS = 64, 4
FLOOR = 0.5  # a block with more of its pixels than that at the darkest value of the image was cut off there
ROUNDS = 50
FAR = 1.5  # an error of this many times the usual one counts half, see `_weights`


@dataclass(frozen=True)
class NoiseCurve:
    """How the variance of the noise depends on the brightness x: ``gain · x + variance_at_zero``.

    Attributes
    ----------
    gain
        Grey levels a photon; 0 where the noise does not grow with brightness.
    variance_at_zero
        In squared grey levels.  Negative where the image has a pedestal: nothing is wrong with that.
    """

    gain: float
    variance_at_zero: float

    @property
    def is_gaussian(self) -> bool:
        """Whether the noise is the same everywhere."""
        return self.gain == 0

    def variance(self, brightness: np.ndarray) -> np.ndarray:
        """Of the noise; may be negative below the pedestal."""
        return np.asarray(self.gain * brightness + self.variance_at_zero)


def estimate_noise_curve(image: np.ndarray) -> NoiseCurve:
    """The curve of a noisy image (Y, X), at least 32×32; in its units."""
    levels, variances = _by_brightness(*_blocks(np.asarray(image, np.float64)))
    gain, variance_at_zero = _line(levels, variances)
    return NoiseCurve(gain, variance_at_zero) if gain > 0 else NoiseCurve(0.0, float(np.median(variances)))


def _blocks(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and noise variance of each block that the detector did not cut off."""
    inner, blocks = image[1:-1, 1:-1], _cut(image[1:-1, 1:-1])
    neighbours = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    residual = _cut((4 * inner - neighbours) / np.sqrt(20))
    whole = (blocks < image.max()).all(axis=1) & ((blocks == image.min()).mean(axis=1) <= FLOOR)
    chosen = whole if whole.sum() >= FEWEST_BINS else slice(None)
    return blocks.mean(axis=1)[chosen], np.square(residual).mean(axis=1)[chosen]


def _cut(image: np.ndarray) -> np.ndarray:
    """The pixels of each block in a row; what is left over at the right and at the bottom is dropped."""
    rows, columns = (length // BLOCK for length in image.shape)
    whole = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return whole.swapaxes(1, 2).reshape(rows * columns, BLOCK * BLOCK)


def _by_brightness(means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A brightness and the variance of the noise there, for bins of about equally many blocks."""
    bins = np.array_split(np.argsort(means, kind="stable"), max(FEWEST_BINS, means.size // BLOCKS_IN_BIN))
    levels = np.array([np.median(means[members]) for members in bins])
    lows = np.array([np.quantile(variances[members], QUANTILE) for members in bins])
    return levels, lows / _low_quantile_of_white_noise()


@lru_cache(maxsize=1)
def _low_quantile_of_white_noise() -> float:
    """What the low quantile is for white noise of variance one, measured once."""
    return float(np.quantile(_blocks(np.random.default_rng(0).standard_normal((1026, 1026)))[1], QUANTILE))


def _line(levels: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """Slope and intercept, with errors counted as shares of the variance, and far ones little."""
    weights = np.ones_like(levels)
    slope, intercept = 0.0, 0.0
    for _ in range(ROUNDS):
        slope, intercept = np.polyfit(levels, variances, 1, w=np.sqrt(weights)) if np.ptp(levels) else (0.0, float(np.mean(variances)))
        weights = _weights(variances, slope * levels + intercept)
    return float(slope), float(intercept)


def _weights(variances: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of Cauchy's kind, for errors over the predicted variance."""
    # where half of the image is flat, the median is zero and says nothing
    usual_variance = float(np.median(variances)) or float(np.mean(variances))
    if not usual_variance:
        return np.ones_like(variances)
    scale = np.maximum(predicted, 0.1 * usual_variance)
    errors = np.abs(variances - predicted) / scale
    usual = max(float(np.median(errors)), 1e-3)
    return np.asarray(1 / (1 + (errors / (FAR * usual)) ** 2) / scale**2)
