"""Geometry of tiles: what each one reads, keeps and writes.  No pixel is touched here.

A tile that reads at least the network's reach around what it keeps, from a multiple of its stride, gives exactly the result of
the whole plane: no blending, no seams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """What a network demands of tiles: how far it looks, and the grid it works on.

    Attributes
    ----------
    reach
        Pixels around an output pixel that it may depend on.
    stride
        Windows must start at multiples of this.
    """

    reach: int
    stride: int

    @property
    def halo(self) -> int:
        """The reach, rounded up to the stride."""
        return round_up(self.reach, self.stride)


@dataclass(frozen=True)
class Tile:
    """One piece of a plane: the window that is read and the window, inside it, that is kept."""

    read: Window
    keep: Window

    @property
    def inner(self) -> Window:
        """`keep`, counted from the start of `read`."""
        return inside(self.keep, self.read)

    @property
    def pixels(self) -> int:
        """How many pixels are kept."""
        rows, columns = self.keep
        return int((rows.stop - rows.start) * (columns.stop - columns.start))


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `length`."""
    return -(-length // multiple) * multiple


def tile_plane(shape: tuple[int, int], tile_size: int, grid: Grid) -> list[Tile]:
    """Cut a plane (Y, X) into tiles that keep squares of `tile_size`, rounded up to the stride, every pixel exactly once."""
    side = round_up(tile_size, grid.stride)
    rows, columns = ([slice(start, min(start + side, length)) for start in range(0, length, side)] for length in shape)
    return [_tile(shape, (r, c), grid) for r in rows for c in columns]


def halve(tile: Tile, shape: tuple[int, int], grid: Grid) -> list[Tile]:
    """Cut what a tile keeps into pieces of about half its side; nothing if it cannot be cut further."""
    longest = max(window.stop - window.start for window in tile.keep)
    side = round_up(-(-longest // 2), grid.stride)
    if side >= longest:
        return []
    rows, columns = ([slice(at, min(at + side, window.stop)) for at in range(window.start, window.stop, side)] for window in tile.keep)
    return [_tile(shape, (r, c), grid) for r in rows for c in columns]


def nearest_first(tiles: list[Tile], point: tuple[float, float]) -> list[Tile]:
    """Tiles ordered by the distance of their kept window from a point (row, column)."""

    def distance(tile: Tile) -> float:
        return float(sum(max(window.start - at, 0, at - window.stop + 1) ** 2 for window, at in zip(tile.keep, point, strict=True)))

    return sorted(tiles, key=distance)


def _tile(shape: tuple[int, int], keep: Window, grid: Grid) -> Tile:
    return Tile(read_window(shape, keep, grid), keep)


def read_window(shape: tuple[int, int], keep: Window, grid: Grid) -> Window:
    """The window that must be read for `keep` to be exact, from a multiple of the stride, inside the plane."""
    rows, columns = _read_windows(shape, keep, grid)
    return rows, columns


def _read_windows(shape: tuple[int, int], keep: Window, grid: Grid) -> Iterator[slice]:
    for length, window in zip(shape, keep, strict=True):
        start = max(0, (window.start - grid.halo) // grid.stride * grid.stride)
        yield slice(start, min(length, round_up(window.stop, grid.stride) + grid.halo))


def square_around(point: tuple[int, int], side: int, within: Window) -> Window:
    """The square of `side` pixels centred on a point (row, column), cut off where `within` ends."""
    rows, columns = (
        slice(max(part.start, at - side // 2), min(part.stop, at - side // 2 + side)) for at, part in zip(point, within, strict=True)
    )
    return rows, columns


def inside(window: Window, outer: Window) -> Window:
    """A window counted from the start of another one."""
    rows, columns = (slice(w.start - o.start, w.stop - o.start) for w, o in zip(window, outer, strict=True))
    return rows, columns
