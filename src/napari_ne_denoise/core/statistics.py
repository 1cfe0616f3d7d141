"""Mean, spread and noise of a plane from a few blocks on a lattice: cheap, equivariant, and the same for every tiling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Read = Callable[[slice, slice], np.ndarray]

BLOCK_SIDE = 128
MOST_BLOCKS_PER_AXIS = 8


@dataclass(frozen=True)
class PlaneStatistics:
    """Of one plane, in image units, float64.

    Attributes
    ----------
    mean
        Mean of the blocks.
    std
        Population standard deviation of the blocks; 1 if they are constant.
    noise
        Robust standard deviation of white noise, from the 4-neighbour Laplacian; 0 if there is none or the plane is too small.
    constant
        Whether all blocks have one value.
    """

    mean: float
    std: float
    noise: float
    constant: bool = False


def lattice(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """At most 64 blocks of 128×128 pixels, or of the whole side if shorter, spread evenly; fixed by the shape alone."""
    rows, columns = (_starts(length) for length in shape)
    return [(_block(r, shape[0]), _block(c, shape[1])) for r in rows for c in columns]


def plane_statistics(read: Read, shape: tuple[int, int]) -> PlaneStatistics:
    """Take the statistics of a plane.

    Sums run in float64, in a fixed order, relative to the first pixel, so that a constant plane has no spread and a large
    offset costs no digits.

    Parameters
    ----------
    read
        Gives the pixels of a window (rows, columns) as a two-dimensional array of finite numbers.
    shape
        (Y, X) of the plane.
    """
    blocks = [np.asarray(read(*window), np.float64) for window in lattice(shape)]
    first = float(blocks[0].flat[0])
    blocks = [block - first for block in blocks]
    # without this, squares of tiny or huge values would leave the range of float64
    largest = max(float(np.abs(block).max()) for block in blocks)
    if largest == 0:
        return PlaneStatistics(first, 1.0, 0.0, constant=True)
    blocks = [block / largest for block in blocks]
    count = sum(block.size for block in blocks)
    mean = sum(float(block.sum()) for block in blocks) / count
    variance = sum(float(np.square(block - mean).sum()) for block in blocks) / count
    return PlaneStatistics(first + mean * largest, math.sqrt(variance) * largest, _white_noise(blocks) * largest)


def _starts(length: int) -> list[int]:
    count = min(MOST_BLOCKS_PER_AXIS, -(-length // BLOCK_SIDE))
    if count == 1:
        return [0]
    return [(length - BLOCK_SIDE) * k // (count - 1) for k in range(count)]


def _block(start: int, length: int) -> slice:
    return slice(start, min(start + BLOCK_SIDE, length))


def _white_noise(blocks: list[np.ndarray]) -> float:
    residuals = [
        (4 * z[1:-1, 1:-1] - z[:-2, 1:-1] - z[2:, 1:-1] - z[1:-1, :-2] - z[1:-1, 2:]).ravel() / math.sqrt(20)
        for z in blocks
        if min(z.shape) >= 3
    ]
    return float(np.median(np.abs(np.concatenate(residuals)))) / 0.6745 if residuals else 0.0
