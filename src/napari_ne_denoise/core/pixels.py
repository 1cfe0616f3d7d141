"""Pixels on their way in and out: which images are accepted, how their planes are read, which dtype the result has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ImageError, one_line, reason_of
from napari_ne_denoise.core.settings import Nonfinite, OutputDtype
from napari_ne_denoise.core.statistics import Read

# bytes of a plane that is read whole if it is not in memory
LARGEST_PLANE_READ_ONCE = 2**28
# the same, for whoever wants a window of it: so much is one chunk, or read soon enough
LARGEST_PLANE_READ_FOR_WINDOW = 2**25


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
        If its pixels are no real numbers, or some are masked.
    """
    array = _as_array(image)
    try:
        kind = np.dtype(array.dtype).kind
    except TypeError:
        raise ImageError(f"dtype={array.dtype}: must be integers or floats that numpy knows.") from None
    if kind == "b":
        raise ImageError("dtype=bool: a mask has no noise to remove; give an image of integers or floats.")
    if kind == "c":
        raise ImageError(f"dtype={array.dtype}: must be real; denoise image.real and image.imag, or numpy.abs(image), separately.")
    if kind not in "iuf":
        raise ImageError(f"dtype={array.dtype}: must be integers or floats.")
    return array


def _as_array(image: Any) -> ArrayLike:
    if isinstance(image, str | bytes | PathLike):
        raise ImageError(f"image={image!r}: must be an array of pixels; read the file first, for instance with tifffile.imread.")
    sparse = sys.modules.get("scipy.sparse")  # importing it takes a tenth of a second, and who gives such an image has done so
    if sparse is not None and sparse.issparse(image):
        raise ImageError(f"image: is a sparse {type(image).__name__}; give image.toarray().")
    if isinstance(image, list | tuple) and any(isinstance(plane, np.ma.MaskedArray) for plane in image):
        image = np.ma.stack(image)
    if isinstance(image, np.ma.MaskedArray):
        return _unmasked(image, "numpy.ma")
    if type(image).__module__.split(".")[0] == "torch":
        return _of_tensor(image)
    if all(hasattr(image, name) for name in ("shape", "dtype", "__getitem__")):
        array: ArrayLike = image
        return array
    try:
        return np.asarray(image)
    except ValueError:
        raise ImageError("image: its rows differ in length; every row of an image has as many pixels.") from None


def _of_tensor(tensor: Any) -> np.ndarray:
    """The pixels of a tensor of torch."""
    try:
        return np.asarray(tensor.detach().cpu())
    except (TypeError, RuntimeError) as error:  # a sparse one, or one of bfloat16, for instance
        raise ImageError(f"image: is a tensor that numpy does not take ({one_line(str(error))}); give image.to_dense().float().") from error


# How dask computes what is read in a thread: those who listen to all that it computes, as napari's cache does, would be told of it too.
# They are of the whole process, and forget what is computed elsewhere at the same time: napari then cannot show a layer.
UNHEARD: dict[str, Any] = {"callbacks": ()}


def as_pixels(part: Any) -> np.ndarray:
    """A part of an image that was read, whose pixels may be computed only now.

    Raises
    ------
    ImageError
        If some are masked: dask arrays tell that only when they are computed.
    """
    if callable(getattr(part, "compute", None)):  # numpy.asarray would lose the mask
        part = part.compute(**UNHEARD)
    return _unmasked(part, "dask.array.ma") if isinstance(part, np.ma.MaskedArray) else np.asarray(part)


def _unmasked(image: np.ma.MaskedArray[Any, Any], module: str) -> np.ndarray:
    if np.ma.is_masked(image):
        raise ImageError(
            "image: has masked pixels.",
            mend="masked",
            python=f'give {module}.filled(image.astype(float), numpy.nan) and nonfinite="keep" to denoise around them',
        )
    return np.asarray(image)


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
    if dtype.itemsize >= values.dtype.itemsize:
        return np.asarray(values, dtype)
    largest = float(np.finfo(dtype).max)
    # infinities that were to be kept stay
    return np.asarray(np.where(np.isfinite(values), np.clip(values, -largest, largest), values), dtype)


