"""Chunks of strangers: read from plain files only, never unpacked to far more than a chunk has, and never with code in them.

What a chunk unpacks to is looked up before it is unpacked: libraries make as much room as its header asks for.
"""

from __future__ import annotations

import copy
import math
import re
import struct
import zlib
from bz2 import BZ2Decompressor
from dataclasses import dataclass
from lzma import LZMADecompressor
from pathlib import Path
from typing import Any, cast

import imagecodecs
import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec
from zarr.storage import LocalStore

from napari_ne_denoise.core.io.claims import check_memory
from napari_ne_denoise.core.memory import in_words

# what a chunk may unpack to: so many times what it should, and so many bytes more; a bomb unpacks to a thousand times as much
MOST_TIMES, MOST_MORE = 4, 2**26
# metadata of format 2 that ask numcodecs to unpickle chunks, which runs code that is in them
_RUNS_CODE = re.compile(rb'"id"\s*:\s*"pickle"')
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SIZES = {0: "B", 1: "<H", 2: "<I", 3: "<Q"}  # how a frame says what it unpacks to


class PlainFiles(LocalStore):
    """A folder of which only plain files are read: a pipe would be waited for."""

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """As of any store.

        Raises
        ------
        ValueError
            If what should be a file is something else, or its chunks would be unpickled.
        """
        path = self.root / key
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"{key} is a pipe or a device, no file")
        found = await super().get(key, *arguments, **options)
        if found is not None and key.endswith((".zarray", ".zmetadata")) and _RUNS_CODE.search(found.to_bytes()):
            raise ValueError("it is packed with pickle, which can run code and is not opened; save its pixels as numbers")
        return found


def guarded(path: Path, array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array, whose chunks are looked at before they are unpacked.

    Raises
    ------
    FileError
        If a chunk does not fit into memory.
    """
    dtype = np.dtype(array.dtype)
    if any(length < 1 for length in array.chunks):
        raise ValueError(f"its chunks have the shape {array.chunks}")
    if dtype.kind in "biufc":
        check_memory(path, tuple(array.chunks), dtype, "its chunks of ")
    metadata: Any = copy.copy(array.metadata)
    if metadata.zarr_format == 2:
        if metadata.compressor is not None:
            object.__setattr__(metadata, "compressor", _OldBounded(metadata.compressor, _most(math.prod(array.chunks) * dtype.itemsize)))
    else:
        object.__setattr__(metadata, "codecs", tuple(map(_bounded, metadata.codecs)))
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path))


def check_unpacked(kind: str, packed: bytes, most: int) -> None:
    """Refuse what unpacks to more than it may.

    Parameters
    ----------
    kind
        Of the packing, as zarr calls it.
    packed, most
        The bytes, and how many may come of them.

    Raises
    ------
    ValueError
        If more would.
    """
    if _unpacks_to(kind, packed, most) > most:
        raise ValueError(
            f"a chunk of {in_words(len(packed))} unpacks to more than {in_words(most)}, and should not: it is damaged, or a trap"
        )


@dataclass(frozen=True)
class _Bounded(BytesBytesCodec):
    """A codec of zarr format 3 that looks before it unpacks."""

    codec: BytesBytesCodec

    is_fixed_size = False

    def to_dict(self) -> dict[str, Any]:
        return self.codec.to_dict()

    def evolve_from_array_spec(self, array_spec: Any) -> _Bounded:
        return _Bounded(self.codec.evolve_from_array_spec(array_spec))

    def resolve_metadata(self, chunk_spec: Any) -> Any:
        return self.codec.resolve_metadata(chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        size = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        check_unpacked(type(self.codec).__name__.lower().removesuffix("codec"), chunk_data.to_bytes(), _most(size))
        return await self.codec._decode_single(chunk_data, chunk_spec)

    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return await self.codec._encode_single(chunk_data, chunk_spec)


class _OldBounded:
    """A codec of zarr format 2 that looks before it unpacks."""

    def __init__(self, codec: Any, most: int) -> None:
        self.codec, self.most, self.codec_id = codec, most, codec.codec_id

    def decode(self, buf: Any, out: Any = None) -> Any:
        check_unpacked(self.codec_id, bytes(memoryview(buf)), self.most)
        return self.codec.decode(buf, out)

    def encode(self, buf: Any) -> Any:
        return self.codec.encode(buf)

    def get_config(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.codec.get_config())


def _most(size: int) -> int:
    return MOST_TIMES * size + MOST_MORE


def _bounded(codec: Any) -> Any:
    if isinstance(codec, ShardingCodec):
        inner = copy.copy(codec)
        object.__setattr__(inner, "codecs", tuple(map(_bounded, codec.codecs)))
        return inner
    return _Bounded(codec) if isinstance(codec, BytesBytesCodec) else codec


def _unpacks_to(kind: str, packed: bytes, most: int) -> int:
    """Bytes that come of it, or one more than `most`; 0 where nobody knows, of packings that do not gain much."""
    if kind == "blosc":
        return int.from_bytes(packed[4:8], "little")
    if kind == "lz4":
        return int.from_bytes(packed[:4], "little")
    if kind == "zstd":
        return _zstd_unpacks_to(packed, most)
    if kind in ("gzip", "zlib"):
        return _stream_unpacks_to(packed, most, lambda: zlib.decompressobj(zlib.MAX_WBITS | 32))
    if kind == "bz2":
        return _stream_unpacks_to(packed, most, BZ2Decompressor)
    return _stream_unpacks_to(packed, most, LZMADecompressor) if kind == "lzma" else 0


def _zstd_unpacks_to(packed: bytes, most: int) -> int:
    if len(packed) < 6 or int.from_bytes(packed[:4], "little") != _ZSTD_MAGIC:
        return 0  # no zstd; its library says so
    descriptor = packed[4]
    single, size_flag = bool(descriptor & 0b100000), descriptor >> 6
    if size_flag or single:
        at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
        form = _ZSTD_SIZES[size_flag]
        if len(packed) < at + struct.calcsize(form):
            return 0
        return int(struct.unpack_from(form, packed, at)[0]) + (256 if size_flag == 1 else 0)
    try:
        return len(imagecodecs.zstd_decode(packed, out=most))
    except Exception:  # there was no room for it, or it is damaged
        return most + 1


def _stream_unpacks_to(packed: bytes, most: int, opened: Any) -> int:
    total, rest = 0, packed
    try:
        while rest and total <= most:
            unpacking = opened()
            total += len(unpacking.decompress(rest, 2**20))
            while not unpacking.eof and total <= most and (piece := _more(unpacking)):
                total += len(piece)
            rest = unpacking.unused_data
    except (OSError, EOFError, ValueError, zlib.error):
        pass  # what is damaged, its library tells
    return total


def _more(unpacking: Any) -> bytes:
    left = getattr(unpacking, "unconsumed_tail", b"")  # which zlib wants back, and the others keep
    return bytes(unpacking.decompress(left, 2**20)) if left or not hasattr(unpacking, "unconsumed_tail") else b""
