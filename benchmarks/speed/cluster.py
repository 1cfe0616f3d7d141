"""What a second worker of a cluster brings: from one OME-Zarr to another, by processes of one thread each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.images import noisy_plane
from benchmarks.options import Options
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.timing import interleaved, median_ratio
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.batch.cluster import run_jobs_on
from napari_ne_denoise.core.batch.jobs import plan_jobs
from napari_ne_denoise.core.io import ImageFile, write_image
from napari_ne_denoise.core.settings import DenoiseSettings

PLANES, SIDE = 8, 1448  # 2 megapixels each, a part of its own
ONE, TWO = "one worker", "two workers"
TWICE = 1.7  # times as fast, at least


def cluster(options: Options, planes: int = PLANES, side: int = SIDE) -> Report:
    """Two workers of one thread against one."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source, target = Path(folder) / "in.ome.zarr", Path(folder) / "out.ome.zarr"
        write_image(source, ImageFile(np.stack([noisy_plane((side, side), "uint16", seed) for seed in range(planes)]), "ZYX"))
        clients = {name: stack.enter_context(_cluster_of(count)) for name, count in ((ONE, 1), (TWO, 2))}
        times = interleaved({name: partial(_denoise, client, source, target) for name, client in clients.items()}, options.runs)
    ratio = median_ratio(times, ONE, TWO)
    pixels = planes * side**2 / 1e6
    rows = [[name, number(median(found)), number(pixels / median(found))] for name, found in times.items()]
    notes = [
        f"`--scheduler`, OME-Zarr to OME-Zarr, {planes} planes of {side}×{side} uint16, `fast` in its default precision; workers are "
        "processes of one thread, and had opened the model. Smaller sizes and all of the client's work are counted."
    ]
    table = Table(["", "s", "MPix/s"], rows)
    return Report("Cluster", [table], [Target("two workers over one", ratio, TWICE, "×", at_most=False)], notes)


@contextmanager
def _cluster_of(workers: int) -> Iterator:
    """A client of a cluster of processes."""
    from distributed import Client, LocalCluster

    options = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**options) as found, Client(found, set_as_default=False) as client:
        yield client


def _denoise(client: object, source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    (*_, last) = run_jobs_on(client, plan_jobs([source], target), DenoiseSettings(device="cpu"), load_denoiser("fast"))
    if last.record["status"] != "done":
        raise RuntimeError(last.record.get("error"))
