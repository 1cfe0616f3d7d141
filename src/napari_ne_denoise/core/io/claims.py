"""What a file claims, against what it can hold and what memory is free: asked before a pixel is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.memory import free_memory_of_machine, in_words

# most bytes that a byte can stand for in deflate, which is what PNG and zlib have inside
MOST_OF_DEFLATE = 1032


def check_content(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], most: float) -> None:
    """Refuse what is larger than a file can hold.

    Parameters
    ----------
    path, shape, dtype
        Of the image, as the file claims them.
    most
        Bytes of pixels that fit into the file, however well they were packed.

    Raises
    ------
    FileError
        If they do not.
    """
    if size_of(shape, dtype) > most:
        raise FileError(
            f"{path}: claims {described(shape, dtype)}, which a file of {in_words(path.stat().st_size)} cannot hold; "
            "it is damaged or was cut off: copy it again from where it was made."
        )


def check_memory(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], what: str = "") -> None:
    """Refuse what the free memory does not hold.

    Parameters
    ----------
    path, shape, dtype
        Of what will be in memory as a whole.
    what
        That, in words, where it is not the image.

    Raises
    ------
    FileError
        With what it needs, and what to do.
    """
    size, free = size_of(shape, dtype), free_memory_of_machine()
    if size > free:
        remedy = "give an OME-Zarr of smaller chunks" if what else "crop it, or convert it to OME-Zarr, which is read piece by piece"
        raise FileError(
            f"{path}: {what}{described(shape, dtype)} need {in_words(size)} of memory, and {in_words(free)} are free; {remedy}."
        )


def size_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of an array."""
    return math.prod(int(length) for length in shape) * dtype.itemsize


def described(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Such as "65536×65536 pixels of uint16"."""
    return f"{'×'.join(map(str, shape))} pixels of {dtype.name}"
