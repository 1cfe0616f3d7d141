"""A figure of several filters: where their pixels are, and beside the surroundings of each its filter, enlarged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_ne_denoise.core.jacobian.weights import Filter, centred
from napari_ne_denoise.core.pictures import draw_frame, enlarged, grey, padded, shrunk, signed, written
from napari_ne_denoise.core.tiling import Window, inside, square_around

OVERVIEW = 620  # longest side in pixels of the figure's left part
LARGEST_READ = 4096  # side of a plane that an overview is drawn of; of larger ones what is around the filters
GAP, TEXT, MARK = 10, 13, (255, 120, 20)
# enlargement of a weight, by the number of filters
ZOOMS = ((1, 10), (4, 6), (9, 4), (25, 3))
SMALLEST_ZOOM = 2
WIDER = 1.6  # than high, beside the overview


def overview_window(shape: tuple[int, int], points: Sequence[tuple[int, int]], side: int) -> Window:
    """What of a plane the left part shows: all, or of a large one what is around the pixels."""
    if max(shape) <= LARGEST_READ:
        return slice(0, shape[0]), slice(0, shape[1])
    rows, columns = (
        slice(max(0, min(places) - side), min(length, max(places) + side + 1))
        for places, length in zip(zip(*points, strict=True), shape, strict=True)
    )
    if max(rows.stop - rows.start, columns.stop - columns.start) > LARGEST_READ:
        return square_around(points[0], LARGEST_READ, (slice(0, shape[0]), slice(0, shape[1])))
    return rows, columns


def montage(
    plane: np.ndarray,
    window: Window,
    filters: Sequence[Filter],
    points: Sequence[tuple[int, int]],
    side: int,
    contrast: tuple[float, float],
) -> np.ndarray:
    """The figure, (Y, X, 3) uint8.

    Parameters
    ----------
    plane, window
        What the weights were applied to, and where in the whole plane it lies.
    filters, points
        And row and column of the pixel of each.
    side
        Of the squares of weights, in pixels of the image.
    contrast
        What is black and what is white.
    """
    zoom = next((zoom for most, zoom in ZOOMS if len(filters) <= most), SMALLEST_ZOOM)
    cells = [
        _cell(plane, window, found, point, side, zoom, contrast, number)
        for number, (found, point) in enumerate(zip(filters, points, strict=True), start=1)
    ]
    left = _overview(plane, window, points, side, contrast)
    across = max(1, round(math.sqrt(len(cells) * cells[0].shape[0] / cells[0].shape[1] * WIDER)))
    rows = [np.concatenate(_full(cells[first : first + across], across), 1) for first in range(0, len(cells), across)]
    right = np.concatenate(rows, 0)
    height = max(left.shape[0], right.shape[0]) + 2 * TEXT
    parts = [padded(part, height, part.shape[1] + GAP) for part in (left, right)]
    figure = np.pad(np.concatenate(parts, 1), ((GAP, GAP), (GAP, 0), (0, 0)), constant_values=255)
    return written(figure, [(figure.shape[0] - GAP - TEXT - 2, GAP, _legend(filters, side))], TEXT)


def _legend(filters: Sequence[Filter], side: int) -> str:
    seen = " of the image after its noise was made the same everywhere" if any(each.domain == "stabilised" for each in filters) else ""
    return f"Squares of {side} x {side} pixels. Weights{seen}: red adds, blue subtracts, white is nothing; each filter has its own limits."


def _cell(
    plane: np.ndarray,
    window: Window,
    found: Filter,
    point: tuple[int, int],
    side: int,
    zoom: int,
    contrast: tuple[float, float],
    number: int,
) -> np.ndarray:
    """Surroundings and filter of a pixel side by side, and a line of words below."""
    around = np.full((side, side), np.nan)
    here = square_around(point, side, window)
    first = [part.start - (at - side // 2) for part, at in zip(here, point, strict=True)]
    patch = plane[inside(here, window)]
    around[first[0] : first[0] + patch.shape[0], first[1] : first[1] + patch.shape[1]] = patch
    missing = np.isnan(around)
    weights = centred(found, point, side)
    limit = float(np.abs(weights).max())
    pictures = []
    for picture in (grey(np.where(missing, contrast[1], around), *contrast), signed(weights, limit)):
        large = padded(enlarged(picture, zoom), side * zoom, side * zoom).copy()
        middle = slice(side // 2 * zoom, side // 2 * zoom + zoom)
        draw_frame(large, middle, middle, MARK)
        draw_frame(large, slice(1, side * zoom - 1), slice(1, side * zoom - 1), (170, 170, 170))
        pictures.append(large)
    both = np.concatenate((pictures[0], np.full((side * zoom, 2, 3), 255, np.uint8), pictures[1]), 1)
    cell = np.pad(both, ((0, 2 * TEXT + GAP), (0, GAP), (0, 0)), constant_values=255)
    words = [
        (side * zoom + 1, 0, f"{number}: y {point[0]}, x {point[1]}"),
        (side * zoom + 1 + TEXT, 0, f"{_count(found.pixels_averaged)} px averaged, up to {limit:.2g}"),
    ]
    return written(cell, words, TEXT - 1)


def _count(pixels: float) -> str:
    return f"{pixels:.0f}" if pixels >= 100 else f"{pixels:.3g}"


def _full(cells: list[np.ndarray], across: int) -> list[np.ndarray]:
    return cells + [np.full_like(cells[0], 255)] * (across - len(cells))


def _overview(plane: np.ndarray, window: Window, points: Sequence[tuple[int, int]], side: int, contrast: tuple[float, float]) -> np.ndarray:
    small, factor = shrunk(plane, OVERVIEW)
    zoom = max(1, OVERVIEW // max(small.shape))
    picture = enlarged(np.stack([grey(small, *contrast)] * 3, -1), zoom)
    words = []
    for number, point in enumerate(points, start=1):
        rows, columns = (
            slice(int((at - half - part.start) * zoom / factor), int((at + half + 1 - part.start) * zoom / factor))
            for at, part, half in zip(point, window, (side // 2, side // 2), strict=True)
        )
        draw_frame(picture, slice(max(rows.start, 1), rows.stop), slice(max(columns.start, 1), columns.stop), MARK)
        words.append((max(rows.start, 0) + 1, max(columns.start, 0) + 3, str(number)))
    return written(picture, words, TEXT, MARK)
