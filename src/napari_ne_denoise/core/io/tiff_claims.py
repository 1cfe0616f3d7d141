"""What a TIFF file claims, looked at before its pixels are read, and before its OME-XML is followed."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io.claims import MOST_OF_DEFLATE, check_content, check_memory

# planes that an OME-XML may speak of: each takes tifffile some bytes before a pixel is read
MOST_PLANES = 10**7
_COMPRESSION = tifffile.COMPRESSION
# most bytes of pixels that a byte of the file can stand for; of the others nobody knows
_MOST: dict[int, int] = {
    _COMPRESSION.NONE: 1,
    _COMPRESSION.PACKBITS: 64,
    _COMPRESSION.LZW: 2600,  # a code of 12 bits, for a string of 3838 bytes at most
    _COMPRESSION.DEFLATE: MOST_OF_DEFLATE,
    _COMPRESSION.ADOBE_DEFLATE: MOST_OF_DEFLATE,
    _COMPRESSION.PIXTIFF: MOST_OF_DEFLATE,
}
_SIZES = re.compile(r"""\b(?:Size[TZC]|PlaneCount|NumPlanes|First[TZC])\s*=\s*["'](\d+)["']""")
_FILES = re.compile(r"""\bFileName\s*=\s*["']([^"']*)["']""")
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")


def check_directories(path: Path) -> None:
    """Refuse a file whose directories lead round in a circle, which tifffile notices of some circles only.

    Raises
    ------
    FileError
        If so.
    """
    seen: set[int] = set()
    with open(path, "rb") as file:
        order = {b"II": "<", b"MM": ">"}.get(file.read(2))
        version = file.read(2)
        if order is None or version not in (b"*\0", b"\0*", b"+\0", b"\0+"):
            return  # no TIFF, or one that only tifffile knows
        count, offset, tag = ("Q", "Q", 20) if b"+" in version else ("H", "I", 12)
        at = _number_at(file, order + offset, 8 if b"+" in version else 4)
        while at:
            if at in seen:
                raise FileError(f"{path}: its directories lead round in a circle; it is damaged: copy it again from where it was made.")
            seen.add(at)
            tags = _number_at(file, order + count, at) or 0
            at = _number_at(file, order + offset, at + struct.calcsize(count) + tags * tag) or 0


def _number_at(file: BinaryIO, form: str, at: int) -> int | None:
    """What stands there; None beyond the end of the file."""
    try:
        file.seek(at)
        return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])
    except (struct.error, OSError, OverflowError, ValueError):
        return None


def check_claims(path: Path, series: tifffile.TiffPageSeries, *, in_memory: bool) -> None:
    """Refuse an image that the file cannot hold, or that memory cannot.

    Raises
    ------
    FileError
        With what came, and what to do.
    """
    shape, dtype, page = tuple(series.shape), np.dtype(series.dtype), series.keyframe
    if math.prod(shape) == 0:
        raise FileError(f"{path}: claims {shape}, which is empty; copy it again from where it was made.")
    most = _MOST.get(page.compression)
    if most is not None and not series.is_multifile:
        # numbers of 1 or 12 bits become ones of 8 or 16
        widened = 8 * dtype.itemsize / max(1, _bits(page))
        check_content(path, shape, dtype, most * path.stat().st_size * max(1.0, widened))
    if in_memory:
        check_memory(path, shape, dtype)
        if page.is_tiled:
            check_memory(path, tuple(page.chunks), dtype, "its tiles of ")
    _check_parts(path, series, page)


def distrust_of(xml: str | None, folder: Path) -> str | None:
    """Why an OME-XML is not to be followed; None if there is none, or it may."""
    if not xml:
        return None
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return "it defines words of its own, which OME-XML never does"
    for pixels in _PIXELS.findall(xml):
        if math.prod(max(1, int(size[:20])) for size in _SIZES.findall(pixels)) > MOST_PLANES:
            return f"it speaks of more than {MOST_PLANES} planes"
    if any(int(size[:20]) > MOST_PLANES for size in _SIZES.findall(xml)):
        return f"it speaks of more than {MOST_PLANES} planes"
    for name in set(_FILES.findall(xml)):
        if not _is_beside(name, folder):
            return f"it speaks of {name[:100]!r}, which is no file in the same folder"
    return None


def _is_beside(name: str, folder: Path) -> bool:
    """Whether a name is that of a file in the folder, or of none: what is missing there, tifffile tells."""
    if Path(name).name != name or name in ("", ".", ".."):
        return False
    return (folder / name).is_file() or not (folder / name).exists()


def _bits(page: Any) -> int:
    bits = page.bitspersample
    return int(bits) if isinstance(bits, int) else int(max(bits, default=1))


def _check_parts(path: Path, series: tifffile.TiffPageSeries, page: Any) -> None:
    """Refuse an image whose parts lie beyond the end of the file: readers differ in what they put in their place."""
    if series.is_multifile:
        return
    size = path.stat().st_size
    if series.dataoffset is not None:
        ends = [series.dataoffset + series.nbytes]
    else:
        ends = [
            offset + count
            for each in series.pages
            if each is not None
            for offset, count in zip(each.dataoffsets, each.databytecounts, strict=False)
            if count
        ]
    if not ends:
        raise FileError(f"{path}: has directories and no pixels; copy it again from where it was made.")
    if max(ends) > size:
        raise FileError(
            f"{path}: its pixels go on to byte {max(ends)}, and the file ends at {size}: it was cut off; copy it again from its source."
        )
