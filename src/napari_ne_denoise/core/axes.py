"""Which axes of an array are rows and columns of an image, and the list of planes that follows from it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.settings import checked_whole

Index: TypeAlias = tuple[int | slice, ...]

MOST_AXES = 6
# a last axis this short behind two this long looks like colours, not columns
COLOUR_LENGTHS = (3, 4)
SHORTEST_IMAGE_SIDE = 16


@dataclass(frozen=True)
class PlaneLayout:
    """How an array is cut into planes.

    Attributes
    ----------
    shape
        Of the whole array.
    rows, columns
        Numbers of the axes Y and X; every other axis counts planes.
    """

    shape: tuple[int, ...]
    rows: int
    columns: int

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X) of each plane."""
        return self.shape[self.rows], self.shape[self.columns]

    @property
    def plane_count(self) -> int:
        """How many planes there are."""
        return math.prod(self.shape) // math.prod(self.plane_shape)

    def planes(self) -> Iterator[Index]:
        """Indices of all planes, each with ``slice(None)`` for rows and columns."""
        for position in np.ndindex(*self._counts):
            yield self.plane_at(position)

    def plane_number(self, number: int) -> Index:
        """One of `planes`, by its number in their order."""
        return self.plane_at(tuple(map(int, np.unravel_index(number, self._counts))))

    @property
    def _counts(self) -> tuple[int, ...]:
        """How many planes there are along each axis."""
        return tuple(1 if axis in (self.rows, self.columns) else length for axis, length in enumerate(self.shape))

    def plane_at(self, position: tuple[int, ...]) -> Index:
        """The index of the plane that holds an array position."""
        return tuple(slice(None) if axis in (self.rows, self.columns) else int(at) for axis, at in enumerate(position))

    def checked_position(self, position: Sequence[int]) -> tuple[int, ...]:
        """A position in the array as plain whole numbers.

        Raises
        ------
        SettingsError
            If it has too few or too many numbers, or lies outside.
        """
        try:
            at = tuple(operator.index(coordinate) for coordinate in position)
        except TypeError:
            at = ()
        if len(at) != len(self.shape):
            raise SettingsError(
                f"position={position!r}: must be {len(self.shape)} whole numbers, one an axis of the image of shape {self.shape}."
            )
        if any(not 0 <= coordinate < length for coordinate, length in zip(at, self.shape, strict=True)):
            raise SettingsError(f"position {at}: outside the image, whose shape is {self.shape}.")
        return at

    def position(self, plane: Index, row: int, column: int) -> tuple[int, ...]:
        """The position in the array of a pixel of a plane."""
        places = {self.rows: row, self.columns: column}
        return tuple(places.get(axis, at if isinstance(at, int) else 0) for axis, at in enumerate(plane))

    def window(self, plane: Index, rows: slice, columns: slice) -> Index:
        """The array index of a window of a plane."""
        index = list(plane)
        index[self.rows], index[self.columns] = rows, columns
        return tuple(index)

    def to_image(self, values: np.ndarray) -> np.ndarray:
        """(Y, X) from the two-dimensional result of indexing the array with a window, or back."""
        return values if self.rows < self.columns else values.T


def plan_planes(shape: tuple[int, ...], axes: str | None = None, channel_axis: int | None = None) -> PlaneLayout:
    """Find rows and columns of an array.

    Parameters
    ----------
    shape
        Of the array, two to six axes.
    axes
        A letter an axis, such as "TCZYX".  None: the last two axes that hold no channels are rows and columns.
    channel_axis
        Number of the axis that holds channels, or None.

    Raises
    ------
    ImageError
        If the array is empty, has too few or too many axes, or looks like a colour image without saying so.
    SettingsError
        If `axes` or `channel_axis` do not fit the array.
    """
    if not 2 <= len(shape) <= MOST_AXES:
        raise ImageError(
            f"shape {shape}: an image must have 2 to {MOST_AXES} axes, the last two being rows and columns unless axes= says otherwise."
        )
    if 0 in shape:
        raise ImageError(f"shape {shape}: the image is empty; give one with at least one pixel along every axis.")
    channels = None if channel_axis is None else _axis_number(channel_axis, len(shape))
    if axes is not None:
        return _from_letters(shape, axes, channels)
    if channels is None and len(shape) > 2 and shape[-1] in COLOUR_LENGTHS and min(shape[-3:-1]) > SHORTEST_IMAGE_SIDE:
        letters = "TZC"[-(len(shape) - 2) :].rjust(len(shape) - 2, "Q")
        raise ImageError(
            f"shape {shape}: is the last axis colour or columns?",
            mend="last_axis",
            python=f'say channel_axis=-1 for {shape[-1]} colours, or axes="{letters}YX" (a letter an axis) for {shape[-1]} columns',
        )
    spatial = [axis for axis in range(len(shape)) if axis != channels]
    if len(spatial) < 2:
        raise SettingsError(
            f"channel_axis={channel_axis}: an image of shape {shape} has no two axes left for rows and columns; leave channel_axis out."
        )
    return PlaneLayout(shape, spatial[-2], spatial[-1])


def _axis_number(axis: int, count: int) -> int:
    axis = checked_whole("channel_axis", axis, "the number of an axis, or None if there are no channels")
    if not -count <= axis < count:
        raise SettingsError(
            f"channel_axis={axis}: the image has {count} axes; give {-count} to {count - 1}, or None if there are no channels."
        )
    return axis % count


def _from_letters(shape: tuple[int, ...], axes: str, channels: int | None) -> PlaneLayout:
    letters = axes.upper() if isinstance(axes, str) else axes
    if not isinstance(axes, str) or len(letters) != len(shape) or len(set(letters)) != len(letters) or not letters.isalpha():
        raise SettingsError(
            f'axes={axes!r}: must be {len(shape)} different letters for an image of shape {shape}, such as "{"QTCZYX"[-len(shape) :]}".'
        )
    if "Y" not in letters or "X" not in letters:
        raise SettingsError(f"axes={axes!r}: must contain Y and X, the rows and columns of a plane.")
    if channels is not None and letters[channels] in "YX":
        raise SettingsError(f"channel_axis={channels}: axes={axes!r} calls that axis {letters[channels]}; leave one of the two out.")
    return PlaneLayout(shape, letters.index("Y"), letters.index("X"))
