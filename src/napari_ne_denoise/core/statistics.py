"""Mean, spread and noise of a plane from a few blocks on a lattice: cheap, equivariant, and the same for every tiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    weakest_noise
        The same of the block that has least, blocks of one value left out: a dim corner's, where another is bright.
    constant
        Whether all blocks have one value.
    """

    mean: float
    std: float
    noise: float
    weakest_noise: float
    constant: bool = False


def lattice(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """At most 64 blocks of 128×128 pixels, or of the whole side if shorter, spread evenly; fixed by the shape alone."""
    rows, columns = (_starts(length) for length in shape)
    return [(_block(r, shape[0]), _block(c, shape[1])) for r in rows for c in columns]


def plane_statistics(read: Read, shape: tuple[int, int]) -> PlaneStatistics:
    """Take the statistics of a plane.

    Parameters
    ----------
    read
        Gives the pixels of a window (rows, columns) as a two-dimensional array of finite numbers.
    shape
        (Y, X) of the plane.
    """
    return stack_statistics([read], shape)[0]


def stack_statistics(reads: Sequence[Read], shape: tuple[int, int]) -> list[PlaneStatistics]:
    """Take the statistics of several planes of one shape at once, each as if it were alone.

    Sums run in float64, in a fixed order, relative to the first pixel, so that a constant plane has no spread and a large
    offset costs no digits.
    """
    blocks = [np.stack([np.asarray(read(*window), np.float64) for read in reads]) for window in lattice(shape)]  # each N, Y, X
    first = blocks[0][:, 0, 0].copy()
    for block in blocks:
        block -= first[:, None, None]
    # without this, squares of tiny or huge values would leave the range of float64
    largest = np.max([np.abs(block).max((1, 2)) for block in blocks], 0)
    constant = largest == 0
    unit = np.where(constant, 1.0, largest)
    for block in blocks:
        block /= unit[:, None, None]
    count = sum(block[0].size for block in blocks)
    mean = sum(_sums(block) for block in blocks) / count
    variance = sum(_sums(np.square(block - mean[:, None, None])) for block in blocks) / count
    noise, weakest = (values * unit for values in _white_noise(blocks))
    std = np.where(constant, 1.0, np.sqrt(variance) * unit)
    columns = (first + mean * unit, std, noise, weakest)
    rows = zip(*(column.tolist() for column in columns), constant.tolist(), strict=True)
    return [PlaneStatistics(*row) for row in rows]


def laplacian(image: np.ndarray) -> np.ndarray:
    """Over the four neighbours, of an image (..., Y, X), a pixel less on each side; white noise keeps its standard deviation."""
    found = 4 * image[..., 1:-1, 1:-1]
    for neighbour in (image[..., :-2, 1:-1], image[..., 2:, 1:-1], image[..., 1:-1, :-2], image[..., 1:-1, 2:]):
        found -= neighbour
    found /= math.sqrt(20)
    return np.asarray(found)


def _sums(block: np.ndarray) -> np.ndarray:
    """Of each plane, its pixels in one row: the order of the sum is then the same for one plane and for many."""
    return np.asarray(block.reshape(len(block), -1).sum(1))


def _starts(length: int) -> list[int]:
    count = min(MOST_BLOCKS_PER_AXIS, -(-length // BLOCK_SIDE))
    if count == 1:
        return [0]
    return [(length - BLOCK_SIDE) * k // (count - 1) for k in range(count)]


def _block(start: int, length: int) -> slice:
    return slice(start, min(start + BLOCK_SIDE, length))


def _white_noise(blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation of the noise of each plane, and that of its quietest block."""
    residuals = (laplacian(block) for block in blocks if min(block.shape[1:]) >= 3)
    sizes = np.array([np.abs(residual.reshape(len(residual), -1)) for residual in residuals])  # blocks, N, pixels
    if not sizes.size:
        return np.zeros(len(blocks[0])), np.zeros(len(blocks[0]))
    # a quarter of the pixels tells the median well enough, and takes a quarter of the time
    noise = np.median(np.concatenate(sizes[..., ::4], -1), -1) / 0.6745
    of_blocks = sizes.mean(-1) * math.sqrt(math.pi / 2)
    weakest = np.where(of_blocks > 0, of_blocks, np.inf).min(0)
    return noise, np.where(np.isfinite(weakest), weakest, 0.0)
