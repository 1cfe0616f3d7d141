"""PNG, JPEG and NPY files from strangers, numbers that are hard to compute with, and things that are no files."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from tests.strangers.corpus import CANARY, Canary, Stranger, cut_off, file_of, numbers
from tests.strangers.tiffs import DAMAGED, IMPOSSIBLE, NO_MEMORY, written, zeros_deflated


def npy(pixels: np.ndarray, **how: Any) -> bytes:
    """What numpy writes."""
    file = io.BytesIO()
    np.save(file, pixels, **how)
    return file.getvalue()


def npy_header(text: str, version: int = 1, data: bytes = b"") -> bytes:
    """A NumPy file whose header says whatever it is told to."""
    encoded = text.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(encoded)) + encoded + data


def claims(shape: str, dtype: str = "<u2") -> bytes:
    """A NumPy file that claims a shape and holds 100 bytes."""
    return npy_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}", data=bytes(100))


def npys() -> Iterator[Stranger]:
    """NumPy files."""
    good = npy(numbers())
    for content in cut_off(good, 6):
        yield Stranger(f"npy-cut-at-{len(content)}", file_of("cut.npy", content), DAMAGED)
    refused = {
        "four-billion": (claims("(65536, 65536)"), IMPOSSIBLE),
        "beyond-all-numbers": (claims("(99999999999, 99999999999)"), IMPOSSIBLE),
        "below-zero": (claims("(-5, 10)"), DAMAGED),
        "of-words": (claims("'many'"), DAMAGED),
        "of-items-of-a-gigabyte": (claims("(10, 10)", "|V1000000000"), DAMAGED + "|" + IMPOSSIBLE),
        "code-in-the-header": (npy_header("__import__('os').system('touch canary')"), DAMAGED),
        "deep-header": (npy_header("(" * 9000 + ")" * 9000), DAMAGED),
        "header-of-megabytes": (npy_header("{'descr': '<u2', " + " " * 2_000_000, 2), DAMAGED),
        "unknown-version": (npy_header("{}", 9), DAMAGED),
        "an-archive": (_npz(), DAMAGED),
        "no-npy": (b"1 2 3\n4 5 6\n", DAMAGED),
    }
    for name, (content, says) in refused.items():
        yield Stranger(f"npy-{name}", file_of("strange.npy", content), says)

    def with_code(folder: Path) -> Path:
        array = np.empty((4, 4), object)
        array[:] = Canary(folder / CANARY)
        return file_of("code.npy", npy(array, allow_pickle=True))(folder)

    def bare_pickle(folder: Path) -> Path:
        return file_of("code.npy", pickle.dumps(Canary(folder / CANARY)))(folder)

    yield Stranger("npy-with-code", with_code, DAMAGED)
    yield Stranger("npy-that-is-a-pickle", bare_pickle, DAMAGED)
    shapes: dict[str, tuple[Callable[[], np.ndarray], str | None]] = {
        "big-endian": (lambda: numbers(dtype=">u2"), None),
        "fortran": (lambda: np.asfortranarray(numbers()), None),
        "float16": (lambda: numbers(dtype="float16"), None),
        "longdouble": (lambda: numbers(dtype="longdouble"), None),
        "complex": (lambda: numbers(dtype="complex128"), "must be real"),
        "bool": (lambda: numbers() > 100, "a mask has no noise"),
        "structured": (lambda: np.zeros((9, 9), [("a", "u1"), ("b", "f4")]), "must be integers or floats"),
        "text": (lambda: np.full((9, 9), "word"), "must be integers or floats"),
        "dates": (lambda: np.zeros((9, 9), "datetime64[s]"), "must be integers or floats"),
        "no-axes": (lambda: np.float64(3), "must have 2 to 6 axes"),
        "one-axis": (lambda: numbers((1, 48))[0], "must have 2 to 6 axes"),
        "seven-axes": (lambda: np.zeros((1,) * 7), "must have 2 to 6 axes"),
        "empty": (lambda: np.zeros((0, 40)), "the image is empty"),
        "empty-stack": (lambda: np.zeros((0, 48, 40)), "the image is empty"),
        "one-pixel": (lambda: np.ones((1, 1, 1)), None),
        "colours-or-not": (lambda: numbers((48, 40, 3)), "is the last axis colour or columns"),
        "deep": (lambda: numbers((500, 2, 3)), None),
    }
    for name, (pixels, says) in shapes.items():
        yield Stranger(f"npy-{name}", lambda folder, pixels=pixels: file_of("odd.npy", npy(pixels()))(folder), None, pixels, says)


def _npz() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(50_000_000))
    return file.getvalue()


def values() -> Iterator[Stranger]:
    """Numbers that are hard to compute with, as a person's script may leave them."""
    nothing = "NaN or infinite"
    cases: dict[str, tuple[Callable[[], np.ndarray], str | None]] = {
        "all-nan": (lambda: np.full((48, 40), np.nan), nothing),
        "one-nan": (lambda: _with(numbers(dtype="float32"), np.nan), nothing),
        "one-infinity": (lambda: _with(numbers(dtype="float32"), np.inf), nothing),
        "minus-infinity": (lambda: _with(numbers(dtype="float64"), -np.inf), nothing),
        "all-zero": (lambda: np.zeros((48, 40), "uint16"), None),
        "all-equal": (lambda: np.full((48, 40), 1234.5), None),
        "denormal": (lambda: numbers(dtype="float64") * 5e-324, None),
        "tiny": (lambda: numbers(dtype="float32") * np.float32(1e-40), None),
        "near-the-largest-float32": (lambda: numbers(dtype="float32") * np.float32(1e36), None),
        "near-the-largest-float64": (lambda: numbers(dtype="float64") * 1e305, None),
        "uint64-near-the-top": (lambda: np.uint64(2**64 - 1) - numbers(dtype="uint64"), None),
        "int64-near-the-bottom": (lambda: np.int64(-(2**63)) + numbers(dtype="int64"), None),
        "one-bright-pixel": (lambda: _with(np.zeros((48, 40)), 1e300), None),
        "both-zeros": (lambda: np.where(numbers() > 100, 0.0, -0.0), None),
    }
    for name, (pixels, says) in cases.items():
        yield Stranger(f"values-{name}", lambda folder, pixels=pixels: file_of("v.npy", npy(pixels()))(folder), None, pixels, says)


