"""How large the error of each pixel is, without knowing the truth.

The error of a result f(y) of y = x + n has two parts.  The noise that is left is J n, J being the Jacobian at y, and its variance is
told by fields of noise like the image's, pixel by pixel.  What was lost beside it, E f(y) − x, no pixel can tell: there the mean over n
of |f(y) − y|² − v + 2 (JΣ)ᵢᵢ is that of the squared error (Stein), but a single value of it is noise.  So it is averaged over the
surroundings, kept close to what is usually lost beside so much noise where even that tells little, and given to the pixels of the
surroundings by the noise that is left in them: edges have more of both.

Source: Stein 1981; Ramani, Blu, Unser, IEEE TIP 2008.  How it is averaged is ours, chosen on images that are no test images.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class NoiseKept:
    """What becomes of noise like that of an image (Y, X), in image units.

    Attributes
    ----------
    probes
        (fields, Y, X): noise.
    answers
        (fields, Y, X): what it becomes in the result, at full strength.
    """

    probes: np.ndarray
    answers: np.ndarray

    def left(self, strength: float) -> np.ndarray:
        """Variance of the noise that is left, the mean over the nearest pixels."""
        return _mean(np.square(strength * self.answers + (1 - strength) * self.probes).mean(0), MEAN, CUT)

    @property
    def shared(self) -> np.ndarray:
        """Covariance of the noise with what it becomes."""
        return np.asarray((self.probes * self.answers).mean(0))


@dataclass(frozen=True)
class Loss:
    """What was lost beside the noise that is left, in an image (Y, X), in image units.

    Attributes
    ----------
    noisy, denoised
        The image, and its result at full strength.
    variance
        Of the image's noise.
    correlation
        Of the noise.
    kept
        What becomes of noise through the Jacobian at the noisy image.
    """

    noisy: np.ndarray
    denoised: np.ndarray
    variance: np.ndarray
    correlation: tuple[Lags, Lags]
    kept: NoiseKept

    def lost(self, strength: float) -> np.ndarray:
        """Its mean square."""
        left = np.square(self.kept.answers).mean(0)
        stein = np.square(self.noisy - self.denoised) - self.variance + 2 * self.kept.shared - left
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


def _around(values: np.ndarray) -> np.ndarray:
    return _mean(values, SURROUNDINGS, CUT_SURROUNDINGS)


def _mean(values: np.ndarray, std: float, cut: float) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(values, std, truncate=cut))
