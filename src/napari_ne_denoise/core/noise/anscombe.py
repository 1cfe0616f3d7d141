"""Noise made the same at every brightness, and the way back that is right on average.

The generalised Anscombe transform takes p photons with read noise s to 2 √(p + 3/8 + s²), whose noise has a standard deviation of about
one.  Its algebraic inverse is too dark at few photons: the mean of a root is not the root of the mean.  The exact unbiased inverse takes
E[transform | x] back to x; it is tabulated for the read noise of the image.

Source: Mäkitalo and Foi, IEEE Transactions on Image Processing, 2013, who give a closed form for it; that is off by 2 to 3 % at one photon
with read noise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from napari_ne_denoise.core.noise.model import NoiseModel

# photons up to which the mean is summed; beyond, two terms of its series are exact to 1e-4 of the noise
TABULATED = 100.0
ROOT_STEP = 0.02  # of the table, in √photons
# of the normal distribution that read noise is summed over, in standard deviations
TAIL, NORMAL_STEP = 8.0, 0.05


class VarianceStabilizer:
    """To units in which noise has a standard deviation of one, and back.

    Parameters
    ----------
    noise
        Of the image; correlation does not matter here.  Without gain, the image is only scaled; without noise, it stays as it is.
    """

    def __init__(self, noise: NoiseModel) -> None:
        self.noise = noise
        self._read = noise.read_noise / noise.gain if noise.gain else 0.0  # in photons
        self._unit = noise.read_noise or 1.0

    def forward(self, image: Any) -> np.ndarray:
        """Image units to stabilised ones; float64."""
        values = np.asarray(image, np.float64)
        if not self.noise.gain:
            return np.asarray((values - self.noise.offset) / self._unit)
        photons = (values - self.noise.offset) / self.noise.gain
        return np.asarray(2 * np.sqrt(np.maximum(photons + 3 / 8 + self._read**2, 0.0)))

    def back(self, stable: Any) -> np.ndarray:
        """The noise-free brightness whose noisy values have these means once stabilised; float64.

        Means below that of no light at all, which a denoiser may give, go on along the tangent there: cut off, they would brighten the
        dark on average.
        """
        values = np.asarray(stable, np.float64)
        if not self.noise.gain:
            return np.asarray(values * self._unit + self.noise.offset)
        return np.asarray(_photons(values, self._read) * self.noise.gain + self.noise.offset)


def _photons(stable: np.ndarray, read: float) -> np.ndarray:
    """The exact unbiased inverse, in photons."""
    means, photons, slope = _table(read)
    beyond = stable**2 / 4 - 1 / 8 - read**2
    found = np.where(stable > means[-1], beyond, np.interp(stable, means, photons))
    return np.where(stable < means[0], (stable - means[0]) * slope, found)


@lru_cache(maxsize=8)
def _table(read: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Means of stabilised values for 0 to 100 photons, those photons, and how steeply they rise at 0."""
    photons = np.arange(0, np.sqrt(TABULATED) + ROOT_STEP, ROOT_STEP) ** 2
    counts = np.arange(int(TABULATED + 12 * np.sqrt(TABULATED)))
    normal = np.arange(-TAIL, TAIL + NORMAL_STEP, NORMAL_STEP)
    share = stats.norm.pdf(normal)
    stabilised = 2 * np.sqrt(np.maximum(counts[:, None] + read * normal + 3 / 8 + read**2, 0.0)) @ (share / share.sum())
    means = stats.poisson.pmf(counts, photons[:, None]) @ stabilised
    # one count more or less: the derivative of a Poisson mean by its parameter, at 0
    slope = 1 / (stabilised[1] - stabilised[0])
    return means, photons, float(slope)