def _with(pixels: np.ndarray, value: float) -> np.ndarray:
    pixels[20, 20] = value
    return pixels


def chunk(kind: bytes, content: bytes) -> bytes:
    """One of the parts of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, data: bytes, bits: int = 8, colour: int = 0, *more: bytes) -> bytes:
    """A PNG whose header says whatever it is told to."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def pictures() -> Iterator[Stranger]:
    """PNG and JPEG."""
    grey = numbers(dtype="uint8")
    good = imagecodecs.png_encode(grey)
    for content in cut_off(good, 8):
        unnoticed = len(content) == len(good) - 1  # of the checksum of nothing, after the pixels
        yield Stranger(f"png-cut-at-{len(content)}", file_of("cut.png", content), DAMAGED, either=unnoticed)
    rows = b"".join(b"\0" + bytes(row) for row in grey)
    lies = {
        "four-billion": (png(65536, 65536, zlib.compress(rows)), IMPOSSIBLE),
        "largest": (png(2**31 - 1, 2**31 - 1, zlib.compress(rows), 16, 6), IMPOSSIBLE),
        "of-no-width": (png(0, 48, zlib.compress(rows)), DAMAGED),
        "of-seventeen-bits": (png(40, 48, zlib.compress(rows), 17), DAMAGED),
        "of-unknown-colours": (png(40, 48, zlib.compress(rows), 8, 5), DAMAGED),
        "palette-without-a-table": (png(40, 48, zlib.compress(rows), 8, 3), DAMAGED),
        "wrong-checksum": (good.replace(b"IDAT", b"IDAT\xff", 1), DAMAGED),
        "no-data": (png(40, 48, b""), DAMAGED),
        "data-that-is-none": (png(40, 48, b"abc" * 100), DAMAGED),
        "too-few-rows": (png(40, 48, zlib.compress(rows[:200])), DAMAGED),
        "no-png": (b"GIF89a" + bytes(100), DAMAGED),
        "a-tiff": (written(), DAMAGED),
        "a-text-of-gigabytes": (png(40, 48, zlib.compress(rows[:100]), 8, 0, chunk(b"zTXt", b"x\0\0" + zeros_deflated(2**28))), DAMAGED),
    }
    for name, (content, says) in lies.items():
        yield Stranger(f"png-{name}", file_of("lie.png", content), says)
    bomb = png(60_000, 60_000, zeros_deflated(60_000 * 60_001 + 2**20))
    yield Stranger("png-bomb", file_of("bomb.png", bomb), NO_MEMORY)
    yield Stranger("png-grey", file_of("a.png", good), pixels=lambda: grey)
    yield Stranger("png-16-bit", file_of("a.png", imagecodecs.png_encode(numbers())), pixels=numbers)
    colours = numbers((4, 48, 40), "uint8").transpose(1, 2, 0).copy()
    yield Stranger("png-rgba", file_of("a.png", imagecodecs.png_encode(colours)), pixels=lambda: colours)
    table = chunk(b"PLTE", bytes(range(256)) * 3)
    yield Stranger("png-palette", file_of("a.png", png(40, 48, zlib.compress(rows), 8, 3, table)))
    bits = png(40, 48, zlib.compress(b"\0abcde" * 48), 1)
    yield Stranger("png-one-bit", file_of("a.png", bits))
    jpeg = imagecodecs.jpeg_encode(grey, level=95)
    for content in cut_off(jpeg, 8):
        yield Stranger(f"jpeg-cut-at-{len(content)}", file_of("cut.jpg", content), DAMAGED)
    at = jpeg.index(b"\xff\xc0") + 5
    large = jpeg[:at] + struct.pack(">HH", 65500, 65500) + jpeg[at + 4 :]
    yield Stranger("jpeg-of-four-billion", file_of("lie.jpg", large), IMPOSSIBLE + "|" + NO_MEMORY)
    yield Stranger("jpeg-that-is-none", file_of("lie.jpg", good), DAMAGED)
    yield Stranger("jpeg-grey", file_of("a.jpeg", jpeg), pixels=lambda: imagecodecs.jpeg_decode(jpeg))


