"""Denoisers of others, for white noise of a given or of an estimated strength: each takes an image (Y, X) in float64 and any units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma


def non_local_means(noisy: np.ndarray, sigma: float | None = None) -> np.ndarray:
    """Fast mode, with the strength that scikit-image's own example takes."""
    sigma = _known(noisy, sigma)
    denoised: np.ndarray = denoise_nl_means(noisy, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True)
    return denoised


def total_variation(noisy: np.ndarray, sigma: float | None = None) -> np.ndarray:
    """With σ as weight: the one rule without a number in it that scales with the image."""
    denoised: np.ndarray = denoise_tv_chambolle(noisy, weight=_known(noisy, sigma))
    return denoised


def block_matching(noisy: np.ndarray, noise: float | np.ndarray | None, peak: float) -> np.ndarray:
    """BM3D, where it is installed.

    Parameters
    ----------
    noisy
        (Y, X).
    noise
        Standard deviation of white noise, or the expected squared magnitude of the noise's `numpy.fft.fft2`, (Y, X).  None: a
        standard deviation that is estimated.
    peak
        What BM3D gets as 1.
    """
    from bm3d import bm3d  # type: ignore[import-untyped]  # non-commercial: used only where its user has installed it

    scaled = noise / peak**2 if isinstance(noise, np.ndarray) else _known(noisy, noise) / peak
    with _former_numpy():
        denoised: np.ndarray = bm3d(noisy / peak, scaled) * peak
    return denoised


@contextmanager
def _former_numpy() -> Iterator[None]:
    """With the name that NumPy's `trapezoid` had before 2.0, which bm4d 4.2 still calls for coloured noise."""
    module = cast(Any, np)
    missing = not hasattr(np, "trapz")
    if missing:
        module.trapz = module.trapezoid
    try:
        yield
    finally:
        if missing:
            del module.trapz


def _known(noisy: np.ndarray, sigma: float | None) -> float:
    return float(estimate_sigma(noisy)) if sigma is None else sigma
