"""OME-Zarr from strangers: giant, nested, cyclic, with code in it, and chunks that unpack to far more than they should."""

import gzip
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.strangers.corpus import CANARY, Canary, Stranger, numbers
from tests.strangers.tiffs import DAMAGED, zeros_deflated

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
GZIP = {"name": "gzip", "configuration": {"level": 5}}
ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
BLOSC = {"name": "blosc", "configuration": {"typesize": 2, "cname": "zstd", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}}
CHUNK = r"chunks? of .* (need|needs) .* of memory"


def array(shape: Any = (48, 40), chunk: Any = (48, 40), codecs: Any = (BYTES,), **more: Any) -> dict[str, Any]:
    """What zarr.json says of an array of format 3."""
    return {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": "uint16", "fill_value": 7, "codecs": list(codecs),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "attributes": {},
    } | more  # fmt: skip


def group(**ome: Any) -> dict[str, Any]:
    """What zarr.json says of a group with one image, in the array "0"."""
    image = {
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}],
    }
    attributes = {"ome": {"version": "0.5", "multiscales": [image | ome]}}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def zarr(groups: Any = None, inside: Any = None, chunk: bytes | None = None, key: str = "c/0/0") -> Callable[[Path], Path]:
    """Makes an OME-Zarr of one array; text instead of a record is written as it is."""

    def make(folder: Path) -> Path:
        path = folder / "image.ome.zarr"
        (path / "0").mkdir(parents=True)
        for place, record in ((path, group() if groups is None else groups), (path / "0", array() if inside is None else inside)):
            (place / "zarr.json").write_text(record if isinstance(record, str) else json.dumps(record))
        if chunk is not None:
            (path / "0" / key).parent.mkdir(parents=True, exist_ok=True)
            (path / "0" / key).write_bytes(chunk)
        return path

    return make


def old(chunk: bytes | None, **more: Any) -> Callable[[Path], Path]:
    """Makes a bare array of zarr format 2."""

    def make(folder: Path) -> Path:
        path = folder / "old.zarr"
        path.mkdir()
        record = {
            "zarr_format": 2, "shape": [48, 40], "chunks": [48, 40], "dtype": "<u2", "fill_value": 0, "order": "C", "filters": None,
            "compressor": None,
        }  # fmt: skip
        (path / ".zarray").write_text(json.dumps(record | more))
        if chunk is not None:
            (path / "0.0").write_bytes(chunk)
        return path

    return make


def _code(codec: dict[str, Any], where: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        value: Any = [codec] if where == "filters" else codec
        return old(pickle.dumps(Canary(folder / CANARY)), **{where: value})(folder)

    return make


def _metadata() -> Iterator[Stranger]:
    pixels = numbers().tobytes()
    readable = zarr(chunk=pixels)
    yield Stranger("zarr-honest", readable, pixels=numbers)
    yield Stranger("zarr-old-and-honest", old(pixels), pixels=numbers)
    yield Stranger("zarr-of-fill-values", zarr(), pixels=lambda: np.full((48, 40), 7, "uint16"))
    broken = {
        "empty": "", "cut-off": json.dumps(group())[:100], "a-list": "[]", "nested": "[" * 200_000, "a-number": "7",
        "no-kind": {"zarr_format": 3}, "format-of-the-future": group() | {"zarr_format": 99},
        "attributes-of-a-list": group() | {"attributes": [1]},
    }  # fmt: skip
    for name, record in broken.items():
        yield Stranger(f"zarr-group-{name}", zarr(record, chunk=pixels), DAMAGED + "|describes no image")
    axes = [{"name": "y"}, {"name": "x"}]
    wrong: dict[str, Any] = {
        "no-axes": {"axes": None}, "axes-of-a-number": {"axes": 3}, "too-many-axes": {"axes": [{"name": letter} for letter in "tczyx"]},
        "axes-without-names": {"axes": [{}, {}]}, "no-arrays": {"datasets": []}, "arrays-of-a-number": {"datasets": 7},
        "array-that-is-not-there": {"datasets": [{"path": "9"}]}, "array-without-a-path": {"datasets": [{}]},
        "path-out-of-it": {"datasets": [{"path": "../../secret.zarr"}]}, "path-out-of-it-inside": {"datasets": [{"path": "0/../../x"}]},
        "path-of-the-root": {"datasets": [{"path": "/etc"}]}, "path-to-itself": {"datasets": [{"path": ""}]},
        "path-of-a-dot": {"datasets": [{"path": "."}]}, "path-of-a-number": {"datasets": [{"path": 17}]},
        "path-far-too-long": {"datasets": [{"path": "x" * 5000}]}, "path-elsewhere": {"datasets": [{"path": "http://127.0.0.1:9/x"}]},
    }  # fmt: skip
    for name, image in wrong.items():
        yield Stranger(f"zarr-{name}", zarr(group(**image), chunk=pixels), DAMAGED + "|describes no image|no array|axes")
    places = {
        "scale-of-words": {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": ["a", "b"]}]}]},
        "scale-of-nan": {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [float("nan"), 0]}]}]},
        "scale-beyond-all": {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [10**400, 1]}]}]},
        "scale-of-one": {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [3]}]}]},
        "transformation-of-a-number": {"datasets": [{"path": "0", "coordinateTransformations": 3}]},
        "transformation-without-a-type": {"datasets": [{"path": "0", "coordinateTransformations": [{}, 3, None]}]},
        "units-of-a-list": {"axes": [{"name": "y", "unit": [1]}, {"name": "x", "unit": {}}]},
        "name-of-a-list": {"name": [1, 2], "axes": axes},
    }
    for name, image in places.items():
        yield Stranger(f"zarr-{name}", zarr(group(**image), chunk=pixels), pixels=numbers)
    record = group()
    record["attributes"] |= {"napari-ne-denoise": "mine", "napari-ne-denoise/layout": {"axes": "YX", "pixel_size": 3, "origin": [1]}}
    yield Stranger("zarr-layout-of-nonsense", zarr(record, chunk=pixels), pixels=numbers)
    record = group()
    record["attributes"]["ome"] |= {"omero": {"channels": [{"label": [1]}, 3]}}
    yield Stranger("zarr-omero-of-nonsense", zarr(record, chunk=pixels), pixels=numbers)


