"""Windows of an image denoised one by one, as somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.numerics import blend
from napari_ne_denoise.core.pixels import LARGEST_PLANE_READ_FOR_WINDOW, to_dtype
from napari_ne_denoise.core.run import DenoisingRun, OpenPlane, Step, in_groups
from napari_ne_denoise.core.tiling import Tile, Window, inside, overlap, tile_window

# planes that stay open: those of a colour image
MOST_OPEN = 4


@dataclass(frozen=True, eq=False)
class Region:
    """A window of a plane, before and after.

    Attributes
    ----------
    noisy : (Y, X)
        As the image has it, hot pixels repaired if the run repairs them.
    denoised : (Y, X) float64
        In image units, at full strength.  Pixels that are no numbers are as in the image, if the run keeps them.
    dtype
        Of a result.
    """

    noisy: np.ndarray
    denoised: np.ndarray
    dtype: np.dtype[Any]

    def at(self, strength: float) -> np.ndarray:
        """The result for a strength, to the bit what `denoise` gives for it."""
        with np.errstate(invalid="ignore"):
            values = blend(self.noisy, self.denoised, strength)
        if self.noisy.dtype.kind == "f":
            values = np.where(np.isfinite(self.noisy), values, self.noisy)
        return to_dtype(values, self.dtype)


class Regions:
    """Computes windows of the planes of an image; for one thread at a time.

    A window reads what it needs of the image and nothing more, apart from the blocks that the statistics of its plane are taken from, and
    planes of at most 32 MiB, which are read whole if they are not in memory.  What was found of a plane is kept until four others were
    asked for: a further window of it costs what the network costs.

    On a CPU in float32 a window holds the very bits that the whole result holds there.  With precision "auto" a plane is computed in the
    same precision as it will be then; but what was computed in half precision is looked at again tile by tile, and a window is another
    tile: where one of the two was not exact enough and was repeated in float32, they differ by what half precision costs (below a
    hundredth of the noise).

    Parameters
    ----------
    run
        With everything decided.
    most_open
        Planes that stay open: each may be in memory.

    Attributes
    ----------
    run
        The same, reading as windows are read.
    """

    def __init__(self, run: DenoisingRun, most_open: int = MOST_OPEN) -> None:
        reader = replace(run.reader, most_read_once=LARGEST_PLANE_READ_FOR_WINDOW)
        self.run = replace(run, reader=reader, repairs=run.repairs.reading_from(reader))
        self._opened: dict[tuple[int, ...], OpenPlane] = {}
        self._most_open = most_open

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a result."""
        return self.run.dtype

    def read(self, plane: Index, window: Window) -> np.ndarray:
        """The pixels (Y, X) of a window of a plane, as the image has them.

        Raises
        ------
        NEDenoiseError
            If the window is empty or reaches beyond the plane, or it cannot be read.
        """
        self._check(window)
        opened = self._open(plane)
        return np.asarray(opened.raw(*window) if opened.kept is None else opened.kept[window])

    def compute(self, plane: Index, window: Window) -> Region:
        """Denoise a window of a plane; can be ended between two layers of the network (`interruption`).

        Parameters
        ----------
        plane
            From the run's `PlaneLayout`, such as ``layout.plane_at(position)``.
        window
            Rows and columns, with start and stop.

        Raises
        ------
        NEDenoiseError
            If the window is empty or reaches beyond the plane, it cannot be read, or memory does not even hold the smallest tile.
        """
        self._check(window)
        opened, run = self._open(plane), self.run
        shape = tuple(part.stop - part.start for part in window)
        noisy, denoised = np.empty(shape, run.reader.image.dtype), np.empty(shape, np.float64)
        tiles = tile_window(run.layout.plane_shape, window, run.tile_size, run.grid)
        for tile, raws, values in run.denoise_tiles([opened], opened.precision, tiles):
            wanted = overlap(tile.keep, window)
            finished = opened.finished(values[0], raws[0], tile, strength=1)
            noisy[inside(wanted, window)] = raws[0][inside(wanted, tile.keep)]
            denoised[inside(wanted, window)] = finished[inside(wanted, tile.keep)]
        return Region(noisy if opened.kept is None else opened.kept[window], denoised, self.dtype)

    def steps(self, planes: Sequence[Index], window: Window) -> Iterator[Step]:
        """Denoise a window of some planes, tile by tile, for whoever writes it; small planes are computed together, as in a whole run.

        Parameters
        ----------
        planes
            From the run's `PlaneLayout`.
        window
            Of each plane: rows and columns, with start and stop.

        Raises
        ------
        NEDenoiseError
            As `compute` does.
        """
        self._check(window)
        layout, done = self.run.layout, 0
        total = len(planes) * (window[0].stop - window[0].start) * (window[1].stop - window[1].start)

        def tiles() -> list[Tile]:
            return tile_window(layout.plane_shape, window, self.run.tile_size, self.run.grid)

        for group in in_groups(iter(planes), self.run.planes_at_once):
            opened = self.run.open_planes(group) if len(group) > 1 else [self._open(group[0])]
            for plane, tile, values in self.run.denoise_opened(opened, tiles):
                kept = overlap(tile.keep, window)
                done += (kept[0].stop - kept[0].start) * (kept[1].stop - kept[1].start)
                yield Step(done, total, layout.window(plane, *kept), layout.to_image(values[inside(kept, tile.keep)]))

    def close(self) -> None:
        """Forget all planes, and give memory of the device back."""
        self._opened.clear()
        devices.release_memory(self.run.device)

    def _open(self, plane: Index) -> OpenPlane:
        place = tuple(at for at in plane if isinstance(at, int))
        if place not in self._opened:
            while len(self._opened) >= self._most_open:
                del self._opened[next(iter(self._opened))]
            (self._opened[place],) = self.run.open_planes([plane])
        return self._opened[place]

    def _check(self, window: Window) -> None:
        shape = self.run.layout.plane_shape
        if any(not 0 <= part.start < part.stop <= length for part, length in zip(window, shape, strict=True)):
            rows, columns = ((part.start, part.stop) for part in window)
            raise SettingsError(f"window: rows {rows} and columns {columns} are no part of a plane of {shape[0]}×{shape[1]} pixels.")
