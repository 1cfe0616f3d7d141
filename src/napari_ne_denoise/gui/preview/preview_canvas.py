"""What a preview shows, and which of its cells are denoised already."""

from collections.abc import Sequence

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.tiling import Window, inside, overlap, round_up

# side in pixels of a cell, the least that is computed at once: a multiple of every network's stride
CELL = 32
# side in cells of the first piece, and of further ones: the first one is to be there at once, and holds a view of 512×512 pixels wherever
# that begins; further ones waste less on their surroundings
FIRST_SIDE, SIDE = 18, 24


def in_cells(window: Window, shape: tuple[int, int]) -> Window:
    """The window with whole cells, cut off where the plane ends."""
    rows, columns = (
        slice(part.start // CELL * CELL, min(round_up(part.stop, CELL), length)) for part, length in zip(window, shape, strict=True)
    )
    return rows, columns


class Canvas:
    """A window of some planes: noisy at first, denoised piece by piece.

    Parameters
    ----------
    planes
        Of which; several are the colours of one.
    window
        Of whole cells.
    noisy
        (planes, Y, X), as the image has it.
    """

    def __init__(self, planes: Sequence[Index], window: Window, noisy: np.ndarray) -> None:
        self.planes, self.window = tuple(planes), window
        self.noisy, self.denoised = noisy, noisy.astype(np.float64)
        cells = [-(-(part.stop - part.start) // CELL) for part in window]
        self.done = np.zeros(cells, bool)

    def take_over(self, other: "Canvas") -> None:
        """Take what another one of the same planes has denoised already."""
        shared = overlap(self.window, other.window)
        if any(part.start >= part.stop for part in shared):
            return
        here, there = inside(shared, self.window), inside(shared, other.window)
        self.denoised[:, *here] = other.denoised[:, *there]
        self.done[_cells(here)] = other.done[_cells(there)]

    def holds(self, window: Window) -> bool:
        """Whether a window lies in it."""
        return all(own.start <= part.start and part.stop <= own.stop for own, part in zip(self.window, window, strict=True))

    def next_piece(self, seen: Window) -> Window | None:
        """What of a window to denoise next: what is nearest to its middle; None if everything is done."""
        cells = _cells(inside(seen, self.window))
        missing = ~self.done[cells]
        if not missing.any():
            return None
        rows, columns = _grow(missing, FIRST_SIDE if missing.all() else SIDE)
        pieces = (slice(start * CELL, stop * CELL) for start, stop in (_moved(rows, cells[0]), _moved(columns, cells[1])))
        row_part, column_part = (
            slice(own.start + piece.start, min(own.start + piece.stop, own.stop)) for piece, own in zip(pieces, self.window, strict=True)
        )
        return row_part, column_part

    def note_done(self, piece: Window) -> None:
        """A piece of whole cells is denoised."""
        self.done[_cells(inside(piece, self.window))] = True


def _moved(cells: slice, within: slice) -> tuple[int, int]:
    return cells.start + within.start, cells.stop + within.start


def _cells(window: Window) -> Window:
    """The cells that a window, counted from the start of a canvas, touches."""
    rows, columns = (slice(part.start // CELL, -(-part.stop // CELL)) for part in window)
    return rows, columns


def _grow(missing: np.ndarray, side: int) -> Window:
    """A rectangle of missing cells, of at most `side` cells each way, around the one that is nearest to the middle."""
    places = np.argwhere(missing)
    middle = (np.array(missing.shape) - 1) / 2
    row, column = places[np.square(places - middle).sum(1).argmin()]
    top, bottom, left, right = int(row), int(row) + 1, int(column), int(column) + 1
    grown = True
    while grown:
        grown = False
        if bottom - top < side and bottom < len(missing) and missing[bottom, left:right].all():
            bottom, grown = bottom + 1, True
        if bottom - top < side and top > 0 and missing[top - 1, left:right].all():
            top, grown = top - 1, True
        if right - left < side and right < missing.shape[1] and missing[top:bottom, right].all():
            right, grown = right + 1, True
        if right - left < side and left > 0 and missing[top:bottom, left - 1].all():
            left, grown = left - 1, True
    return slice(top, bottom), slice(left, right)


def on_layer_axes(values: np.ndarray, layout: PlaneLayout, rgb: bool) -> np.ndarray:
    """A view of planes (planes, Y, X) with all axes of a layer; those that count planes have a length of one."""
    turned = values if layout.rows < layout.columns else values.swapaxes(1, 2)
    image = np.moveaxis(turned, 0, -1) if rgb else turned[0]
    shown = (layout.rows, layout.columns, len(layout.shape) - 1) if rgb else (layout.rows, layout.columns)
    return image[tuple(slice(None) if axis in shown else None for axis in range(len(layout.shape)))]