def _arrays() -> Iterator[Stranger]:
    pixels, transposed = numbers().tobytes(), {"name": "transpose", "configuration": {"order": [0, 7]}}
    wrong = {
        "empty": "", "nested": "[" * 200_000, "shape-of-words": array(("a", "b")), "shape-below-zero": array((-4, 40)),
        "chunk-of-zero": array(chunk=(0, 0)), "chunk-below-zero": array(chunk=(-1, 40)), "unknown-numbers": array(data_type="complex7"),
        "unknown-codec": array(codecs=({"name": "strange"},)), "no-codecs": array(codecs=()), "codec-of-a-number": array(codecs=(3,)),
        "shards-in-shards": array(codecs=_shards(_shards((BYTES,)))), "transposed-wrongly": array(codecs=(transposed, BYTES)),
    }  # fmt: skip
    for name, record in wrong.items():
        # shards within shards are legal, if of no use: an index is missing here
        yield Stranger(
            f"zarr-array-{name}", zarr(inside=record, chunk=pixels), DAMAGED + "|could not be read", either=name.startswith("shards")
        )
    yield Stranger("zarr-of-no-rows", zarr(inside=array((0, 40), (1, 40))), denoising_says="the image is empty")
    yield Stranger("zarr-giant-and-empty", zarr(inside=array((10**6, 10**6), (512, 512))), huge=True)
    yield Stranger("zarr-beyond-all", zarr(inside=array((2**62, 2**62), (512, 512))), says=DAMAGED, huge=True, either=True)
    yield Stranger("zarr-one-giant-chunk", zarr(inside=array((10**6, 10**6), (10**6, 10**6))), says=CHUNK)
    yield Stranger("zarr-giant-shard", zarr(inside=array((10**6, 10**6), (10**6, 10**6), _shards((BYTES,), (500, 500)))), huge=True)
    for name, content in {"too-short": pixels[:100], "too-long": pixels * 2, "empty": b""}.items():
        yield Stranger(f"zarr-chunk-{name}", zarr(chunk=content), denoising_says="could not be read")
    text = array(data_type="string", fill_value="", codecs=({"name": "vlen-utf8"},))
    yield Stranger("zarr-with-text", zarr(inside=text), denoising_says="integers or floats")


def _shards(codecs: Any, inner: tuple[int, int] = (24, 20)) -> tuple[dict[str, Any]]:
    configuration = {"chunk_shape": inner, "codecs": list(codecs), "index_codecs": [BYTES, {"name": "crc32c"}], "index_location": "end"}
    return ({"name": "sharding_indexed", "configuration": configuration},)


