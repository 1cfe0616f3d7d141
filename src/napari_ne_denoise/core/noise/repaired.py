"""An image whose hot pixels are repaired, read in parts as any other one."""

from __future__ import annotations

import itertools
from threading import Lock
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.noise.repair import Repairs
from napari_ne_denoise.core.statistics import Read

MOST_OPEN = 4  # planes that are kept open: those of a colour image


class RepairedImage:
    """What a run denoises where it repairs hot pixels: what strength counts from, and what filters are of; several threads may read it.

    Parameters
    ----------
    repairs
        Of the run.
    layout
        How its image is cut into planes.
    dtype
        Of the image.
    part
        Which part of it this is, a slice for each axis, with whole rows and columns.  None: all of it.
    """

    def __init__(self, repairs: Repairs, layout: PlaneLayout, dtype: np.dtype[Any], part: tuple[slice, ...] | None = None) -> None:
        self._repairs, self._layout, self.dtype = repairs, layout, np.dtype(dtype)
        self._part = part or tuple(slice(0, length) for length in layout.shape)
        self.shape = tuple(window.stop - window.start for window in self._part)
        self.ndim = len(self.shape)
        self._open: dict[tuple[int, ...], tuple[Read, np.ndarray | None]] = {}
        self._opening = Lock()

    def __getitem__(self, index: Any) -> np.ndarray:
        """A part, by whole numbers and slices without steps.

        Raises
        ------
        NEDenoiseError
            If it cannot be read.
        """
        asked = (*(index if isinstance(index, tuple) else (index,)), *([slice(None)] * self.ndim))[: self.ndim]
        windows = [_window(at, length) for at, length in zip(asked, self.shape, strict=True)]
        result = np.empty([window.stop - window.start for window in windows], self.dtype)
        rows, columns = self._layout.rows, self._layout.columns
        counts = [range(1) if axis in (rows, columns) else range(length) for axis, length in enumerate(result.shape)]
        for place in itertools.product(*counts):
            position = tuple(first.start + window.start + at for first, window, at in zip(self._part, windows, place, strict=True))
            target = self._layout.plane_at(place)
            result[target] = self._layout.to_image(self._read(self._layout.plane_at(position), windows[rows], windows[columns]))
        single = tuple(0 if isinstance(at, int | np.integer) else slice(None) for at in asked)
        return np.asarray(result[single])

    def _read(self, plane: Index, rows: slice, columns: slice) -> np.ndarray:
        place = tuple(at for at in plane if isinstance(at, int))
        with self._opening:
            if place not in self._open:
                while len(self._open) >= MOST_OPEN:
                    del self._open[next(iter(self._open))]
                self._open[place] = self._repairs.open_plane(plane)
            read, kept = self._open[place]
        return read(rows, columns) if kept is None else kept[rows, columns]


def _window(at: Any, length: int) -> slice:
    if isinstance(at, slice):
        return slice(*at.indices(length)[:2])
    place = int(at) % length
    return slice(place, place + 1)
