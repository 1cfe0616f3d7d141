"""OME-Zarr: images of any size, read where they are needed and written part by part.

Reads versions 0.4 and 0.5, and bare zarr arrays; writes 0.5, in shards, with halved sizes for viewers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import ome_zarr
from napari_ne_denoise.core.io.failures import NOT_WRITTEN, failures_named
from napari_ne_denoise.core.io.image_file import ImageFile
from napari_ne_denoise.core.io.letters import distinct_letters
from napari_ne_denoise.core.io.names import place_in_home
from napari_ne_denoise.core.io.pyramid import DoAll, FillWithMeans, Piece, RangeOf, halved_shape, one_by_one, pieces, widest
from napari_ne_denoise.core.io.targets import is_folder_of_zarr, require_zarr

if TYPE_CHECKING:
    import zarr

CHUNK = 512  # pixels; a chunk of float32 has 1 MiB
SHARD = 2048  # pixels; one file for 4×4 chunks, so that a large image is not ten thousand files
# of blosc, without loss: level 5 takes twice the time, and saves a few percent of the bytes
PACKING: Any = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle"}
# what to say of failures where a further try goes on
GOES_ON = "could not be written", "what is finished of it stays, and the same again goes on"


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
    folders = [] if images else _images_of_bioformats(path, attributes)
    if not images and not folders:
        ome_zarr.refuse_other_kinds(path, attributes)
    ome_zarr.refuse_labels(path, attributes)
    if not 0 <= series < (number := len(images or folders)):
        raise FileError(f"{path}: series={series}: holds {number} image(s); give 0 to {number - 1}.")
    image = read_zarr(folders[series]) if folders else _described(path, node, attributes, series)
    note = f"the file holds {number} images; this is number {series}, {image.name}"
    return replace(image, notes=(note, *image.notes), series=series) if number > 1 else image


def _images_of_bioformats(path: Path, attributes: dict[str, Any]) -> list[Path]:
    """The folders of its images, if it is a group that bioformats2raw wrote; they count from 0."""
    if not ome_zarr.ome_in(attributes).get("bioformats2raw.layout"):
        return []
    return list(takewhile(is_folder_of_zarr, (path / str(number) for number in count())))


def _described(path: Path, node: zarr.Group, attributes: dict[str, Any], series: int) -> ImageFile:
    import zarr

    from napari_ne_denoise.core.io.zarr_guard import guarded

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


def read_zarr_levels(path: Path) -> list[Any]:
    """All sizes of the first image of an OME-Zarr that this program wrote, the full one first, as dask arrays with the image's own axes.

    Raises
    ------
    FileError
        If zarr is missing.
    """
    require_zarr()
    import dask.array
    import zarr

    node = cast("zarr.Group", zarr.open(path, mode="r"))
    attributes = dict(node.attrs)
    own = ome_zarr.restored_axes(attributes, ome_zarr.describe(attributes, 0))
    arrays = [dask.array.from_array(node[level["path"]]) for level in ome_zarr.multiscales_in(attributes)[0]["datasets"]]
    if own is None:
        return arrays
    order = ome_zarr.stored_axes(own).order
    return [array.transpose([order.index(axis) for axis in range(len(order))]) for array in arrays]


def _restored(path: Path, array: zarr.Array[Any], attributes: dict[str, Any], described: ome_zarr.Described) -> ImageFile:
    pixels, axes, sizes, origin = _lazy(array), described.axes, described.pixel_size, described.origin
    own = ome_zarr.restored_axes(attributes, described)
    if own is not None:
        order = ome_zarr.stored_axes(own).order
        back = tuple(order.index(axis) for axis in range(len(order)))
        pixels, axes = _transposed(pixels, back), own
        sizes, origin = ome_zarr.restored_sizes(attributes, own)
    notes = described.notes if own is None else ()
    if described.mirrored and own is None:
        origin = _origin_of_mirrored(described, array.shape)
        along = ", ".join(described.mirrored)
        notes += (f"its scale along {along} is negative: pixels keep their size and order, and the mirroring is lost",)
    if described.levels > 1 and own is None:
        notes += (f"of the {described.levels} sizes in the file the full one is taken",)
    provenance, name = ome_zarr.record_in(attributes), described.name or place_in_home(path)
    return ImageFile(pixels, axes, sizes, described.channel_names, name, provenance, notes, origin, described.channel_colours)


def _origin_of_mirrored(described: ome_zarr.Described, shape: tuple[int, ...]) -> dict[str, float]:
    """Where the first pixel lies once nothing is mirrored, so that the image fills the same part of space."""
    origin = dict(described.origin)
    for letter in described.mirrored:
        length = shape[described.axes.index(letter)]
        origin[letter] = origin.get(letter, 0.0) - (length - 1) * described.pixel_size.get(letter, (1.0, ""))[0]
    return origin


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
    """An OME-Zarr that is being written part by part, by one process or by several.

    Parameters
    ----------
    folder
        Where; not there yet, unless it is to be gone on with.
    image
        All but the pixels, of which only the shape counts.
    dtype
        Of the pixels to come.
    target
        What errors call it.
    begun
        Whether to go on with one that was begun with the same image and dtype.

    Raises
    ------
    FileError
        From here, `put` and `finish`: if it cannot be written.

    Attributes
    ----------
    image
        May be replaced until `finish`, for instance by one that knows how it was made.
    """

    def __init__(self, folder: Path, image: ImageFile, dtype: np.dtype[Any], target: Path, *, begun: bool = False) -> None:
        import zarr

        assert image.axes is not None
        self.image, self._folder, self._target = image, folder, target
        self._failing = GOES_ON if begun else NOT_WRITTEN
        self._stored = ome_zarr.stored_axes(image.axes)
        shape = tuple(image.pixels.shape[axis] for axis in self._stored.order)
        with self._failures():
            self._group = zarr.open_group(folder, mode="r+" if begun else "w-", zarr_format=3)
            self._full = cast("zarr.Array[Any]", self._group["0"]) if begun else self._add_level(0, shape, dtype.newbyteorder("="))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self._full.dtype

    def put(self, index: Index, values: np.ndarray) -> None:
        """Write a part of a plane, given as ``array[index] = values`` with numbers for all axes but rows and columns.

        Two processes may write at once where no shard is part of what both write.
        """
        plane = tuple(cast(int, index[axis]) for axis in self._stored.order[:-2])
        rows, columns = (cast(slice, index[axis]) for axis in self._stored.order[-2:])
        where: Index = (*plane, rows, columns)
        with self._failures():
            self._full[where] = values if self._stored.order[-2] < self._stored.order[-1] else values.T

    def finish(self, do_all: DoAll = one_by_one) -> None:
        """Write the smaller sizes, and what is said of the image; may be done again if it was broken off.

        Parameters
        ----------
        do_all
            Calls a function for each of the pieces of one size.
        """
        with self._failures():
            shapes = [self._full.shape]
            while max(shapes[-1][-2:]) > CHUNK:
                shapes.append(halved_shape(shapes[-1]))
                self._add_level(len(shapes) - 1, shapes[-1], self._full.dtype)
                for _ in do_all(FillWithMeans(self._folder, len(shapes) - 1), self._pieces(shapes[-1])):
                    pass
            shown = [widest(do_all(RangeOf(self._folder, len(shapes) - 1), group)) for group in self._shown_alike(shapes[-1])]
            self._group.update_attributes(ome_zarr.attributes_of(self.image, shapes, shown))

    def _shown_alike(self, shape: tuple[int, ...]) -> list[list[Piece]]:
        """The pieces of each channel; all of them, where there are none."""
        axis, all_pieces = ome_zarr.channels_shown(self.image), self._pieces(shape)
        if axis is None:
            return [all_pieces]
        return [[piece for piece in all_pieces if piece[0][axis] == channel] for channel in range(shape[axis])]

    @staticmethod
    def _pieces(shape: tuple[int, ...]) -> list[Piece]:
        return list(pieces(shape, SHARD))

    def _failures(self) -> AbstractContextManager[None]:
        return failures_named(self._target, *self._failing)

    def _add_level(self, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> zarr.Array[Any]:
        from zarr.codecs import BloscCodec

        ones, sides = (1,) * (len(shape) - 2), shape[-2:]
        chunks = tuple(min(CHUNK, length) for length in sides)
        shards = (*ones, *(min(SHARD, -(-length // chunk) * chunk) for length, chunk in zip(sides, chunks, strict=True)))
        return self._group.create_array(
            str(number),
            shape=shape,
            dtype=dtype,
            chunks=(*ones, *chunks),
            shards=None if shards == (*ones, *chunks) else shards,
            compressors=BloscCodec(**PACKING),
            dimension_names=list(self._stored.letters.lower()),
            overwrite=number > 0,  # what is left of a try that was broken off
        )


def write_zarr(folder: Path, image: ImageFile, target: Path) -> None:
    """Write a whole image, shard by shard, whatever kind of array its pixels are and however large."""
    assert image.axes is not None
    parts = ZarrParts(folder, image, np.dtype(image.pixels.dtype), target)
    lengths = dict(zip(image.axes, image.pixels.shape, strict=True))
    others = [letter for letter in image.axes if letter not in "YX"]
    for plane, y, x in pieces((*(lengths[letter] for letter in others), lengths["Y"], lengths["X"]), SHARD):
        places: dict[str, int | slice] = {**dict(zip(others, plane, strict=True)), "Y": y, "X": x}
        index = tuple(places[letter] for letter in image.axes)
        parts.put(index, np.asarray(image.pixels[index]))
    parts.finish()