def _bombs() -> Iterator[Stranger]:
    giga = 2**30
    many = gzip.compress(bytes(2**20), 9) * (3 * giga // 2**20)
    zlib = zeros_deflated(giga)
    blosc = bytes([2, 1, 1, 2]) + struct.pack("<III", 2**31 - 100, 2**31 - 100, 30) + bytes(14)
    zstd = _zstd_of_zeros(3 * giga)
    shard = zstd + struct.pack("<QQ", 0, len(zstd)) + struct.pack("<QQ", 2**64 - 1, 2**64 - 1) * 3
    made = {
        "gzip": zarr(inside=array(codecs=(BYTES, GZIP)), chunk=many),
        "zstd": zarr(inside=array(codecs=(BYTES, ZSTD)), chunk=zstd),
        "blosc": zarr(inside=array(codecs=(BYTES, BLOSC)), chunk=blosc),
        "shards": zarr(inside=array(codecs=_shards((BYTES, ZSTD))), chunk=_with_crc(shard, 64)),
        "old-gzip": old(many, compressor={"id": "gzip", "level": 5}),
        "old-zlib": old(zlib, compressor={"id": "zlib", "level": 5}),
        "old-lz4": old(struct.pack("<i", 2**31 - 1) + bytes(9), compressor={"id": "lz4"}),
        "old-blosc": old(blosc, compressor={"id": "blosc"}),
    }
    for kind, make in made.items():
        yield Stranger(f"zarr-chunk-of-gigabytes-{kind}", make, denoising_says="unpacks to more than .* and should not")


def _zstd_of_zeros(size: int) -> bytes:
    """A frame that says how much it unpacks to, of blocks that repeat one byte."""
    count = size // 2**17
    block = [struct.pack("<I", (number == count - 1) | 1 << 1 | 2**17 << 3)[:3] + b"\0" for number in range(count)]
    return struct.pack("<IBBQ", 0xFD2FB528, 0b11000000, 56, count * 2**17) + b"".join(block)


def _with_crc(shard: bytes, index: int) -> bytes:
    import google_crc32c

    return shard + struct.pack("<I", google_crc32c.value(shard[-index:]))


def _traps() -> Iterator[Stranger]:
    yield Stranger("zarr-code-as-compressor", _code({"id": "pickle"}, "compressor"), "pickle")
    yield Stranger("zarr-code-as-filter", _code({"id": "pickle", "protocol": 2}, "filters"), "pickle")

    def cyclic(folder: Path) -> Path:
        path = zarr()(folder)
        (path / "0" / "zarr.json").unlink()
        (path / "0").rmdir()
        (path / "0").symlink_to(path)
        return path

    def bioformats(folder: Path) -> Path:
        path = folder / "image.zarr"
        path.mkdir()
        record = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"bioformats2raw.layout": 3}}}
        (path / "zarr.json").write_text(json.dumps(record))
        (path / "0").symlink_to(path)
        return path

    def deep(folder: Path) -> Path:
        path = zarr(group(datasets=[{"path": "/".join("g" * 200)}]))(folder)
        at = path
        for _ in range(200):
            at /= "g"
            at.mkdir()
        (at / "zarr.json").write_text(json.dumps(array()))
        return path

    def pipe(name: str) -> Callable[[Path], Path]:
        def make(folder: Path) -> Path:
            path = old(numbers().tobytes())(folder)
            (path / name).unlink(missing_ok=True)
            os.mkfifo(path / name)
            return path

        return make

    yield Stranger("zarr-array-that-is-the-group", cyclic, DAMAGED + "|no array")
    yield Stranger("zarr-image-in-itself", bioformats, DAMAGED + "|describes no image")
    yield Stranger("zarr-two-hundred-groups-deep", deep, pixels=lambda: np.full((48, 40), 7, "uint16"))
    yield Stranger("zarr-empty-folder", lambda folder: _made(folder / "nothing.zarr"), DAMAGED + "|is a folder|holds no zarr")
    if hasattr(os, "mkfifo"):
        yield Stranger("zarr-pipe-as-metadata", pipe(".zattrs"), "pipe")
        yield Stranger("zarr-pipe-as-chunk", pipe("0.0"), denoising_says="pipe")
    plate = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"plate": {}}}}
    yield Stranger("zarr-plate", zarr(plate), "is a plate or a well; give one of its images")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def all_zarrs() -> Iterator[Stranger]:
    """All of them."""
    for some in (_metadata, _arrays, _bombs, _traps):
        yield from some()
