"""Which pixels of an image are looked at for its noise: at most 4 megapixels of one channel, spread evenly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.pixels import PlaneReader
from napari_ne_denoise.core.statistics import lattice

MOST_PIXELS = 4e6
LARGEST = 2048  # side in pixels of a plane that is looked at as a whole
MOST_PLANES = 64  # small ones; each is read on its own
FRAME_AXES = "TZ"  # along which an image is taken again and again, the better one first
CHANNEL_AXES = "CS"


def frame_axis_of(axes: str | None, shape: Sequence[int]) -> int | None:
    """The number of the axis along which the same is imaged again and again, by the letters of all axes; None if there is none."""
    letters = "" if axes is None else axes.upper()
    found = [letters.index(letter) for letter in FRAME_AXES if letter in letters]
    return next((axis for axis in found if shape[axis] > 1), None)


def frame_axes_of(axes: str | None, shape: Sequence[int]) -> tuple[int, ...]:
    """The numbers of all axes along which one detector took frame after frame, by the letters of all axes."""
    letters = "" if axes is None else axes.upper()
    return tuple(axis for axis, letter in enumerate(letters) if letter in FRAME_AXES and shape[axis] > 1)


def channel_axes_of(axes: str | None, channel_axis: int | None, shape: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the axes that hold several channels, by letters and by number."""
    letters = "" if axes is None else axes.upper()
    found = {letters.index(letter) for letter in CHANNEL_AXES if letter in letters}
    if channel_axis is not None:
        found.add(channel_axis % len(shape))
    return tuple(axis for axis in sorted(found) if shape[axis] > 1)


def windows_of(reader: PlaneReader, frame_axis: int | None, fixed: Mapping[int, int]) -> Iterator[np.ndarray]:
    """Windows (1 or 2 frames, Y, X) of float64, with NaN where the image has no numbers.

    Parameters
    ----------
    reader
        Where pixels come from.
    frame_axis
        Along which two frames that follow each other are taken together.  None: planes are taken alone.
    fixed
        Places of the planes by number of axis; along all other axes they are spread.
    """
    for planes in _planes(reader.layout, frame_axis, fixed):
        opened = [reader.open_plane(plane) for plane in planes]
        for window in lattice(reader.layout.plane_shape):
            yield np.stack([_with_gaps(read(*window), kept, window) for read, kept in opened])


def middle_of(reader: PlaneReader, fixed: Mapping[int, int]) -> np.ndarray:
    """The middle plane of those at given places, another if it is empty; at most 2048×2048 pixels of it, as float64; gaps are filled."""
    layout = reader.layout
    starts = (max(0, (length - LARGEST) // 2) for length in layout.plane_shape)
    rows, columns = (slice(start, start + LARGEST) for start in starts)
    for share in (0.5, 0.25, 0.75, 0.125, 0.875):
        plane = layout.plane_at(tuple(fixed.get(axis, int(share * length)) for axis, length in enumerate(layout.shape)))
        pixels = np.asarray(reader.open_plane(plane)[0](rows, columns), np.float64)
        if np.ptp(pixels):
            break
    return pixels


def _with_gaps(pixels: np.ndarray, kept: np.ndarray | None, window: tuple[slice, slice]) -> np.ndarray:
    values = np.asarray(pixels, np.float64)
    return values if kept is None else np.where(np.isfinite(kept[window]), values, np.nan)


def _planes(layout: PlaneLayout, frame_axis: int | None, fixed: Mapping[int, int]) -> Iterator[tuple[Index, ...]]:
    counts = [1 if axis in (layout.rows, layout.columns, *fixed) else length for axis, length in enumerate(layout.shape)]
    frames = 1
    if frame_axis is not None:
        counts[frame_axis] -= 1
        frames = 2
    total = math.prod(counts)
    of_plane = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in lattice(layout.plane_shape))
    wanted = min(total, max(1, min(MOST_PLANES, int(MOST_PIXELS / of_plane)) // frames))
    for number in range(wanted):
        # in the middle of equal parts: the ends of a stack are often empty
        place = np.unravel_index((2 * number + 1) * total // (2 * wanted), counts)
        position = [fixed.get(axis, int(at)) for axis, at in enumerate(place)]
        planes = [layout.plane_at(tuple(position))]
        if frame_axis is not None:
            position[frame_axis] += 1
            planes.append(layout.plane_at(tuple(position)))
        yield tuple(planes)
