"""How the pixels of an OME-Zarr are packed: what each way takes in bytes and in time, for the packaged image and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import as_file, files
from statistics import median
from typing import Any

import numpy as np
from numcodecs import blosc

from benchmarks.report import Table
from benchmarks.speed.timing import interleaved
from napari_ne_denoise import denoise
from napari_ne_denoise.core.io import read_image
from napari_ne_denoise.core.io.zarr_files import CHUNK, PACKING

WAYS = [PACKING, *(PACKING | {"clevel": level} for level in (1, 5)), PACKING | {"shuffle": "bitshuffle"}, PACKING | {"cname": "lz4"}]
_SHUFFLES = {"shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}


def packing(runs: int) -> Iterator[Table]:
    """In several ways; the first is how results are written."""
    with as_file(files("napari_ne_denoise") / "sample_data" / "actin_noisy.tif") as path:
        image = np.asarray(read_image(path).pixels)
    image = image[:CHUNK, :CHUNK]
    for name, pixels in (("result", denoise(image)), ("image", image)):
        yield _compared(f"{name}, {pixels.dtype}", np.ascontiguousarray(pixels), runs)


def _compared(title: str, pixels: np.ndarray, runs: int) -> Table:
    blosc.use_threads = False  # as zarr does
    codecs = {"{cname}, level {clevel}, {shuffle}".format(**way): _codec(way) for way in WAYS}
    packed = {name: codec.encode(pixels) for name, codec in codecs.items()}
    both = (
        interleaved({name: partial(codec.encode, pixels) for name, codec in codecs.items()}, runs),
        interleaved({name: partial(codec.decode, packed[name]) for name, codec in codecs.items()}, runs),
    )

    def row(name: str) -> list[str]:
        return [f"{len(packed[name]) / pixels.nbytes:.3f}", *(f"{pixels.nbytes / 1e6 / median(times[name]):.0f}" for times in both)]

    rows = [[name, *row(name)] for name in codecs]
    return Table([title, "bytes over pixels", "packs, MB/s", "unpacks, MB/s"], rows)


def _codec(way: Mapping[str, Any]) -> blosc.Blosc:
    return blosc.Blosc(way["cname"], way["clevel"], _SHUFFLES[way["shuffle"]])
