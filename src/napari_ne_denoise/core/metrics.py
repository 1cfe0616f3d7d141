"""How close an image is to the truth."""

from __future__ import annotations

import numpy as np


def psnr(image: np.ndarray, truth: np.ndarray, peak: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    Parameters
    ----------
    image, truth
        Of one shape, in one unit.
    peak
        The value that counts as full signal, in that unit.
    """
    error = float(np.mean((np.asarray(image, np.float64) - np.asarray(truth, np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def fit_gain_and_offset(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``gain · image + offset``, the closest to the truth in least squares, for images that were scaled apart; float64."""
    x = np.asarray(image, np.float64)
    gain, _ = gain_and_offset(image, truth)
    return np.asarray(gain * (x - x.mean()) + np.mean(truth, dtype=np.float64))


def gain_and_offset(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Those of `fit_gain_and_offset`; a gain of 0 for a constant image."""
    x, y = np.asarray(image, np.float64), np.asarray(truth, np.float64)
    spread = x - x.mean()
    variance = float(np.mean(spread**2))
    gain = float(np.mean(spread * (y - y.mean()))) / variance if variance else 0.0
    return gain, float(y.mean() - gain * x.mean())
