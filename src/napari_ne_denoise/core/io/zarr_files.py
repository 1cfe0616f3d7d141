"""OME-Zarr: images of any size, read where they are needed and written part by part.

Reads versions 0.4 and 0.5, and bare zarr arrays; writes 0.5, in shards, with halved sizes for viewers.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import ome_zarr
from napari_ne_denoise.core.io.failures import NOT_WRITTEN, failures_named
from napari_ne_denoise.core.io.image_file import ImageFile
from napari_ne_denoise.core.io.letters import distinct_letters
from napari_ne_denoise.core.io.targets import is_folder_of_zarr, require_zarr

if TYPE_CHECKING:
    import zarr

CHUNK = 512  # pixels; a chunk of float32 has 1 MiB
SHARD = 2048  # pixels; one file for 4×4 chunks, so that a large image is not ten thousand files
# bytes of a plane that is gathered before it is written, so that no shard is written twice
LARGEST_PLANE_GATHERED = 2**28


def read_zarr(path: Path, series: int = 0) -> ImageFile:
    """Open one image of a zarr; of a pyramid the full size.  Its pixels are an array of zarr or dask that reads what is asked for.

    Raises
    ------
    FileError
        If zarr is missing, or there is no such image.
    """
    require_zarr()
    import zarr

    from napari_ne_denoise.core.io.zarr_guard import PlainFiles, guarded

    node = zarr.open(PlainFiles(path, read_only=True), mode="r")
    attributes = dict(node.attrs)
    if isinstance(node, zarr.Array):
        return _bare(path, guarded(path, node))
    images = ome_zarr.multiscales_in(attributes)
    if not images and ome_zarr.ome_in(attributes).get("bioformats2raw.layout") and is_folder_of_zarr(path / str(series)):
        return read_zarr(path / str(series))
    if not images:
        ome_zarr.refuse_other_kinds(path, attributes)
    if not 0 <= series < len(images):
        raise FileError(f"{path}: series={series}: holds {len(images)} image(s); give 0 to {len(images) - 1}.")
    described = ome_zarr.describe(attributes, series)
    array = node[described.path]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{described.path} in it is no array")
    array = guarded(path, array)
    if array.ndim != len(described.axes):
        raise ValueError(f"its array has {array.ndim} axes, and its metadata name {len(described.axes)}")
    return _restored(path, array, attributes, described)


def read_zarr_description(path: Path) -> ImageFile | None:
    """What the group of an OME-Zarr says of its first image, with its axes as they are stored; None if it is none."""
    attributes = ome_zarr.read_attributes(path)
    if not ome_zarr.multiscales_in(attributes):
        return None
    described, image = ome_zarr.describe(attributes, 0), read_zarr(path)
    own = ome_zarr.restored_axes(attributes, described)
    if own is None or ome_zarr.stored_axes(own).order == tuple(range(len(own))):
        return image
    stored = ome_zarr.stored_axes(own)
    pixels = _transposed(image.pixels, stored.order)
    return replace(image, pixels=pixels, axes=described.axes, pixel_size=described.pixel_size, origin=described.origin)


def _restored(path: Path, array: zarr.Array[Any], attributes: dict[str, Any], described: ome_zarr.Described) -> ImageFile:
    pixels, axes, sizes, origin = _lazy(array), described.axes, described.pixel_size, described.origin
    own = ome_zarr.restored_axes(attributes, described)
    if own is not None:
        order = ome_zarr.stored_axes(own).order
        back = tuple(order.index(axis) for axis in range(len(order)))
        pixels, axes = _transposed(pixels, back), own
        sizes, origin = ome_zarr.restored_sizes(attributes, own)
    notes = (f"of the {described.levels} sizes in the file the full one is taken",) if described.levels > 1 and own is None else ()
    provenance, name = ome_zarr.record_in(attributes), described.name or path.name
    return ImageFile(pixels, axes, sizes, described.channel_names, name, provenance, notes, origin)


def _bare(path: Path, array: zarr.Array[Any]) -> ImageFile:
    names = getattr(array.metadata, "dimension_names", None) or ()
    letters = "".join(str(name or "?")[:1] for name in names).upper()
    told = len(letters) == array.ndim and letters.count("Y") == letters.count("X") == 1
    return ImageFile(_lazy(array), distinct_letters(letters) if told else None, name=path.name)


def _lazy(array: zarr.Array[Any]) -> np.ndarray:
    """Said to be of NumPy's type, since for those who take windows of it there is no difference."""
    return cast(np.ndarray, array)


