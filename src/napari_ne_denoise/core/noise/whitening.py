"""Noise that neighbours share made white, for networks that have seen no other, and the way back.

A filter along Y and one along X divide the image by the amplitude of its noise, frequency by frequency.  What the network then takes away,
and that alone, goes back through the inverse filters: where it takes nothing, the image stays as it is, to the bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import Lags

RADIUS = 8  # of the filters, in pixels
LENGTH = 256  # of the spectra that they are made from
# of the noise's power at frequency 0: less than this is taken for this, so that along an axis no frequency is amplified more than 4.5 times
FLOOR = 0.05
# correlation with the next pixel from which it pays: a tenth costs a network of white noise a decibel, and filters next to nothing
LEAST = 0.05
SLOWEST_FALL, FASTEST_FALL = 1.0, 3.0  # of correlation(h) = r ** (h ** p), as in `correlation`
MARGIN = 2 * RADIUS  # pixels that both ways together look farther


class Whitener:
    """Filters that make noise white whose correlation is known.

    They keep a constant image as it is.  Beyond its borders an image goes on as its mirror image.

    Parameters
    ----------
    correlation
        Of the noise with itself one, two and three pixels farther, along Y and along X.

    Attributes
    ----------
    gain
        Standard deviation of the noise after, over that before.
    """

    def __init__(self, correlation: tuple[Lags, Lags]) -> None:
        spectra = [_spectrum(lags) for lags in correlation]
        self._there = [_kernel(1 / np.sqrt(np.maximum(spectrum, FLOOR))) for spectrum in spectra]
        self._back = [_kernel(1 / _transfer(kernel)) for kernel in self._there]
        # a spectrum that is one at frequency 0 has the variance that is its mean
        gains = [
            np.mean(_transfer(kernel) ** 2 * spectrum) / spectrum.mean() for kernel, spectrum in zip(self._there, spectra, strict=True)
        ]
        self.gain = float(np.sqrt(np.prod(gains)))

    def forward(self, pixels: np.ndarray) -> np.ndarray:
        """An image (Y, X) with white noise; right but for `RADIUS` pixels at borders that are none of the whole image."""
        return _filtered(pixels, self._there)

    def back(self, pixels: np.ndarray) -> np.ndarray:
        """What is to be taken away of the image, from what is to be taken away of the white one; right as far as `forward`."""
        return _filtered(pixels, self._back)

    def forward_transposed(self, weights: np.ndarray) -> np.ndarray:
        """Weights (Y, X) of the image, from weights of the white one: `forward` is a linear map of a window, and this its transpose."""
        return _filtered_transposed(weights, self._there)

    def back_transposed(self, weights: np.ndarray) -> np.ndarray:
        """The same of `back`."""
        return _filtered_transposed(weights, self._back)


@lru_cache(maxsize=8)
def whitener_for(correlation: tuple[Lags, Lags]) -> Whitener | None:
    """Filters for noise that neighbours share; None where they share next to none."""
    return Whitener(correlation) if max(along[0] for along in correlation) >= LEAST else None


def _spectrum(lags: Lags) -> np.ndarray:
    """Power of noise over frequency; 1 at frequency 0."""
    one, two, _ = lags
    apart = np.minimum(np.arange(LENGTH), LENGTH - np.arange(LENGTH))
    if one <= 0:
        return np.ones(LENGTH)
    fall = np.log2(np.log(two) / np.log(one)) if two > 0 else FASTEST_FALL
    shared = one ** (apart ** float(np.clip(fall, SLOWEST_FALL, FASTEST_FALL)))
    power = np.maximum(np.fft.fft(shared).real, 0.0)
    return np.asarray(power / power[0])


def _kernel(transfer: np.ndarray) -> np.ndarray:
    """The symmetric filter (17,) next to a transfer function; its sum is 1."""
    impulse = np.fft.ifft(transfer).real
    kernel = np.concatenate([impulse[-RADIUS:], impulse[: RADIUS + 1]])
    kernel = (kernel + kernel[::-1]) / 2
    return np.asarray(kernel / kernel.sum())


def _transfer(kernel: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.fft(np.roll(np.pad(kernel, (0, LENGTH - len(kernel))), -RADIUS)).real)


def _filtered(pixels: np.ndarray, kernels: list[np.ndarray]) -> np.ndarray:
    from scipy import ndimage

    along_y = ndimage.correlate1d(pixels, kernels[0], 0, mode="mirror")
    return np.asarray(ndimage.correlate1d(along_y, kernels[1], 1, mode="mirror"))


def _filtered_transposed(weights: np.ndarray, kernels: list[np.ndarray]) -> np.ndarray:
    from scipy import ndimage

    along_y, along_x = (
        ndimage.correlate1d(np.eye(length), kernel, 0, mode="mirror") for length, kernel in zip(weights.shape, kernels, strict=True)
    )
    return np.asarray(along_y.T @ weights @ along_x)
