"""Noise made the same everywhere: the generalised Anscombe transform, and the way back that is unbiased.

Source: Mäkitalo and Foi, IEEE Transactions on Image Processing, 2013.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.images import Sample
from benchmarks.quality.noise_curve import NoiseCurve, estimate_noise_curve

GAT = "GAT+"  # before the name of a denoiser that is behind the transform
DARKEST = 2 * np.sqrt(3 / 8)  # what no photons at all become


def through_anscombe(image: np.ndarray, denoise: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Denoise an image (Y, X) with a denoiser for white noise of σ = 1, given nothing but the image."""
    noisy = np.asarray(image, np.float64)
    curve = estimate_noise_curve(noisy)
    return inverse_generalized_anscombe(denoise(generalized_anscombe(noisy, curve)), curve)


def behind_anscombe(denoise: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sample], np.ndarray]:
    """The same as a function of a sample, of which it looks at the noisy image only."""
    return lambda sample: through_anscombe(sample.noisy, denoise)


def generalized_anscombe(image: np.ndarray, curve: NoiseCurve) -> np.ndarray:
    """The image in units in which its noise has a standard deviation of one."""
    if curve.is_gaussian:
        return np.asarray(image / _sigma(curve))
    return np.asarray(2 / curve.gain * np.sqrt(np.maximum(0, curve.variance(image) + 3 / 8 * curve.gain**2)))


def inverse_generalized_anscombe(stable: np.ndarray, curve: NoiseCurve) -> np.ndarray:
    """The brightness whose stabilised noisy values have this mean: not the plain inverse, which is too dark at few photons."""
    if curve.is_gaussian:
        return np.asarray(stable * _sigma(curve))
    mean = np.maximum(stable, DARKEST)
    photons = mean**2 / 4 + np.sqrt(3 / 2) / (4 * mean) - 11 / (8 * mean**2) + 5 * np.sqrt(3 / 2) / (8 * mean**3) - 1 / 8
    return np.asarray(curve.gain * photons - curve.variance_at_zero / curve.gain)


def _sigma(curve: NoiseCurve) -> float:
    return float(np.sqrt(curve.variance_at_zero)) or 1.0  # an image without any noise stays as it is
