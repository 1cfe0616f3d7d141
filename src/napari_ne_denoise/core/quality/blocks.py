"""Frequencies of small blocks of an image, and the noise that is to be expected in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import Lags, NoiseModel

SIDE = 16  # pixels
# of the bands of frequencies, in half periods a block
BAND_ENDS = (1.5, 2.5, 4.0, 6.0, 8.0, 11.0, 14.0)


@lru_cache(maxsize=1)
def cosines() -> np.ndarray:
    """The orthonormal cosine transform (SIDE, SIDE), a frequency a row."""
    at = np.arange(SIDE)
    rows = np.cos(np.pi * (2 * at[None, :] + 1) * at[:, None] / (2 * SIDE)) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)


@lru_cache(maxsize=1)
def bands() -> tuple[np.ndarray, ...]:
    """Which coefficients (SIDE, SIDE) belong to each band, from low to high."""
    number = np.digitize(frequencies(), BAND_ENDS)
    return tuple(number == band for band in range(len(BAND_ENDS) + 1))


def frequencies() -> np.ndarray:
    """Of the coefficients (SIDE, SIDE), in half periods a block."""
    return np.asarray(np.hypot(*np.mgrid[:SIDE, :SIDE]))


def cut(image: np.ndarray) -> np.ndarray:
    """The blocks (N, SIDE, SIDE) of an image (Y, X); what is left over at the right and at the bottom is dropped."""
    rows, columns = (length // SIDE for length in image.shape)
    whole = image[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
    return np.asarray(whole.swapaxes(1, 2).reshape(rows * columns, SIDE, SIDE))


def transform(blocks: np.ndarray) -> np.ndarray:
    """The coefficients of blocks; sums of squares are kept."""
    return np.asarray(cosines() @ blocks @ cosines().T)


def noise_power(variance: np.ndarray, correlation: tuple[Lags, Lags]) -> np.ndarray:
    """What noise of a variance, blocks (N, SIDE, SIDE), and of a correlation has as mean squares of its coefficients."""
    along_y, along_x = (_spectrum(along) for along in correlation)
    squares = np.square(cosines())
    return np.asarray((squares @ variance @ squares.T) * along_y[:, None] * along_x)


def _spectrum(lags: Lags) -> np.ndarray:
    apart = np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE)))
    covariance = np.zeros((SIDE, SIDE))
    for lag, share in enumerate((1.0, *lags)):
        covariance[apart == lag] = share
    return np.maximum(np.diag(cosines() @ covariance @ cosines().T), 0.0)


def draw_noise(variance: np.ndarray, correlation: tuple[Lags, Lags], rng: np.random.Generator) -> np.ndarray:
    """Noise of a variance (Y, X) and a correlation, without any signal."""
    rows, columns = variance.shape
    waves = np.fft.rfft2(rng.standard_normal(variance.shape))
    for along, at in ((correlation[0], np.fft.fftfreq(rows)[:, None]), (correlation[1], np.fft.rfftfreq(columns)[None, :])):
        power = 1 + 2 * sum(share * np.cos(2 * np.pi * at * lag) for lag, share in enumerate(along, 1))
        waves *= np.sqrt(np.maximum(power, 0))
    return np.asarray(np.sqrt(variance) * np.fft.irfft2(waves, variance.shape))


@dataclass(frozen=True)
class Looked:
    """What was looked at of an image: its whole blocks, (N, SIDE, SIDE) each.

    Attributes
    ----------
    removed, denoised
        Image less result, and the result, in image units.
    probes, answers
        (K, N, SIDE, SIDE): noise that was added, and what the result changed by; K is 0 where nobody knows what made the result.
    """

    removed: np.ndarray
    denoised: np.ndarray
    probes: np.ndarray
    answers: np.ndarray

    def expected(self, noise: NoiseModel) -> np.ndarray:
        """Mean squares of the coefficients of the noise."""
        return noise_power(noise.variance(self.denoised), noise.believed_correlation)
