"""Pixels on their way in and out: which images are accepted, how their planes are read, which dtype the result has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.settings import Nonfinite, OutputDtype
from napari_ne_denoise.core.statistics import Read


class ArrayLike(Protocol):
    """What is denoised: a numpy, dask or zarr array, or anything else with these three."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        ...

    def __getitem__(self, index: Index) -> Any:
        """A part, which ``numpy.asarray`` accepts."""
        ...


def as_image(image: Any) -> ArrayLike:
    """The image itself if it can be read in parts, else as a numpy array.

    Raises
    ------
    ImageError
        If its pixels are no real numbers.
    """
    array: ArrayLike = image if hasattr(image, "shape") and hasattr(image, "dtype") and hasattr(image, "__getitem__") else np.asarray(image)
    kind = np.dtype(array.dtype).kind
    if kind == "b":
        raise ImageError("dtype=bool: a mask has no noise to remove; give an image of integers or floats.")
    if kind == "c":
        raise ImageError(f"dtype={array.dtype}: must be real; denoise image.real and image.imag, or numpy.abs(image), separately.")
    if kind not in "iuf":
        raise ImageError(f"dtype={array.dtype}: must be integers or floats.")
    return array


def result_dtype(dtype: np.dtype[Any], wanted: OutputDtype) -> np.dtype[Any]:
    """The dtype of the result: for "auto" float32, or float64 where float32 would lose digits of the input."""
    if wanted == "input":
        return np.dtype(dtype)
    return np.result_type(dtype, np.float32) if wanted == "auto" else np.dtype(wanted)


def to_dtype(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Cast to the result's dtype; integers are rounded and clipped to what the dtype can hold."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # the largest 64-bit integers have no float64: the next one below has
        highest = np.nextafter(float(limits.max), 0) if float(limits.max) > limits.max else float(limits.max)
        return np.asarray(np.clip(np.rint(values), float(limits.min), highest).astype(dtype))
    return np.asarray(values, dtype)


@dataclass(frozen=True)
class PlaneReader:
    """Reads windows of the planes of an image.

    Attributes
    ----------
    image
        Never modified.
    layout
        How the image is cut into planes.
    nonfinite
        "error" or "keep".
    """

    image: ArrayLike
    layout: PlaneLayout
    nonfinite: Nonfinite

    def check(self) -> None:
        """Refuse NaN and infinities of an array in memory before any work is done; others are checked when they are read.

        Raises
        ------
        ImageError
            With their count and the place of the first.
        """
        if self.nonfinite == "keep" or not self._may_be_nonfinite or not isinstance(self.image, np.ndarray):
            return
        count, first = 0, None
        for plane in self.layout.planes():
            found = np.argwhere(~np.isfinite(self.image[plane]))
            if len(found) and first is None:
                first = self._position(plane, found[0])
            count += len(found)
        if first is not None:
            raise _nonfinite_error(count, first)

    def open_plane(self, plane: Index) -> tuple[Read, np.ndarray | None]:
        """A function that reads finite windows of one plane, and the plane's pixels that must come back as they are.

        The second is None, or a plane (Y, X) that is finite wherever the result is to be the network's.
        """
        if self.nonfinite == "error" or not self._may_be_nonfinite:
            return lambda rows, columns: self._read(plane, rows, columns), None
        pixels = self._window(plane, slice(None), slice(None))
        bad = ~np.isfinite(pixels)
        if not bad.any():
            return lambda rows, columns: pixels[rows, columns], None
        filled = _fill_from_nearest(pixels, bad)
        return lambda rows, columns: filled[rows, columns], pixels

    @property
    def _may_be_nonfinite(self) -> bool:
        return np.dtype(self.image.dtype).kind == "f"

    def _window(self, plane: Index, rows: slice, columns: slice) -> np.ndarray:
        return self.layout.to_image(np.asarray(self.image[self.layout.window(plane, rows, columns)]))

    def _read(self, plane: Index, rows: slice, columns: slice) -> np.ndarray:
        pixels = self._window(plane, rows, columns)
        if self._may_be_nonfinite and not isinstance(self.image, np.ndarray):
            found = np.argwhere(~np.isfinite(pixels))
            if len(found):
                offset = np.array([rows.start or 0, columns.start or 0])
                raise _nonfinite_error(len(found), self._position(plane, self._in_axis_order(found[0] + offset)))
        return pixels

    def _in_axis_order(self, point: np.ndarray) -> np.ndarray:
        return point if self.layout.rows < self.layout.columns else point[::-1]

    def _position(self, plane: Index, point: np.ndarray) -> tuple[int, ...]:
        spatial = iter(point)
        return tuple(int(next(spatial)) if isinstance(at, slice) else at for at in plane)


def planes_from(layout: PlaneLayout, start_at: tuple[int, ...] | None) -> Iterator[Index]:
    """All planes, beginning with the one that holds an array position."""
    planes = list(layout.planes())
    first = planes.index(layout.plane_at(start_at)) if start_at is not None else 0
    yield from planes[first:]
    yield from planes[:first]


def _fill_from_nearest(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    if bad.all():
        return np.zeros_like(pixels)
    nearest = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
    return np.asarray(pixels[tuple(nearest)])


def _nonfinite_error(count: int, first: tuple[int, ...]) -> ImageError:
    return ImageError(
        f"image: {count} pixel{'s are' if count > 1 else ' is'} NaN or infinite, the first at {first}; repair them, "
        'or give nonfinite="keep" to denoise the rest and get them back as they are.'
    )
