"""What denoising took away, counted in standard deviations of the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.noise.model import NoiseModel


def standardized_residual(noisy: np.ndarray, denoised: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """(noisy − denoised) / standard deviation of the noise at the denoised brightness.

    It stays the same where image, result and noise are mapped by λ·y + μ.

    Parameters
    ----------
    noisy, denoised
        Of one shape, in image units.
    noise
        Of the image.

    Returns
    -------
    array, float32
        1 is one standard deviation.  NaN where one of the two is no number.

    Raises
    ------
    ImageError
        If there is no noise to count in.
    """
    std = noise_std(denoised, noise)
    with np.errstate(invalid="ignore"):  # infinities that were kept
        return np.asarray((noisy.astype(np.float64) - denoised) / std, np.float32)


def noise_std(denoised: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Standard deviation of the noise at a denoised brightness, in image units; above 0 everywhere.

    Below the darkest brightness at which noise was measured, it is that of the darkest: the line may reach zero there, and noise does not.

    Raises
    ------
    ImageError
        If there is no noise.
    """
    darkest = float(noise.std(noise.curve[0].level)) if noise.curve else 0.0
    least = darkest or noise.read_noise or noise.gain  # the gain: the noise of a single photon
    if not least:
        raise ImageError("No noise was found in this image, so there is nothing to count a residual in.")
    return np.asarray(np.maximum(noise.std(denoised), least))


@dataclass(frozen=True)
class ResidualSummary:
    """A residual in numbers.

    Attributes
    ----------
    std
        Root of its mean square.  1: all of the noise was taken, and nothing else.
    along_rows, along_columns
        Its correlation with the next pixel down and to the right.  0, or what the noise itself has: no structure was taken.
    """

    std: float
    along_rows: float
    along_columns: float


class ResidualTally:
    """Adds up planes (Y, X) of a residual; pixels that are no numbers do not count."""

    def __init__(self) -> None:
        self._squares = self._rows = self._columns = np.zeros(2)  # sum and count

    def add(self, plane: np.ndarray) -> None:
        """Take one more plane in."""
        values = plane.astype(np.float64)
        self._squares = self._squares + _sum(values * values)
        self._rows = self._rows + _sum(values[1:] * values[:-1])
        self._columns = self._columns + _sum(values[:, 1:] * values[:, :-1])

    def summary(self) -> ResidualSummary:
        """Of all planes so far."""
        power, down, across = (float(total / count) if count else 0.0 for total, count in (self._squares, self._rows, self._columns))
        return ResidualSummary(float(np.sqrt(power)), down / power if power else 0.0, across / power if power else 0.0)


def _sum(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.array([finite.sum(), finite.size])
