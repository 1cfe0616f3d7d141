"""Shift and scale pixels so that the network's arithmetic is precise; undone after, and without effect on the result.

A norm-equiv network allows any shift and scale, a scale-equiv one any scale.  An ordinary network allows neither: its input
is mapped to [0, 1] from a declared range, and that choice changes its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ne_denoise.core.statistics import PlaneStatistics, Read


@dataclass(frozen=True)
class Numerics:
    """network input = (pixel − shift) / scale, in float64 before the cast to float32.

    Attributes
    ----------
    shift, scale
        In image units; a number, or one for each of several planes, (N, 1, 1).
    mean
        The plane's mean as the network sees it; a number, or (N,).
    sigma
        Standard deviation of the noise as the network sees it, for those that are told; a number, or (N, 1, 1).
    """

    shift: float | np.ndarray
    scale: float | np.ndarray
    mean: float | np.ndarray
    sigma: float | np.ndarray | None = None

    def only(self, chosen: Sequence[bool]) -> Numerics:
        """That of some of several planes."""
        which = np.asarray(chosen)
        sigma = None if self.sigma is None else np.asarray(self.sigma)[which]
        shift, scale, mean = (np.asarray(values)[which] for values in (self.shift, self.scale, self.mean))
        return Numerics(shift, scale, mean, sigma)

    def forward(self, pixels: np.ndarray) -> np.ndarray:
        """Image units to what the network is given, float64."""
        return (np.asarray(pixels, np.float64) - self.shift) / self.scale

    def back(self, values: np.ndarray) -> np.ndarray:
        """What the network gives to image units, float64."""
        return np.asarray(values, np.float64) * self.scale + self.shift


def blend(pixels: np.ndarray, denoised: np.ndarray, strength: float) -> np.ndarray:
    """The pixels y with a share of what denoising changes: y + strength · (f(y) − y), in image units and float64.

    A weighted mean of two functions that follow a change of unit and offset follows it too.  With a strength of 0 these are the pixels to
    the bit, with 1 the denoised ones.
    """
    if strength == 1:
        return denoised
    return np.asarray(pixels + strength * (denoised - pixels), np.float64) if strength else np.asarray(pixels, np.float64)


def stack_numerics(planes: Sequence[Numerics]) -> Numerics:
    """That of several planes together."""
    shift, scale, mean = (np.array([getattr(plane, name) for plane in planes], np.float64) for name in ("shift", "scale", "mean"))
    sigma = None if any(plane.sigma is None for plane in planes) else np.array([plane.sigma for plane in planes], np.float64)[:, None, None]
    return Numerics(shift[:, None, None], scale[:, None, None], mean, sigma)


def choose_numerics(
    equivariance: str, statistics: PlaneStatistics, dtype: np.dtype[Any], read: Read, sigma: float | None = None
) -> Numerics:
    """The shift and scale that a network's law allows for one plane, and its noise in these units."""
    shift, scale = _shift_and_scale(equivariance, statistics, dtype, read)
    mean = 0.0 if equivariance == "norm-equiv" else (statistics.mean - shift) / scale
    return Numerics(shift, scale, mean, None if sigma is None else sigma / scale)


def _shift_and_scale(equivariance: str, statistics: PlaneStatistics, dtype: np.dtype[Any], read: Read) -> tuple[float, float]:
    if equivariance == "norm-equiv":
        return statistics.mean, statistics.std
    if equivariance == "scale-equiv":
        return 0.0, statistics.std
    low, high = declared_range(dtype) or _smallest_and_largest(read)
    return low, (high - low) or 1.0


def declared_range(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """The range that an ordinary network's input is mapped from: the dtype's for integers, None (that of the pixels) for floats."""
    if np.dtype(dtype).kind == "f":
        return None
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def _smallest_and_largest(read: Read) -> tuple[float, float]:
    pixels = read(slice(None), slice(None))
    return float(pixels.min()), float(pixels.max())
