"""PNG, JPEG and NPY: pixels without a word about them, which goes into a .json file beside them."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from napari_ne_denoise.core.io import layout
from napari_ne_denoise.core.io.claims import MOST_OF_DEFLATE, check_content, check_memory
from napari_ne_denoise.core.io.image_file import ImageFile
from napari_ne_denoise.core.io.messages import logged_by

# larger .npy files than this many bytes stay on disk and are read where they are needed
MEMORY_MAP_FROM = 2**30

# bytes; a larger .json beside an image is somebody else's
LARGEST_SIDECAR = 2**24

ZIP_SIGNATURE = b"PK"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES, _PNG_PALETTE = {2: 3, 4: 2, 6: 4}, 3  # samples of a pixel, by colour type; a palette's numbers become colours
# a block of 8×8 pixels takes two bits at least, where not many are told to be alike at once
MOST_OF_JPEG = 256
_JPEG_SCAN, _PROGRESSIVE = 0xDA, (0xC2, 0xC6, 0xCA, 0xCE)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# the third differs from the second only in the encoding of field names, which images have none of
_NPY_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


def read_png(path: Path) -> ImageFile:
    """Read a PNG, grey or in colours, 8 or 16 bit."""
    encoded = path.read_bytes()
    _check_png(path, encoded)
    notes = ("the file has a table of colours, which was applied",) if _has_palette(encoded) else ()
    with logged_by("imagecodecs"):  # of texts and profiles in it
        pixels = np.asarray(imagecodecs.png_decode(encoded))
    return _picture(path, pixels, notes)


def read_jpeg(path: Path) -> ImageFile:
    """Read a JPEG, with a note on what it did to the noise."""
    note = "JPEG changed the noise when the file was written; denoise the original if there is one"
    encoded = path.read_bytes()
    _check_jpeg(path, encoded)
    with logged_by("imagecodecs"):
        pixels = np.asarray(imagecodecs.jpeg_decode(encoded))
    return _picture(path, pixels, (note,))


def read_npy(path: Path) -> ImageFile:
    """Read a NumPy file; it is never allowed to run code."""
    _check_npy(path)
    large = path.stat().st_size >= MEMORY_MAP_FROM
    pixels = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    return _described(path, pixels, None, ())


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write one plane of 8 or 16 bit."""
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def write_npy(path: Path, pixels: np.ndarray) -> None:
    """Write a NumPy file."""
    with open(path, "wb") as file:
        np.save(file, pixels, allow_pickle=False)


def sidecar(path: Path) -> Path:
    """The .json file beside an image."""
    return path.with_name(path.name + ".json")


def write_sidecar(path: Path, image: ImageFile) -> None:
    """Write what the image's own format cannot hold."""
    record = {
        "axes": image.axes,
        "pixel_size": {axis: list(size) for axis, size in image.pixel_size.items()},
        "channel_names": list(image.channel_names),
        "channel_colours": list(image.channel_colours),
        "name": image.name,
        "origin": dict(image.origin),
        "provenance": image.provenance,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


def read_sidecar(path: Path) -> dict[str, Any]:
    """What stands beside an image; empty if nothing does, or something else does."""
    beside = sidecar(path)
    try:
        if not beside.is_file() or beside.stat().st_size > LARGEST_SIDECAR:
            return {}
        record = json.loads(beside.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _picture(path: Path, pixels: np.ndarray, notes: tuple[str, ...]) -> ImageFile:
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) and np.ptp(pixels[..., -1]) == 0:
        pixels, notes = pixels[..., :-1], (*notes, "its transparency is the same everywhere and was left out")
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return _described(path, np.ascontiguousarray(pixels), "YXS" if pixels.ndim == 3 else "YX", notes)


def _described(path: Path, pixels: np.ndarray, axes: str | None, notes: tuple[str, ...]) -> ImageFile:
    record = read_sidecar(path)
    name, provenance = record.get("name"), record.get("provenance")
    if not record and sidecar(path).exists():
        notes = (*notes, f"{sidecar(path).name} beside it is no record of ours, and was not used")
    return ImageFile(
        pixels,
        layout.axes_in(record, pixels.ndim) or axes,
        layout.sizes_in(record),
        layout.channel_names_in(record),
        name if isinstance(name, str) and name else path.name,
        provenance if isinstance(provenance, dict) else None,
        notes,
        layout.origin_in(record),
        layout.channel_colours_in(record),
    )


def _check_png(path: Path, png: bytes) -> None:
    """Refuse a PNG that claims more than it can hold, or than memory does."""
    if png[:8] != PNG_SIGNATURE or png[12:16] != b"IHDR" or len(png) < 33:
        raise ValueError("it has no header of a PNG")
    width, height, bits, colour = struct.unpack(">IIBB", png[16:26])
    stored = _PNG_SAMPLES.get(colour, 1)
    samples = 3 if colour == _PNG_PALETTE else stored
    packed = -(-width * bits * stored // 8) * height
    shape, dtype = (height, width, *([samples] if samples > 1 else [])), np.dtype(np.uint16 if bits == 16 else np.uint8)
    unpacked = math.prod(shape) * dtype.itemsize
    check_content(path, shape, dtype, MOST_OF_DEFLATE * len(png) * max(1.0, unpacked / max(1, packed)))
    check_memory(path, shape, dtype)


def _check_jpeg(path: Path, jpeg: bytes) -> None:
    """Refuse a JPEG that was cut off, which its decoder fills with grey, or is too large for memory."""
    start = at = 2
    while jpeg[at : at + 1] == b"\xff" and len(jpeg) > at + 9:
        kind, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4])
        if kind in _JPEG_FRAMES:
            height, width, samples = struct.unpack(">HHB", jpeg[at + 5 : at + 10])
            check_memory(path, (height, width, samples), np.dtype(np.uint8))
            if kind not in _PROGRESSIVE:
                check_content(path, (height, width), np.dtype(np.uint8), MOST_OF_JPEG * len(jpeg))
        if kind == _JPEG_SCAN:
            break
        at += 2 + length if kind != 0xFF else 1
    if jpeg[:2] != b"\xff\xd8" or at == start:
        raise ValueError("it has no header of a JPEG")
    if b"\xff\xd9" not in jpeg[at:]:
        raise ValueError("its end is missing")


def _check_npy(path: Path) -> None:
    """Refuse a NumPy file that claims more than it holds, before numpy makes room for it."""
    with open(path, "rb") as file:
        if file.read(len(ZIP_SIGNATURE)) == ZIP_SIGNATURE:
            raise ValueError("a .npz archive holds several arrays; save one of them as .npy")
        file.seek(0)
        version = np.lib.format.read_magic(file)
        if version not in _NPY_HEADERS:
            raise ValueError(f"version {version} of the format is not known")
        shape, _, dtype = _NPY_HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which may be code and are not opened; save the pixels as numbers")
        if any(length < 0 for length in shape):
            raise ValueError(f"its shape is {shape}")
        check_content(path, shape, dtype, path.stat().st_size - file.tell())


def _has_palette(png: bytes) -> bool:
    return png[25:26] == b"\x03"  # colour type, in the header chunk that comes first
