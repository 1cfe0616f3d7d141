"""Where and as what an image can be written, asked before any work is done."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ne_denoise.core.errors import FileError

FILES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
READABLE = (*FILES, ".zarr")  # that is a folder
WHAT_IS_READ = (
    f"what can be read ends in {', '.join(READABLE)}. Open other files in napari, by a plugin that reads them, and denoise the layer; "
    "or convert them to OME-Zarr or OME-TIFF, by bioformats2raw for instance."
)
WRITABLE = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr", ".npy", ".png")

_OME_DTYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
_PNG_DTYPES = ("uint8", "uint16")
_LARGEST_ZARR_ITEM = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}  # bytes of a number, by kind


def check_target(path: str | os.PathLike[str], dtype: DTypeLike, axes: str) -> None:
    """Find out whether an image can be written to a path, as far as one can tell without writing.

    Parameters
    ----------
    path
        Its suffix says how the image would be written.
    dtype, axes
        Of the image.

    Raises
    ------
    FileError
        If the suffix is unknown, the format cannot hold the image, or there is no such folder.
    """
    target, name = Path(path), np.dtype(dtype).name
    if not target.name.lower().endswith(WRITABLE):
        raise FileError(f"{target}: ends in {target.suffix or 'nothing'}; results are written as {', '.join(WRITABLE)}.")
    _check_length(target)
    if target.is_dir() and not (is_zarr(target) and is_folder_of_zarr(target)):
        raise FileError(f"{target}: is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise FileError(f"{target}: there is no folder {target.parent}; create it first.")
    if is_zarr(target):
        _check_zarr(target, np.dtype(dtype), axes)
    if is_tiff(target) and name not in _OME_DTYPES:
        raise FileError(
            f"{target}: OME-TIFF cannot hold {name}, only {', '.join(_OME_DTYPES)}; choose another output dtype, or .ome.zarr or .npy."
        )
    if is_png(target) and axes not in ("YX", "YXS"):
        raise FileError(f"{target}: PNG holds a single plane, and this image has the axes {axes}; choose .ome.tif.")
    if is_png(target) and name not in _PNG_DTYPES:
        raise FileError(f'{target}: PNG cannot hold {name}, only uint8 and uint16; choose the output dtype "input", or .ome.tif.')


def is_tiff(path: Path) -> bool:
    """Whether the name is that of a TIFF file."""
    return path.suffix.lower() in (".tif", ".tiff")


def is_png(path: Path) -> bool:
    """Whether the name is that of a PNG file."""
    return path.suffix.lower() == ".png"


def is_zarr(path: Path) -> bool:
    """Whether the name is that of an OME-Zarr."""
    return path.suffix.lower() == ".zarr"


def is_folder_of_zarr(path: Path) -> bool:
    """Whether a folder is a group or an array of zarr format 2 or 3, whatever its name."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def require_zarr() -> None:
    """Find out whether zarr is installed.

    Raises
    ------
    FileError
        If not, with what installs it.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise FileError('OME-Zarr needs the package zarr; install it with: pip install "napari-ne-denoise[zarr]".') from error


def _check_length(target: Path) -> None:
    try:
        os.lstat(target)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise FileError(f"{target}: the name is too long for this disk; give a shorter one.") from error


def _check_zarr(target: Path, dtype: np.dtype[Any], axes: str) -> None:
    from napari_ne_denoise.core.io.ome_zarr import stored_axes

    require_zarr()
    if target.is_file():
        raise FileError(f"{target}: is a file, and OME-Zarr is a folder; give another name.")
    if dtype.kind not in "biufc" or dtype.itemsize > _LARGEST_ZARR_ITEM[dtype.kind]:
        raise FileError(f"{target}: OME-Zarr cannot hold {dtype.name}; choose another output dtype.")
    try:
        stored_axes(axes)
    except ValueError as error:
        raise FileError(f"{target}: {error}; choose .ome.tif.") from error
