"""The parts of a large result: each can be computed and written by another process, and no two write the same file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.io.zarr_files import ZarrParts
from napari_ne_denoise.core.noise.repair import SquareCount
from napari_ne_denoise.core.pixels import count_nonfinite
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.core.run import DenoisingRun, Step
from napari_ne_denoise.core.tiling import Window

# small planes that make a part together, in pixels: a second of work, and a line of a journal
PART_PIXELS = 2**22
# but no fewer parts than this, as far as there are planes, so that many processes share the work evenly
FEWEST_PARTS = 64


@dataclass(frozen=True)
class Part:
    """A window of planes that follow each other.

    Attributes
    ----------
    number
        Of the part, from 0.
    planes
        Numbers of its planes.
    window
        Rows and columns, with start and stop.
    """

    number: int
    planes: range
    window: Window

    @property
    def pixels(self) -> int:
        """How many there are."""
        rows, columns = self.window
        return len(self.planes) * int((rows.stop - rows.start) * (columns.stop - columns.start))


@dataclass(frozen=True)
class Parts:
    """How a result is cut: fixed by its shape and the side of a shard alone.

    Attributes
    ----------
    layout
        Of the planes.
    side
        Of a shard, in pixels.
    """

    layout: PlaneLayout
    side: int

    def __len__(self) -> int:
        """How many there are."""
        return -(-self.layout.plane_count // self._planes_each) * len(self._windows)

    def __getitem__(self, number: int) -> Part:
        """One of them."""
        group, window = divmod(number, len(self._windows))
        first = group * self._planes_each
        planes = range(first, min(first + self._planes_each, self.layout.plane_count))
        return Part(number, planes, self._windows[window])

    @cached_property
    def _windows(self) -> list[Window]:
        rows, columns = (
            [slice(start, min(start + self.side, length)) for start in range(0, length, self.side)] for length in self.layout.plane_shape
        )
        return [(r, c) for r in rows for c in columns]

    @cached_property
    def _planes_each(self) -> int:
        if len(self._windows) > 1:
            return 1
        rows, columns = self.layout.plane_shape
        return max(1, min(PART_PIXELS // (rows * columns), self.layout.plane_count // FEWEST_PARTS))


class PartMaker(ABC):
    """Computes and writes parts; one at a time.

    Parameters
    ----------
    run
        With everything decided.
    target
        Where they go.
    """

    def __init__(self, run: DenoisingRun, target: ZarrParts) -> None:
        self._run, self._target = run, target

    def steps(self, part: Part) -> Generator[Step, None, dict[str, Any]]:
        """Compute a part tile by tile, then write it; gives what a journal holds of it."""
        layout = self._run.layout
        planes = {number: layout.plane_number(number) for number in part.planes}
        made = {_place(plane): np.empty(_lengths(layout, part.window), self._target.dtype) for plane in planes.values()}
        told: dict[str, Any] = {"used": {}}  # how many pixels in which precision, where the network alone computes
        for step in self._compute(planes, part.window, told):
            made[_place(step.index)][_within(step.index, layout, part.window)] = step.values
            yield step
        for plane in planes.values():
            self._target.put(layout.window(plane, *part.window), made.pop(_place(plane)))
        return {"part": part.number} | told

    @abstractmethod
    def close(self) -> None:
        """Forget the plane that is open, and give memory of the device back."""

    @abstractmethod
    def _compute(self, planes: Mapping[int, Index], window: Window, told: dict[str, Any]) -> Iterator[Step]:
        """Compute a window of planes, by their numbers, and add what else a journal holds of them to what is told."""


class ResultMaker(PartMaker):
    """Computes and writes parts of a result."""

    def __init__(self, run: DenoisingRun, target: ZarrParts) -> None:
        self._regions = Regions(run, most_open=1)  # parts of a plane follow each other
        super().__init__(self._regions.run, target)
        self._told: dict[str, Any] = {}
        self._squares_told: set[SquareCount] = set()

    def close(self) -> None:
        """Forget the plane that is open, and give memory of the device back."""
        self._regions.close()

    def _compute(self, planes: Mapping[int, Index], window: Window, told: dict[str, Any]) -> Iterator[Step]:
        used_before, kept = Counter(self._run.precisions.used), 0
        for step in self._regions.steps(list(planes.values()), window):
            kept += count_nonfinite(step.values)
            yield step
        used = {str(dtype).removeprefix("torch."): count for dtype, count in (self._run.precisions.used - used_before).items()}
        told |= {"used": used} | ({"kept": kept} if kept else {}) | self._decided_since()

    def _decided_since(self) -> dict[str, Any]:
        """What was found of the image and was not told yet: lines would else repeat it a thousand times."""
        repairs = self._run.repairs
        squares = [square for square in (repairs.counts() if repairs.wanted else []) if square not in self._squares_told]
        self._squares_told.update(squares)
        found: dict[str, Any] = {"noise": self._run.treatments.as_record(), "hot_pixels": squares}
        new = {name: value for name, value in found.items() if value and value != self._told.get(name)}
        self._told |= new
        return new


def _place(index: Index) -> tuple[int, ...]:
    """Of a plane, along all axes but rows and columns."""
    return tuple(at for at in index if isinstance(at, int))


def _lengths(layout: PlaneLayout, window: Window) -> tuple[int, ...]:
    """Shape of a window of a plane, in the order of the array's axes."""
    rows, columns = (part.stop - part.start for part in window)
    return (rows, columns) if layout.rows < layout.columns else (columns, rows)


def _within(index: Index, layout: PlaneLayout, window: Window) -> tuple[slice, ...]:
    """The rows and columns of an index, counted from the start of a window, in the order of the array's axes."""
    starts = {layout.rows: window[0].start, layout.columns: window[1].start}
    return tuple(slice(at.start - starts[axis], at.stop - starts[axis]) for axis, at in enumerate(index) if isinstance(at, slice))