def sidecars() -> Iterator[Stranger]:
    """An image whose .json beside it is no record, or one that lies: the image is read without."""
    texts = {
        "none": "",
        "broken": "{",
        "a-list": "[1, 2]",
        "nested": "[" * 200_000,
        "numbers-beyond-all": '{"pixel_size": {"X": [' + "9" * 5000 + ', "um"]}}',
        "axes-of-a-number": '{"axes": 7}',
        "axes-of-a-list": '{"axes": [1, 2]}',
        "axes-twice": '{"axes": "YY"}',
        "axes-of-signs": '{"axes": "\\u0000/"}',
        "sizes-of-words": '{"pixel_size": "small"}',
        "sizes-without-units": '{"pixel_size": {"X": 3, "Y": [1], "Z": null}}',
        "sizes-of-nan": '{"pixel_size": {"X": [NaN, "um"], "Y": [-Infinity, "um"], "Q": [1e999, 3]}}',
        "names-of-a-number": '{"channel_names": 3, "name": {"a": 1}, "origin": [1, 2], "provenance": "mine"}',
        "names-of-lists": '{"channel_names": [[], {}], "name": 7, "origin": {"X": "here"}, "provenance": [1]}',
        "no-text": "\udcff\udcfe",
    }

    def beside(text: str) -> Callable[[Path], Path]:
        def make(folder: Path) -> Path:
            (folder / "image.npy.json").write_bytes(text.encode("utf8", "surrogateescape"))
            return file_of("image.npy", npy(numbers()))(folder)

        return make

    for name, text in texts.items():
        yield Stranger(f"sidecar-{name}", beside(text), pixels=numbers)


def no_files() -> Iterator[Stranger]:
    """What stands where a file should: nothing, folders, pipes, links."""

    def folder(inside: Path) -> Path:
        (inside / "x.tif").mkdir()
        return inside / "x.tif"

    def pipe(inside: Path) -> Path:
        os.mkfifo(inside / "x.tif")
        return inside / "x.tif"

    def pipe_beside(inside: Path) -> Path:
        os.mkfifo(inside / "x.npy.json")
        return file_of("x.npy", npy(numbers()))(inside)

    def link_to(what: str) -> Callable[[Path], Path]:
        def make(inside: Path) -> Path:
            (inside / "x.tif").symlink_to(inside / what if what else inside)
            return inside / "x.tif"

        return make

    def good_link(inside: Path) -> Path:
        file_of("real.tif", written())(inside)
        return link_to("real.tif")(inside)

    def text(inside: Path) -> Path:
        return file_of("notes.txt", b"notes")(inside)

    yield Stranger("file-empty", file_of("x.tif", b""), r"is empty, 0 bytes; copy it again")
    yield Stranger("file-missing", lambda inside: inside / "x.tif", r"no such file; look at its spelling")
    yield Stranger("file-of-unknown-kind", text, r"what can be read ends in")
    yield Stranger("file-that-is-a-folder", folder, r"is a folder; give the files in it")
    yield Stranger("file-name-far-too-long", lambda inside: inside / ("x" * 5000 + ".tif"), r"no such file|name")
    yield Stranger("file-below-a-file", lambda inside: text(inside) / "x.tif", r"no such file")
    yield Stranger("link-to-nothing", link_to("gone.tif"), r"is a link to .*which is not there")
    yield Stranger("link-to-itself", link_to("x.tif"), r"is a link")
    yield Stranger("link-to-a-folder", link_to(""), r"is a folder; give the files in it")
    yield Stranger("link-to-an-image", good_link, pixels=numbers)
    if hasattr(os, "mkfifo"):
        yield Stranger("pipe", pipe, r"is a pipe or a device; save .* as a file first")
        yield Stranger("pipe-beside-an-image", pipe_beside, pixels=numbers)
    if Path("/dev/zero").exists():
        yield Stranger("device", lambda inside: _device(inside), r"is a pipe or a device")


def _device(inside: Path) -> Path:
    (inside / "x.png").symlink_to("/dev/zero")
    return inside / "x.png"


def all_arrays() -> Iterator[Stranger]:
    """All of them."""
    for some in (npys, values, pictures, sidecars, no_files):
        yield from some()


def as_json(record: Any) -> str:
    """Also of numbers that JSON has no words for."""
    return json.dumps(record)
