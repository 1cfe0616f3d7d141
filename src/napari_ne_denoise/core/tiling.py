"""Geometry of tiles: what each one reads, keeps and writes.  No pixel is touched here.

A tile that reads at least the network's reach around what it keeps, from a multiple of its stride, gives exactly the result of
the whole plane: no blending, no seams.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_ne_denoise.core.errors import SettingsError

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
    """Cut a plane (Y, X) into tiles of about equal sides, at most `tile_size` rounded up to the stride; each pixel is kept once."""
    return tile_window(shape, (slice(0, shape[0]), slice(0, shape[1])), tile_size, grid)


def tile_window(shape: tuple[int, int], window: Window, tile_size: int, grid: Grid) -> list[Tile]:
    """Cut a window of a plane in the same way; at its edges tiles keep up to a stride more than the window."""
    rows, columns = (
        _cut(slice(part.start // grid.stride * grid.stride, min(round_up(part.stop, grid.stride), length)), tile_size, grid.stride)
        for part, length in zip(window, shape, strict=True)
    )
    return [_tile(shape, (r, c), grid) for r in rows for c in columns]


def _cut(side: slice, longest: int, stride: int) -> list[slice]:
    """Cut a side into pieces of about equal length, from multiples of the stride."""
    length = side.stop - side.start
    pieces = -(-length // round_up(longest, stride))
    step = round_up(-(-length // pieces), stride)
    return [slice(start, min(start + step, side.stop)) for start in range(side.start, side.stop, step)]


def small_first(tiles: list[Tile], point: tuple[int, int], side: int, shape: tuple[int, int], grid: Grid) -> list[Tile]:
    """The same pixels, but cut so that a square of `side` pixels around a point comes first: a first result is there at once.

    The tile with the point is cut into that square and at most four pieces around it.
    """
    first, *others = nearest_first(tiles, point)
    rows, columns = (_around(at, window, round_up(side, grid.stride), grid.stride) for at, window in zip(point, first.keep, strict=True))
    above, below = slice(first.keep[0].start, rows.start), slice(rows.stop, first.keep[0].stop)
    left, right = slice(first.keep[1].start, columns.start), slice(columns.stop, first.keep[1].stop)
    pieces = [(rows, columns), (rows, left), (rows, right), (above, first.keep[1]), (below, first.keep[1])]
    return [_tile(shape, (r, c), grid) for r, c in pieces if r.start < r.stop and c.start < c.stop] + others


def _around(at: int, window: slice, side: int, stride: int) -> slice:
    """A part of a window of about `side` pixels around a place in it, from a multiple of the stride; all of it if little would be left."""
    if window.stop - window.start <= 1.5 * side:
        return window
    latest = max(window.start, round_up(window.stop - side, stride))
    start = min(max((at - side // 2) // stride * stride, window.start), latest)
    return slice(start, min(start + side, window.stop))


def halve(tile: Tile, shape: tuple[int, int], grid: Grid) -> list[Tile]:
    """Cut what a tile keeps into pieces of about half its side; nothing if it cannot be cut further."""
    longest = max(window.stop - window.start for window in tile.keep)
    side = round_up(-(-longest // 2), grid.stride)
    if side >= longest:
        return []
    rows, columns = (_cut(window, side, grid.stride) for window in tile.keep)
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


def overlap(one: Window, other: Window) -> Window:
    """What two windows share."""
    rows, columns = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns


def inside(window: Window, outer: Window) -> Window:
    """A window counted from the start of another one."""
    rows, columns = (slice(w.start - o.start, w.stop - o.start) for w, o in zip(window, outer, strict=True))
    return rows, columns


def widened(window: Window, pixels: int, shape: tuple[int, int]) -> Window:
    """A window with so many pixels more on each side, as far as the plane goes."""
    rows, columns = (
        slice(max(0, part.start - pixels), min(length, part.stop + pixels)) for part, length in zip(window, shape, strict=True)
    )
    return rows, columns


def checked_region(region: Any, shape: tuple[int, int], longest: int | None = None) -> Window:
    """Rows and columns of a plane (Y, X) that somebody gave, with plain numbers; all of it for None.

    Parameters
    ----------
    region, shape
        Two slices, and of what.
    longest
        Pixels along a side, at most.  None: as many as there are.

    Raises
    ------
    SettingsError
        If it is no part of the plane, or too large.
    """
    if region is None and longest is None:
        return slice(0, shape[0]), slice(0, shape[1])
    try:
        rows, columns = (slice(operator.index(part.start), operator.index(part.stop)) for part in region if part.step in (None, 1))
        fits = all(
            0 <= part.start < part.stop <= length and part.stop - part.start <= (longest or length)
            for part, length in zip((rows, columns), shape, strict=True)
        )
    except (AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        at_most = "" if longest is None else f", at most {longest} pixels along each side"
        raise SettingsError(
            f"{_said_of(region)}: must lie inside the plane, which has the shape {shape}{at_most}.",
            mend="region",
            python="give two slices, such as (slice(0, 32), slice(0, 32))",
        )
    return rows, columns


def _said_of(region: Any) -> str:
    """A region that somebody gave, in words, such as "rows 0:64, columns 32:96"; as it came, if it is none."""
    try:
        rows, columns = (f"{part.start}:{part.stop}" + ("" if part.step in (None, 1) else f":{part.step}") for part in region)
    except (AttributeError, TypeError, ValueError):
        return f"region={region!r}"
    return f"rows {rows}, columns {columns}"
