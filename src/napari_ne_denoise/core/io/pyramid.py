"""The smaller sizes of an OME-Zarr: each the means of 2×2 pixels of the one before, made piece by piece, here or by many processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.interruption import check_if_wanted

if TYPE_CHECKING:
    import zarr

Piece = tuple[tuple[int, ...], slice, slice]  # place of the plane, rows, columns
Found = TypeVar("Found")


class DoAll(Protocol):
    """Calls a function for all of some pieces, one after another or in many processes, and gives what it gave."""

    def __call__(self, function: Callable[[Piece], Found], pieces: Sequence[Piece], /) -> Iterable[Found]:
        """Results come in any order."""
        ...


def pieces(shape: tuple[int, ...], side: int) -> Iterator[Piece]:
    """Squares of all planes (the last two axes), cut as shards are, so that no two pieces are of one."""
    rows, columns = ([slice(start, min(start + side, length)) for start in range(0, length, side)] for length in shape[-2:])
    return product(np.ndindex(shape[:-2]), rows, columns)


def halved_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the next smaller size; at an odd end one pixel is the mean of those that are there."""
    return (*shape[:-2], *(-(-length // 2) for length in shape[-2:]))


class FillWithMeans:
    """Fills a piece of one size with the means of 2×2 pixels of the size before.

    Parameters
    ----------
    folder
        Of the OME-Zarr.
    level
        Number of the size to fill.
    """

    def __init__(self, folder: Path, level: int) -> None:
        self.folder, self.level = folder, level

    def __call__(self, piece: Piece) -> None:
        """Read, and write."""
        plane, rows, columns = piece
        finer = np.asarray(_array(self.folder, self.level - 1, "r")[_window(plane, _doubled(rows), _doubled(columns))])
        _array(self.folder, self.level, "r+")[_window(plane, rows, columns)] = _halved(finer)


class RangeOf:
    """Finds the smallest and the largest value of a piece of one size, of those that are numbers; (inf, -inf) if there are none."""

    def __init__(self, folder: Path, level: int) -> None:
        self.folder, self.level = folder, level

    def __call__(self, piece: Piece) -> tuple[float, float]:
        """Read, and look."""
        values = np.asarray(_array(self.folder, self.level, "r")[_window(*piece)])
        real = np.abs(values) if values.dtype.kind == "c" else values
        finite = real[np.isfinite(real)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)


def one_by_one(function: Callable[[Piece], Found], pieces: Sequence[Piece]) -> list[Found]:
    """Do all here, as long as it is wanted."""
    found = []
    for piece in pieces:
        check_if_wanted()
        found.append(function(piece))
    return found


def widest(ranges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The range that holds all; 0 to 1 if there is none."""
    low, high = math.inf, -math.inf
    for smallest, largest in ranges:
        low, high = min(low, smallest), max(high, largest)
    return (low, high) if low <= high else (0.0, 1.0)


def _array(folder: Path, level: int, mode: Any) -> zarr.Array[Any]:
    import zarr

    return zarr.open_array(folder / str(level), mode=mode)


def _window(plane: tuple[int, ...], rows: slice, columns: slice) -> Index:
    return (*plane, rows, columns)


def _doubled(piece: slice) -> slice:
    return slice(2 * piece.start, 2 * piece.stop)


def _halved(pixels: np.ndarray) -> np.ndarray:
    even = np.pad(pixels, [(0, length % 2) for length in pixels.shape], mode="edge")
    wide = np.complex128 if pixels.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        means = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3), dtype=wide)
        return np.asarray((np.rint(means) if pixels.dtype.kind in "biu" else means).astype(pixels.dtype))
