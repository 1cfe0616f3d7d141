"""Read and write image files of any kind; what kind it is, the end of the name says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io.complete import complete_or_absent, folder_complete_or_absent, put_back
from napari_ne_denoise.core.io.failures import NOT_WRITTEN, failures_named
from napari_ne_denoise.core.io.image_file import ImageFile
from napari_ne_denoise.core.io.letters import letters_for
from napari_ne_denoise.core.io.ome_zarr import fields_of, read_attributes, record_in
from napari_ne_denoise.core.io.plain import read_jpeg, read_npy, read_png, read_sidecar, sidecar, write_npy, write_png, write_sidecar
from napari_ne_denoise.core.io.targets import READABLE, WHAT_IS_READ, check_target, is_folder_of_zarr, is_png, is_tiff, is_zarr

if TYPE_CHECKING:
    from napari_ne_denoise.core.io.zarr_files import ZarrParts


def read_image(path: str | os.PathLike[str], series: int = 0) -> ImageFile:
    """Read an image file.

    Parameters
    ----------
    path
        A TIFF in any compression, OME-TIFF, ImageJ TIFF, PNG, JPEG or NPY file, or the folder of an OME-Zarr, which stays on disk.
    series
        Which of the images of a TIFF file or an OME-Zarr.

    Raises
    ------
    FileError
        If there is no such file, or it is not what its name says, or is damaged.
    """
    source = Path(path)
    with failures_named(source, "cannot be read as what its name says", "copy it again, or give it the right name"):
        _check_source(source)
        if is_tiff(source):
            from napari_ne_denoise.core.io.tiff import read_tiff

            return read_tiff(source, series)
        if source.is_dir():
            from napari_ne_denoise.core.io.zarr_files import read_zarr

            return read_zarr(source, series)
        if is_png(source):
            return read_png(source)
        return read_npy(source) if source.suffix.lower() == ".npy" else read_jpeg(source)


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record of how a file was made, without reading its pixels; None if it has none.

    Raises
    ------
    FileError
        If there is no such file, or it is damaged.
    """
    source = Path(path)
    with failures_named(source, "cannot be read as what its name says", "copy it again, or give it the right name"):
        _check_source(source)
        if source.is_dir():
            return record_in(read_attributes(source))
        if is_tiff(source):
            from napari_ne_denoise.core.io.tiff import read_tiff_provenance

            return read_tiff_provenance(source)
        record = read_sidecar(source).get("provenance")
        return record if isinstance(record, dict) else None


