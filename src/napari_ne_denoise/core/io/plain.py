"""PNG, JPEG and NPY: pixels without a word about them, which goes into a .json file beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from napari_ne_denoise.core.io.image_file import ImageFile

# larger .npy files than this many bytes stay on disk and are read where they are needed
MEMORY_MAP_FROM = 2**30

# bytes; a larger .json beside an image is somebody else's
LARGEST_SIDECAR = 2**24


def read_png(path: Path) -> ImageFile:
    """Read a PNG, grey or in colours, 8 or 16 bit."""
    encoded = path.read_bytes()
    notes = ("the file has a table of colours, which was applied",) if _has_palette(encoded) else ()
    return _picture(path, np.asarray(imagecodecs.png_decode(encoded)), notes)


def read_jpeg(path: Path) -> ImageFile:
    """Read a JPEG, with a note on what it did to the noise."""
    note = "JPEG changed the noise when the file was written; denoise the original if there is one"
    return _picture(path, np.asarray(imagecodecs.jpeg_decode(path.read_bytes())), (note,))


def read_npy(path: Path) -> ImageFile:
    """Read a NumPy file; it is never allowed to run code."""
    large = path.stat().st_size >= MEMORY_MAP_FROM
    pixels = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    if not isinstance(pixels, np.ndarray):
        raise ValueError("a .npz archive holds several arrays; save one of them as .npy")
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
        "name": image.name,
        "origin": dict(image.origin),
        "provenance": image.provenance,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


def read_sidecar(path: Path) -> dict[str, Any]:
    """What stands beside an image; empty if nothing does."""
    beside = sidecar(path)
    if not beside.is_file() or beside.stat().st_size > LARGEST_SIDECAR:
        return {}
    record = json.loads(beside.read_text(encoding="utf8"))
    return record if isinstance(record, dict) else {}


def _picture(path: Path, pixels: np.ndarray, notes: tuple[str, ...]) -> ImageFile:
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) and np.ptp(pixels[..., -1]) == 0:
        pixels, notes = pixels[..., :-1], (*notes, "its transparency is the same everywhere and was left out")
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return _described(path, np.ascontiguousarray(pixels), "YXS" if pixels.ndim == 3 else "YX", notes)


def _described(path: Path, pixels: np.ndarray, axes: str | None, notes: tuple[str, ...]) -> ImageFile:
    record = read_sidecar(path)
    axes = record.get("axes") if len(record.get("axes") or "") == pixels.ndim else axes
    sizes = {axis: (float(value), str(unit)) for axis, (value, unit) in record.get("pixel_size", {}).items()}
    name = record.get("name") or path.name
    names, origin = tuple(record.get("channel_names", ())), record.get("origin") or {}
    return ImageFile(pixels, axes, sizes, names, name, record.get("provenance"), notes, origin)


def _has_palette(png: bytes) -> bool:
    return png[25:26] == b"\x03"  # colour type, in the header chunk that comes first
