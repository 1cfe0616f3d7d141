"""How large the error of each pixel is, without knowing the truth.

The error of a result f(y) of y = x + n has two parts.  The noise that is left is J n, J being the Jacobian at y, and its variance is
told by fields of noise like the image's, pixel by pixel.  What was lost beside it, E f(y) − x, no pixel can tell: there the mean over n
of |f(y) − y|² − v + 2 (JΣ)ᵢᵢ is that of the squared error (Stein), but a single value of it is noise.  So it is averaged over the
surroundings, kept close to what is usually lost beside so much noise where even that tells little, and given to the pixels of the
surroundings by the noise that is left in them: edges have more of both.

Source: Stein 1981; Ramani, Blu, Unser, IEEE TIP 2008.  How it is averaged is ours, chosen on images that are no test images.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_ne_denoise.core.noise.model import Lags

# pixels: standard deviations of the Gaussian means of noise that is left, of surroundings, and of the profile of what is lost in them
MEAN, SURROUNDINGS, PROFILE = 1.0, 16.0, 2.0
# standard deviations after which they end, so that a tile needs to look no farther than `MARGIN`
CUT, CUT_SURROUNDINGS = 4.0, 2.0
MARGIN_OF_NOISE, MARGIN = int(MEAN * CUT), int(SURROUNDINGS * CUT_SURROUNDINGS)
# what is usually lost, as a share of the variance of the noise that is left, and how far from that it may be, as a share of it
USUAL, SPREAD = 0.5, 2.0
EVENLY = 0.3  # of what is lost in the surroundings, given to all of their pixels; the rest by the noise that is left in them


@dataclass
class NoiseKept:
    """What becomes of noise like that of an image (Y, X), in image units.

    Attributes
    ----------
    noisy, denoised
        The image, and its result at full strength.
    variance
        Of the image's noise.
    correlation
        Of the noise.
    """

    noisy: np.ndarray
    denoised: np.ndarray
    variance: np.ndarray
    correlation: tuple[Lags, Lags]
    _squares: list[np.ndarray] = field(default_factory=list)
    _full: list[np.ndarray] = field(default_factory=list)
    _shared: list[np.ndarray] = field(default_factory=list)

    def add(self, probe: np.ndarray, answer: np.ndarray, strength: float) -> None:
        """Take in one field of noise, and J times it, at full strength."""
        self._squares.append(np.square(strength * answer + (1 - strength) * probe))
        self._full.append(np.square(answer))
        self._shared.append(probe * answer)

    @property
    def left(self) -> np.ndarray:
        """Variance of the noise that is left at the strength that was given, the mean over the nearest pixels."""
        return nearest_mean(np.mean(self._squares, 0))

    def lost(self, strength: float) -> np.ndarray:
        """Mean square of what was lost beside it."""
        left = np.mean(self._full, 0)
        stein = np.square(self.noisy - self.denoised) - self.variance + 2 * np.mean(self._shared, 0) - left
        around, usual = _around(left), USUAL * _around(left)
        found = usual + self._trust(usual) * (_around(stein) - usual)
        profile = np.divide(_mean(left, PROFILE, CUT), around, out=np.ones_like(around), where=around > 0)
        # of y + t · (f(y) − y), t times as much is lost
        return np.asarray(strength**2 * np.maximum(found, 0.0) * (EVENLY + (1 - EVENLY) * profile))

    def _trust(self, usual: np.ndarray) -> np.ndarray:
        """How far the mean over the surroundings is believed: by what is expected to vary, over that and its own scatter."""
        pixels = 4 * np.pi * SURROUNDINGS**2 / float(np.prod([1 + 2 * np.square(along).sum() for along in self.correlation]))
        scatter, prior = 2 * _around(self.variance) ** 2 / pixels, (SPREAD * usual) ** 2
        return np.divide(prior, prior + scatter, out=np.ones_like(prior), where=prior + scatter > 0)


def nearest_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the nearest pixels: sixteen fields of noise alone tell a variance no better than within a third."""
    return _mean(values, MEAN, CUT)


def _around(values: np.ndarray) -> np.ndarray:
    return _mean(values, SURROUNDINGS, CUT_SURROUNDINGS)


def _mean(values: np.ndarray, std: float, cut: float) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(values, std, truncate=cut))
