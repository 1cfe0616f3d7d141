"""Hot and dead pixels of a detector, found and replaced by what is around them before anything else is done.

A detector's own pixels are where they are in every frame: over T, and over Z, which is only the focus of the same detector.  There they
are those that stand out in most of a few frames spread over the series, so that what lights up in one frame stays.  All other planes, of
which nobody said that they are frames of one detector, are looked at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.noise.hot_pixels import MARGIN, LonelyPixels
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.sampling import channel_axes_of, frame_axes_of
from napari_ne_denoise.core.pixels import PlaneReader
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.statistics import Read
from napari_ne_denoise.core.tiling import Window, inside, widened

MOST_FRAMES = 9  # that are looked at; odd, so that there is a majority
SIDE = 512  # pixels of the squares that are searched at once

# place of a detector or plane, frames that were looked at, whether its noise is known, place of a square, pixels found in it
SquareCount: TypeAlias = tuple[tuple[int, ...], int, bool, tuple[int, int], int]


class Repairs:
    """Finds and replaces hot pixels where that is asked for, piece by piece, as pixels are read.

    Parameters
    ----------
    settings
        Their `hot_pixels` and axes count.
    reader
        Where pixels come from.
    noise_of
        What is known of the noise of a plane.
    """

    def __init__(self, settings: DenoiseSettings, reader: PlaneReader, noise_of: Callable[[Index], NoiseModel]) -> None:
        self.wanted = settings.hot_pixels == "repair"
        self._settings, self._reader, self._noise_of = settings, reader, noise_of
        shape = reader.layout.shape
        self._channels = channel_axes_of(settings.axes, settings.channel_axis, shape)
        self._frames = frame_axes_of(settings.axes, shape)
        self._searches: dict[tuple[int, ...], _Search] = {}
        self._searching = Lock()

    def reading_from(self, reader: PlaneReader) -> Repairs:
        """The same, of the same image, with another way to read it."""
        return Repairs(self._settings, reader, self._noise_of)

    def open_plane(self, plane: Index) -> tuple[Read, np.ndarray | None]:
        """What `PlaneReader.open_plane` gives, hot pixels repaired, in the dtype of the image."""
        read, kept = self._reader.open_plane(plane)
        if not self.wanted:
            return read, kept
        repaired = self._reading(plane, read)
        return repaired, None if kept is None else np.where(np.isfinite(kept), repaired(slice(None), slice(None)), kept)

    def _reading(self, plane: Index, read: Read) -> Read:
        search, shape = self._search(plane), self._reader.layout.plane_shape

        def repaired(rows: slice, columns: slice) -> np.ndarray:
            window = _bounded((rows, columns), shape)
            wide = widened(window, 1, shape)
            pixels = np.array(read(*wide))
            with self._searching:
                places = search.within(wide, read)
            _replace(pixels, places - [part.start for part in wide])
            return np.asarray(pixels[inside(window, wide)])

        return repaired

    def as_record(self) -> list[dict[str, Any]]:
        """How many pixels were repaired so far, channel by channel; plain values that JSON can hold."""
        return self.record_of(self.counts())

    def counts(self) -> list[SquareCount]:
        """How many were found so far in each square that was searched, of each detector or plane."""
        with self._searching:
            searches = list(self._searches.items())
        return [
            (place, len(search.frames), search.lonely.knows_noise, square, len(places))
            for place, search in searches
            for square, places in search.found.items()
        ]

    def record_of(self, counts: Iterable[SquareCount]) -> list[dict[str, Any]]:
        """The record of what several processes found of the same image; squares that two of them searched count once."""
        found: dict[tuple[int, ...], list[SquareCount]] = {}
        for place, *rest in counts:
            found.setdefault(tuple(place[axis] for axis in self._channels), []).append((tuple(place), *rest))  # type: ignore[arg-type]
        pixels = math.prod(self._reader.layout.plane_shape)
        return [
            _record(of_channel, pixels) | ({"channel": list(channel)} if channel else {}) for channel, of_channel in sorted(found.items())
        ]

    def _search(self, plane: Index) -> _Search:
        noise = self._noise_of(plane)
        # frames of one detector share one
        key = tuple(at if isinstance(at, int) and axis not in self._frames else -1 for axis, at in enumerate(plane))
        with self._searching:
            if key not in self._searches:
                frames = tuple(_spread(self._reader.layout, plane, self._frames)) if self._frames else ()
                self._searches[key] = _Search(self._reader, frames, LonelyPixels(noise))
            return self._searches[key]


@dataclass
class _Search:
    """Of the planes of one detector, or of one plane.

    Attributes
    ----------
    reader
        Where pixels come from.
    frames
        Planes in most of which a pixel must stand out.  None: in the one plane there is.
    lonely
        Says which do.
    found
        Places (N, 2) in each square that was searched, by its number along Y and X.
    """

    reader: PlaneReader
    frames: Sequence[Index]
    lonely: LonelyPixels
    found: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def within(self, window: Window, read: Read) -> np.ndarray:
        """Places in a window of a plane that can be read; squares that were not searched are searched now."""
        squares = list(_squares(window))
        missing = [square for square in squares if square not in self.found]
        if missing and self.frames and self.reader.opens_whole:  # they would be read anew for each square
            missing = list(_squares(_bounded((slice(None), slice(None)), self.reader.layout.plane_shape)))
        if missing:
            self.found |= self._look_at(missing, read)
        places = np.concatenate([self.found[square] for square in squares])
        (top, bottom), (left, right) = ((part.start, part.stop) for part in window)
        rows, columns = places.T
        return np.asarray(places[(rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)])

    def _look_at(self, squares: Sequence[tuple[int, int]], read: Read) -> Mapping[tuple[int, int], np.ndarray]:
        seen: dict[tuple[int, int], list[np.ndarray]] = {square: [] for square in squares}
        for frame in (self.reader.open_plane(plane)[0] for plane in self.frames) if self.frames else [read]:
            for square in squares:
                seen[square].append(_find(frame, square, self.reader.layout.plane_shape, self.lonely))
        return {square: _most_often(places) for square, places in seen.items()}


def _record(counts: Sequence[SquareCount], pixels: int) -> dict[str, Any]:
    """Of the planes of one channel, each of so many pixels."""
    frames = counts[0][1]
    where = f"the same in all frames, as found in {frames} of them" if frames else "in each plane its own"
    count = sum({(place, tuple(square)): number for place, _, _, square, number in counts}.values())
    places = {place for place, *_ in counts}
    return {
        "repaired": count,
        "per_megapixel": round(1e6 * count / (len(places) * pixels), 3),
        "where": where if all(known for _, _, known, _, _ in counts) else "no noise was found that pixels could stand out from",
    }


def _spread(layout: PlaneLayout, plane: Index, axes: Sequence[int]) -> Iterator[Index]:
    """At most nine planes that differ from this one in their places along some axes only, spread evenly."""
    lengths = [layout.shape[axis] for axis in axes]
    total = math.prod(lengths)
    count = min(total, MOST_FRAMES)
    for number in range(count):
        places = np.unravel_index((2 * number + 1) * total // (2 * count), lengths)
        moved = dict(zip(axes, map(int, places), strict=True))
        yield tuple(moved.get(axis, at) for axis, at in enumerate(plane))


def _find(read: Read, square: tuple[int, int], shape: tuple[int, int], lonely: LonelyPixels) -> np.ndarray:
    """Places (N, 2) of lonely pixels in a square of a plane, which goes on beyond its borders as its mirror image."""
    window = _bounded(tuple(slice(number * SIDE, (number + 1) * SIDE) for number in square), shape)
    wide = widened(window, MARGIN, shape)
    missing = [(MARGIN - part.start + around.start, MARGIN - around.stop + part.stop) for part, around in zip(window, wide, strict=True)]
    pixels = np.pad(np.asarray(read(*wide), np.float64), missing, "reflect")
    return np.asarray(lonely.find(pixels) + [part.start - MARGIN for part in window])


def _most_often(places: Sequence[np.ndarray]) -> np.ndarray:
    """Those places (N, 2) that are in more than half of the lists."""
    found, counts = np.unique(np.concatenate(places), axis=0, return_counts=True)
    return np.asarray(found[2 * counts > len(places)])


def _replace(pixels: np.ndarray, places: np.ndarray) -> None:
    """Put the median of their neighbours in place of bad pixels, in place; bad neighbours, and those outside, do not count.

    Of an even number it is the lower one of the two in the middle: a value that the dtype of the image has.
    """
    bad = np.zeros(pixels.shape, bool)
    bad[tuple(places.T)] = True
    for row, column in places:
        around = slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)
        good = pixels[around][~bad[around]]
        if len(good):
            pixels[row, column] = np.sort(good)[(len(good) - 1) // 2]


def _squares(window: Window) -> Iterator[tuple[int, int]]:
    """The numbers of all squares that a window touches."""
    rows, columns = (range(part.start // SIDE, -(-part.stop // SIDE)) for part in window)
    return ((row, column) for row in rows for column in columns)


def _bounded(window: Sequence[slice], shape: tuple[int, int]) -> Window:
    """A window with both of its ends, inside the plane."""
    rows, columns = (slice(*part.indices(length)[:2]) for part, length in zip(window, shape, strict=True))
    return rows, columns