def _transposed(pixels: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    if order == tuple(range(len(order))):
        return pixels
    import dask.array

    return cast(np.ndarray, dask.array.from_array(pixels).transpose(order))


class ZarrParts:
    """An OME-Zarr that is being written part by part.

    Parameters
    ----------
    folder
        Where; not there yet.
    image
        All but the pixels, of which only the shape counts.
    dtype
        Of the pixels to come.
    target
        What errors call it.

    Raises
    ------
    FileError
        From here, `put` and `finish`: if it cannot be written.

    Attributes
    ----------
    image
        May be replaced until `finish`, for instance by one that knows how it was made.
    """

    def __init__(self, folder: Path, image: ImageFile, dtype: np.dtype[Any], target: Path) -> None:
        import zarr

        assert image.axes is not None
        self.image, self._target = image, target
        self._stored = ome_zarr.stored_axes(image.axes)
        shape = tuple(image.pixels.shape[axis] for axis in self._stored.order)
        self._levels: list[zarr.Array[Any]] = []
        with self._failures():
            self._group = zarr.open_group(folder, mode="w-", zarr_format=3)
            self._add_level(shape, dtype.newbyteorder("="))
        self._gathers = math.prod(shape[-2:]) * dtype.itemsize <= LARGEST_PLANE_GATHERED
        self._plane: tuple[int, ...] | None = None
        self._gathered = np.empty(shape[-2:] if self._gathers else (0, 0), dtype.newbyteorder("="))

    def put(self, index: Index, values: np.ndarray) -> None:
        """Write a part of a plane, given as ``array[index] = values`` with numbers for all axes but rows and columns.

        Parts of one plane come one after another.
        """
        plane = tuple(cast(int, index[axis]) for axis in self._stored.order[:-2])
        rows, columns = (cast(slice, index[axis]) for axis in self._stored.order[-2:])
        upright = values if self._stored.order[-2] < self._stored.order[-1] else values.T
        if not self._gathers:
            with self._failures():
                self._levels[0][_window(plane, rows, columns)] = upright
            return
        if plane != self._plane:
            self._write_gathered()
            self._plane = plane
        self._gathered[rows, columns] = upright

    def finish(self) -> None:
        """Write the smaller sizes, and what is said of the image."""
        self._write_gathered()
        self._gathered = np.empty((0, 0))
        with self._failures():
            self._add_smaller_levels()
            shapes = [level.shape for level in self._levels]
            self._group.update_attributes(ome_zarr.attributes_of(self.image, shapes, _range(self._levels[-1])))

    def _add_smaller_levels(self) -> None:
        while max(self._levels[-1].shape[-2:]) > CHUNK:
            finer = self._levels[-1]
            shape = (*finer.shape[:-2], *(-(-length // 2) for length in finer.shape[-2:]))
            self._add_level(shape, finer.dtype)
            _fill_with_means(finer, self._levels[-1])

    def _write_gathered(self) -> None:
        if self._plane is not None:
            with self._failures():
                self._levels[0][_window(self._plane, slice(None), slice(None))] = self._gathered
        self._plane = None

    def _failures(self) -> AbstractContextManager[None]:
        return failures_named(self._target, *NOT_WRITTEN)

    def _add_level(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        from zarr.codecs import BloscCodec

        ones, sides = (1,) * (len(shape) - 2), shape[-2:]
        chunks = tuple(min(CHUNK, length) for length in sides)
        shards = (*ones, *(min(SHARD, -(-length // chunk) * chunk) for length, chunk in zip(sides, chunks, strict=True)))
        level = self._group.create_array(
            str(len(self._levels)),
            shape=shape,
            dtype=dtype,
            chunks=(*ones, *chunks),
            shards=None if shards == (*ones, *chunks) else shards,
            compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
            dimension_names=list(self._stored.letters.lower()),
        )
        self._levels.append(level)


def write_zarr(folder: Path, image: ImageFile, target: Path) -> None:
    """Write a whole image, shard by shard, whatever kind of array its pixels are and however large."""
    assert image.axes is not None
    parts = ZarrParts(folder, image, np.dtype(image.pixels.dtype), target)
    lengths = list(zip(image.axes, image.pixels.shape, strict=True))
    rows, columns = (_pieces(length) for length in (dict(lengths)["Y"], dict(lengths)["X"]))
    for plane in np.ndindex(*(1 if letter in "YX" else length for letter, length in lengths)):
        for y, x in product(rows, columns):
            pieces = {"Y": y, "X": x}
            index = tuple(pieces.get(letter, at) for letter, at in zip(image.axes, plane, strict=True))
            parts.put(index, np.asarray(image.pixels[index]))
    parts.finish()


def _pieces(length: int) -> list[slice]:
    return [slice(start, min(start + SHARD, length)) for start in range(0, length, SHARD)]


def _fill_with_means(finer: zarr.Array[Any], coarser: zarr.Array[Any]) -> None:
    """Fill an array with the means of 2×2 pixels of another; at an odd end, of those that are there."""
    pieces = [_pieces(length) for length in coarser.shape[-2:]]
    for plane, (rows, columns) in product(np.ndindex(coarser.shape[:-2]), product(*pieces)):
        pixels = np.asarray(finer[_window(plane, _doubled(rows), _doubled(columns))])
        coarser[_window(plane, rows, columns)] = _halved(pixels)


def _window(plane: tuple[int, ...], rows: slice, columns: slice) -> Index:
    return (*plane, rows, columns)


def _doubled(piece: slice) -> slice:
    return slice(2 * piece.start, 2 * piece.stop)


def _halved(pixels: np.ndarray) -> np.ndarray:
    even = np.pad(pixels, [(0, length % 2) for length in pixels.shape], mode="edge")
    wide = np.complex128 if pixels.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        means = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3), dtype=wide)
        return np.asarray((np.rint(means) if pixels.dtype.kind in "biu" else means).astype(pixels.dtype))


def _range(array: zarr.Array[Any]) -> tuple[float, float]:
    """Smallest and largest value, of those that are numbers."""
    low, high = math.inf, -math.inf
    for plane in np.ndindex(array.shape[:-2]):
        values = np.asarray(array[plane])
        real = np.abs(values) if values.dtype.kind == "c" else values
        finite = real[np.isfinite(real)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 1.0)