def find_provenance(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record of how a file was made, of any file that anybody opened: None if there is none, whatever the file is, or is not.

    Reads no pixels, and nothing from other machines.  An array within an OME-Zarr has the record of its image.
    """
    if not isinstance(path, str | os.PathLike) or "://" in str(path):
        return None
    source = Path(path)
    try:
        if source.is_dir():
            places = [folder for folder in (source, source.parent) if is_folder_of_zarr(folder)]
        else:
            places = [source] if source.is_file() else []  # a pipe, for instance, would be waited for
        found = (read_provenance(place) for place in places)
        return next((record for record in found if isinstance(record, dict)), None)
    except (FileError, OSError, ValueError):
        return None


def find_description(path: str | os.PathLike[str]) -> ImageFile | None:
    """What a TIFF or an OME-Zarr that anybody opened says of its axes, sizes and place, in the order in which the pixels are stored.

    None if it says nothing of use, whatever it is.  Its pixels are not read: they are zeros, or an array that would read them.
    """
    if not isinstance(path, str | os.PathLike) or "://" in str(path):
        return None
    source = Path(path)
    try:
        with failures_named(source, "tells nothing", "look at it in another program"):
            if source.is_dir() and is_folder_of_zarr(source):
                from napari_ne_denoise.core.io.zarr_files import read_zarr_description

                return read_zarr_description(source)
            if source.is_file() and is_tiff(source):
                from napari_ne_denoise.core.io.tiff import read_tiff_description

                return read_tiff_description(source)
    except (FileError, OSError, ValueError):
        pass
    return None


def write_image(path: str | os.PathLike[str], image: ImageFile, *, overwrite: bool = False) -> None:
    """Write an image completely, or not at all.

    Parameters
    ----------
    path
        Ends in .ome.tif or .tif (both give an OME-TIFF), .ome.zarr or .zarr (OME-Zarr 0.5), .npy or .png; what the last two cannot hold
        goes into a .json file beside them.
    image
        Pixels and all that is known of them; the last two axes are rows and columns if it names none.
    overwrite
        Whether a file of that name may be replaced.

    Raises
    ------
    FileError
        If there is such a file already, or it cannot be written.
    """
    target = Path(path)
    named = _checked(target, image, image.pixels.dtype, overwrite)
    if is_zarr(target):
        from napari_ne_denoise.core.io.zarr_files import write_zarr

        with failures_named(target, *NOT_WRITTEN), folder_complete_or_absent(target, overwrite=overwrite) as folder:
            return write_zarr(folder, named, target)
    named = replace(named, pixels=np.asarray(image.pixels))
    with failures_named(target, *NOT_WRITTEN), ExitStack() as stack:
        if not is_tiff(target) and _needs_sidecar(target, image):
            write_sidecar(stack.enter_context(complete_or_absent(sidecar(target))), named)
        with complete_or_absent(target, overwrite=overwrite) as temporary:
            _writer_of(target)(temporary, named)
        if not is_tiff(target):  # of what is replaced; the new record comes last, so that none ever lies beside the pixels of another
            sidecar(target).unlink(missing_ok=True)


def _writer_of(target: Path) -> Callable[[Path, ImageFile], None]:
    if is_tiff(target):
        from napari_ne_denoise.core.io.tiff import write_tiff

        return write_tiff
    write = write_png if is_png(target) else write_npy
    return lambda path, image: write(path, image.pixels)


@contextmanager
def writing_parts(path: str | os.PathLike[str], image: ImageFile, dtype: DTypeLike, *, overwrite: bool = False) -> Iterator[ZarrParts]:
    """Write an OME-Zarr part by part, completely, or not at all; it is there when the ``with`` ends well.

    Parameters
    ----------
    path
        Ends in .ome.zarr or .zarr.
    image
        All that is known of it; of its pixels only the shape counts.
    dtype
        Of the pixels to come.
    overwrite
        Whether an OME-Zarr of that name may be replaced.

    Raises
    ------
    FileError
        If there is one already, or it cannot be written.
    """
    target = Path(path)
    named = _checked(target, image, dtype, overwrite)
    from napari_ne_denoise.core.io.zarr_files import ZarrParts

    with folder_complete_or_absent(target, overwrite=overwrite) as folder:
        parts = ZarrParts(folder, named, np.dtype(dtype), target)
        yield parts
        parts.finish()


def _checked(target: Path, image: ImageFile, dtype: DTypeLike, overwrite: bool) -> ImageFile:
    """The image with all axes named, if it can be written there."""
    named = replace(image, axes=image.axes or letters_for(image.pixels.ndim))
    check_target(target, dtype, str(named.axes))
    if is_zarr(target):
        put_back(target)
    if target.exists() and not overwrite:
        raise FileError(f"{target}: exists already; choose another name, or allow it to be overwritten.")
    return named


def _needs_sidecar(target: Path, image: ImageFile) -> bool:
    return bool(image.provenance or image.pixel_size or image.channel_names or image.channel_colours or (image.axes and not is_png(target)))


def images_in(path: Path) -> list[Path]:
    """The path itself; of a plate or a well of OME-Zarr, the images in it."""
    try:
        return (fields_of(path) if os.path.isdir(path) else []) or [path]
    except (OSError, ValueError, RecursionError):  # which is told when it is read
        return [path]


def _check_source(path: Path) -> None:
    if path.is_dir() and (is_zarr(path) or is_folder_of_zarr(path)):
        return
    if path.is_dir():
        raise FileError(f"{path}: is a folder; give the files in it, such as {path / '*.tif'}.")
    if path.suffix.lower() not in READABLE:
        raise FileError(f"{path}: ends in {path.suffix or 'nothing'}; {WHAT_IS_READ}")
    if path.is_symlink() and not path.exists():
        raise FileError(f"{path}: is a link to {os.readlink(path)}, which is not there; give the file itself.")
    if not path.exists():
        raise FileError(f"{path}: there is no such file; look at its spelling, and whether its folder is there.")
    if not path.is_file():  # opening a pipe would wait for whoever writes into it
        raise FileError(f"{path}: is a pipe or a device; save what comes from it as a file first.")
    if path.stat().st_size == 0:
        raise FileError(f"{path}: is empty, 0 bytes; copy it again from where it was made.")
