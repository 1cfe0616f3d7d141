"""Spatially correlated noise, as cameras, scanners and processing make it from white noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Kernel = np.ndarray


def gaussian_kernel(rng: np.random.Generator) -> Kernel:
    """A blur of 0.35 to 1.1 pixels, sometimes wider along one axis: deconvolution, filters, interpolation of unknown kind."""
    widths = rng.uniform(0.35, 1.1, 2) if rng.random() < 0.3 else np.repeat(rng.uniform(0.35, 1.1), 2)
    at = np.arange(-4, 5)
    rows, columns = (np.exp(-0.5 * (at / width) ** 2) for width in widths)
    return np.outer(rows, columns)


def resampling_kernel(rng: np.random.Generator) -> Kernel:
    """A shift by a fraction of a pixel with bilinear interpolation: registration, drift correction, rotation."""
    rows, columns = (np.array([1 - part, part]) for part in rng.uniform(0.1, 0.5, 2))
    return np.outer(rows, columns)


def scanning_kernel(rng: np.random.Generator) -> Kernel:
    """A detector slower than the scan: each pixel keeps a share of the one before it in its row."""
    row = rng.uniform(0.15, 0.65) ** np.arange(8)
    return np.pad(row[::-1], (0, 7))[None, :]


def demosaicing_kernel(rng: np.random.Generator) -> Kernel:
    """The mean over neighbours by which a colour camera fills in what its filter mosaic leaves out."""
    row = np.array([0.5, 1, 0.5])
    return np.outer(row, row)


KERNELS: tuple[tuple[Callable[[np.random.Generator], Kernel], float], ...] = (
    (gaussian_kernel, 0.55),
    (resampling_kernel, 0.2),
    (scanning_kernel, 0.15),
    (demosaicing_kernel, 0.1),
)


def correlate(noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White noise (Y, X) made spatially correlated by a random kernel; its variance stays what it was, place by place.

    Where the variance changes from place to place, it is that of the neighbourhood of a kernel's width.
    """
    makers, odds = zip(*KERNELS, strict=True)
    kernel = makers[int(rng.choice(len(makers), p=odds))](rng)
    kernel = kernel / np.sqrt(np.square(kernel).sum())
    return np.asarray(ndimage.convolve(noise, kernel, mode="reflect"))