def count_nonfinite(values: np.ndarray) -> int:
    """How many numbers are NaN or infinite."""
    return 0 if values.dtype.kind in "iu" else int(np.count_nonzero(~np.isfinite(values)))


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
    most_read_once
        Bytes of a plane that is read whole if it is not in memory.  None: the usual.
    """

    image: ArrayLike
    layout: PlaneLayout
    nonfinite: Nonfinite
    most_read_once: int | None = None

    def check(self) -> None:
        """Refuse NaN and infinities of an array in memory before any work is done; others are checked when they are read.

        Raises
        ------
        ImageError
            With their count and the place of the first.
        """
        if self.nonfinite == "keep" or not self._may_be_nonfinite or not self._in_memory:
            return
        count, first = 0, None
        for plane in self.layout.planes():
            bad = ~np.isfinite(self._window(plane, slice(None), slice(None)))
            found = int(np.count_nonzero(bad))
            if found and first is None:
                first = self._position(plane, bad)
            count += found
        if first is not None:
            raise _nonfinite_error(str(count), count, first)

    def open_plane(self, plane: Index) -> tuple[Read, np.ndarray | None]:
        """A function that reads finite windows of one plane, and the plane's pixels that must come back as they are.

        The second is None, or a plane (Y, X) that is finite wherever the result is to be the network's.
        """
        if self.nonfinite == "keep" and self._may_be_nonfinite:
            return self._open_and_fill(plane)
        if self._in_memory or not self._is_small:
            return lambda rows, columns: self._finite_window(plane, rows, columns), None
        # read once: statistics and tiles would else load the same part of a file again and again
        pixels = self._finite_window(plane, slice(None), slice(None))
        return lambda rows, columns: pixels[rows, columns], None

    def _open_and_fill(self, plane: Index) -> tuple[Read, np.ndarray | None]:
        pixels = self._window(plane, slice(None), slice(None))
        bad = ~np.isfinite(pixels)
        if not bad.any():
            return lambda rows, columns: pixels[rows, columns], None
        filled = _fill_from_nearest(pixels, bad)
        return lambda rows, columns: filled[rows, columns], pixels

    @property
    def opens_whole(self) -> bool:
        """Whether opening a plane reads all of it."""
        if self.nonfinite == "keep" and self._may_be_nonfinite:
            return True
        return not self._in_memory and self._is_small

    @property
    def _in_memory(self) -> bool:
        return isinstance(self.image, np.ndarray) and not isinstance(self.image, np.memmap)

    @property
    def _is_small(self) -> bool:
        rows, columns = self.layout.plane_shape
        return rows * columns * np.dtype(self.image.dtype).itemsize <= (self.most_read_once or LARGEST_PLANE_READ_ONCE)

    @property
    def _may_be_nonfinite(self) -> bool:
        return np.dtype(self.image.dtype).kind == "f"

    def _window(self, plane: Index, rows: slice, columns: slice) -> np.ndarray:
        index = self.layout.window(plane, rows, columns)
        try:
            pixels = as_pixels(self.image[index])
        except (MemoryError, ImageError):
            raise
        except Exception as error:  # files, networks and lazy computations each have their own
            raise _unreadable(plane, reason_of(error)) from error
        wanted = tuple(
            len(range(*at.indices(length))) for at, length in zip(index, self.layout.shape, strict=True) if isinstance(at, slice)
        )
        if pixels.shape != wanted:
            raise _unreadable(plane, f"it has the shape {pixels.shape}, not {wanted}")
        return self.layout.to_image(pixels)

    def _finite_window(self, plane: Index, rows: slice, columns: slice) -> np.ndarray:
        pixels = self._window(plane, rows, columns)
        if self._may_be_nonfinite and not self._in_memory:
            bad = ~np.isfinite(pixels)
            count = int(np.count_nonzero(bad))
            if count:
                raise _nonfinite_error(f"at least {count}", count, self._position(plane, bad, rows.start or 0, columns.start or 0))
        return pixels

    def _position(self, plane: Index, bad: np.ndarray, first_row: int = 0, first_column: int = 0) -> tuple[int, ...]:
        """Where in the array the first bad pixel of a window is."""
        row, column = np.unravel_index(int(bad.argmax()), bad.shape)
        return self.layout.position(plane, first_row + int(row), first_column + int(column))


def planes_from(layout: PlaneLayout, start_at: tuple[int, ...] | None) -> Iterator[Index]:
    """All planes, beginning with the one that holds an array position."""
    planes = list(layout.planes())
    first = planes.index(layout.plane_at(start_at)) if start_at is not None else 0
    yield from planes[first:]
    yield from planes[:first]


def _fill_from_nearest(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    if bad.all():
        return np.zeros_like(pixels)
    from scipy import ndimage  # takes a seventh of a second, which most runs do not need

    nearest = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
    return np.asarray(pixels[tuple(nearest)])


def _unreadable(plane: Index, why: str) -> ImageError:
    number = ", ".join(str(at) for at in plane if isinstance(at, int))
    said = f"image:{f' its plane {number}' if number else ''} could not be read ({why})."
    return ImageError(said, mend="unreadable", python="see whether its files are all there and whole")


def _nonfinite_error(said: str, count: int, first: tuple[int, ...]) -> ImageError:
    return ImageError(
        f"image: {said} pixel{'s are' if count > 1 else ' is'} NaN or infinite, the first at {first}.",
        mend="nonfinite",
        python='repair them, or give nonfinite="keep" to denoise the rest and get them back as they are',
    )
