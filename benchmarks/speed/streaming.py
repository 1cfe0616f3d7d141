"""Memory that the command line takes to denoise an OME-Zarr which does not fit into it, into another one.

The input is made block by block on disk; the process is the one a user would start, and /proc says how large it became.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod, sqrt
from pathlib import Path

import numpy as np
import zarr

from benchmarks.images import noisy_plane
from benchmarks.options import Options
from benchmarks.report import Report, Table, Target
from benchmarks.speed.processes import ROOT

GIGABYTE = 1e9
STACK_PLANE = 2_048  # pixels, the side of a plane of the stack
BLOCK = 2_048  # pixels, the side of what is made and stored at once
LIMIT = 2.0  # GB
GROWTH = 1.1  # from half of a stack to all of it: memory does not follow the number of planes
INTERVAL = 0.2  # seconds between two looks at the process


@dataclass(frozen=True)
class Streamed:
    """What one run took: of an image of some shape, the peak of resident memory in bytes, and seconds."""

    shape: tuple[int, ...]
    peak: int
    seconds: float

    @property
    def row(self) -> list[str]:
        """For the table."""
        pixels = prod(self.shape)
        sizes = [f"{size / GIGABYTE:.2f}" for size in (2 * pixels, 4 * pixels, self.peak)]
        return ["×".join(map(str, self.shape)), *sizes, f"{self.seconds / 60:.1f}", f"{self.seconds / pixels * 1e6:.2f}"]


def streaming_plane(options: Options) -> Report:
    """One large plane."""
    side = round(sqrt(options.streamed * 1e6))
    found = streamed((side, side))
    target = Target(f"{side}×{side} uint16, OME-Zarr to OME-Zarr, peak", found.peak / GIGABYTE, LIMIT, "GB")
    return _report("Streaming: one plane", [found], [target])


def streaming_stack(options: Options) -> Report:
    """Half of a stack, and all of it."""
    planes = 2 * max(1, round(options.streamed * 1e6 / STACK_PLANE**2 / 4))
    half, whole = (streamed((length, STACK_PLANE, STACK_PLANE)) for length in (planes // 2, planes))
    targets = [
        Target(f"{planes} planes of {STACK_PLANE}×{STACK_PLANE} uint16, OME-Zarr to OME-Zarr, peak", whole.peak / GIGABYTE, LIMIT, "GB"),
        Target(f"peak with {planes} planes over peak with {planes // 2}", whole.peak / half.peak, GROWTH),
    ]
    return _report("Streaming: a stack", [half, whole], targets)


def _report(title: str, found: Sequence[Streamed], targets: list[Target]) -> Report:
    columns = ["image", "input, GB", "result, GB", "peak, GB", "minutes", "s/MPix"]
    note = (
        "`napari-ne-denoise denoise` from a zarr on disk to an OME-Zarr with its smaller sizes, default settings. Peak of resident "
        "memory of that process, torch included, as /proc says; sizes are those of pixels, not compressed. Minutes are of whatever "
        "else the machine did."
    )
    return Report(title, [Table(columns, [one.row for one in found])], targets, [note])


def streamed(shape: tuple[int, ...]) -> Streamed:
    """Make an image of noise on disk, denoise it by the command line, and say what that took."""
    with tempfile.TemporaryDirectory(prefix="streaming-") as folder:
        source, result = Path(folder) / "noisy.zarr", Path(folder) / "denoised.ome.zarr"
        _make(source, shape)
        command = [sys.executable, "-m", "napari_ne_denoise", "denoise", str(source), "-o", str(result), "--quiet"]
        axes = ["--axes", "ZYX"[-len(shape) :]]
        started = time.perf_counter()
        peak = _peak_of(subprocess.Popen([*command, *axes], cwd=ROOT, stdout=subprocess.DEVNULL))
        _check(result, shape)
        return Streamed(shape, peak, time.perf_counter() - started)


def _make(path: Path, shape: tuple[int, ...]) -> None:
    """A grating in noise, block by block, each stored as one file."""
    array = zarr.create_array(path, shape=shape, chunks=(1,) * (len(shape) - 2) + (BLOCK, BLOCK), dtype="uint16")
    for seed, (plane, y, x) in enumerate(product(np.ndindex(shape[:-2]), *(range(0, length, BLOCK) for length in shape[-2:]))):
        window = (slice(y, min(y + BLOCK, shape[-2])), slice(x, min(x + BLOCK, shape[-1])))
        size = (window[0].stop - y, window[1].stop - x)
        array[(*plane, *window)] = noisy_plane(size, "uint16", seed)


def _peak_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; its peak of resident memory in bytes, as of the last look at it.

    Raises
    ------
    RuntimeError
        If it failed.
    """
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident_peak(process.pid))
        time.sleep(INTERVAL)
    if process.returncode:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    return peak


def _resident_peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    # a process that has ended and was not waited for has no such line
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _check(result: Path, shape: tuple[int, ...]) -> None:
    """That a result is there, of the right size and with pixels in its last corner."""
    full = zarr.open_group(result, mode="r")["0"]
    assert isinstance(full, zarr.Array)
    if full.shape != shape or not np.any(full[(*(length - 1 for length in shape[:-2]), slice(-8, None), slice(-8, None))]):
        raise RuntimeError(f"{result}: {full.shape} is not what was asked for, or its last corner is empty")
