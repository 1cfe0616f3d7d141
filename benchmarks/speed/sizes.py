"""What it costs to denoise images of every size: the first tile, the time by pixel, the halo, stacks of small planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from statistics import median
from threading import Event, Timer
from time import perf_counter

import numpy as np

from benchmarks.images import noisy_plane
from benchmarks.options import Options
from benchmarks.ours import PRECISIONS, chosen_precision, denoised, halo_overhead, steps_of
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.memory import random_drunet
from benchmarks.speed.processes import in_fresh_process
from benchmarks.speed.timing import interleaved, median_ratio
from napari_ne_denoise import Denoiser, load_denoiser
from napari_ne_denoise.core.interruption import Interrupted, interruptible

PROCESSES = 5
SIDES, LARGEST = (512, 1024, 2048, 4096, 8192), 10000
HALO_SIDE = 4096
AT_LEAST = 4e6  # pixels in one timing: small images are denoised several times

FIRST_TILE, MODEL_LOAD, CANCEL, SPREAD, HALO, STACK = 0.5, 0.3, 1.5, 1.15, 0.20, 1.3


def latency(options: Options, side: int = 2048, processes: int = PROCESSES) -> Report:
    """How long one waits for the model and for the first tile."""
    fresh = [in_fresh_process("benchmarks.speed.fresh", side) for _ in range(processes)]
    load, first = (median(found[name] for found in fresh) for name in ("load", "first"))
    image, fast = noisy_plane((side, side), "uint16"), load_denoiser("fast")
    again = median(interleaved({"first tile": lambda: next(iter(steps_of(image, fast)))}, options.runs)["first tile"])
    size = f"{side}×{side} uint16"
    targets = [
        Target("load of `fast` beyond `import torch`, fresh process", load, MODEL_LOAD, "s"),
        Target(f"first tile of {size}, model loaded, first call of the process", first, FIRST_TILE, "s"),
        Target(f"first tile of {size}, later calls", again, FIRST_TILE, "s"),
    ]
    notes = [f"Medians of {processes} fresh processes, and of {options.runs} calls in one; `iter_denoise` in its default precision."]
    return Report("Latency", [Table(["", "s"], [[target.what, number(target.measured)] for target in targets])], targets, notes)


def cancel(options: Options, side: int = 4096, after: float = 1.0) -> Report:
    """How long a computation goes on after it is told to stop."""
    image = noisy_plane((side, side))
    waits = {
        f"{name}, float32": [_seconds_to_stop(image, model, after) for _ in range(options.runs)]
        for name, model in (("fast", load_denoiser("fast")), ("DRUNet-NE", random_drunet()))
    }
    rows = [[name, number(median(found)), number(max(found))] for name, found in waits.items()]
    targets = [Target(f"longest wait for Cancel, {name}", max(found), CANCEL, "s") for name, found in waits.items()]
    notes = [f"`denoise` of {side}×{side} float32, told to stop {after:g} s after the call, {options.runs} times."]
    return Report("Cancel", [Table(["", "median, s", "longest, s"], rows)], targets, notes)


def _seconds_to_stop(image: np.ndarray, model: Denoiser, after: float) -> float:
    stop = Event()
    told = []

    def tell() -> None:
        told.append(perf_counter())
        stop.set()

    timer = Timer(after, tell)
    timer.start()
    try:
        with interruptible(stop):
            denoised(image, model, precision="float32")
    except Interrupted:
        return perf_counter() - told[0]
    finally:
        timer.cancel()
    raise RuntimeError(f"{model.name} was done within {after} s; take a larger image.")


def scaling(options: Options, sides: Sequence[int] = SIDES, halo_side: int = HALO_SIDE) -> Report:
    """Time by pixel over the size of the image, and what tiles read beyond what they keep."""
    fast = load_denoiser("fast")
    images = {f"{side}×{side}": noisy_plane((side, side)) for side in [*sides, *([LARGEST] if options.large else [])]}
    costs = _costs(images, fast, options.runs)
    cost = {key: median(runs) for key, runs in costs.items()}
    rows = [
        [number(image.size / 1e6), chosen_precision(image, fast), *(f"{cost[name, precision]:.3f}" for precision in PRECISIONS)]
        for name, image in images.items()
    ]
    columns = ["MPix", "auto took", *(f"{precision}, s/MPix" for precision in PRECISIONS)]
    targets = [
        Target(f"slowest over fastest size of image, by pixel, {precision}", _spread([cost[name, precision] for name in images]), SPREAD)
        for precision in PRECISIONS
    ]
    halo = halo_overhead(noisy_plane((halo_side, halo_side)), fast)
    targets.append(Target(f"halo overhead at {number(halo_side**2 / 1e6)} MPix, as a share of the pixels kept", halo, HALO))
    notes = ["`denoise` of float32 images with `fast`; images below 4 megapixels several times in one timing."]
    return Report("Time over size", [Table(columns, rows)], targets, notes)


def stacks(options: Options, planes: int = 1000, side: int = 64, whole_side: int = 2048) -> Report:
    """A stack of small planes against one large plane, by pixel."""
    fast = load_denoiser("fast")
    small, large = f"{planes} planes of {side}×{side}", f"{whole_side}×{whole_side}"
    images = {
        small: noisy_plane((planes * side, side)).reshape(planes, side, side),
        large: noisy_plane((whole_side, whole_side)),
    }
    costs = _costs(images, fast, options.runs)
    ratios = {precision: median_ratio(costs, (small, precision), (large, precision)) for precision in PRECISIONS}
    rows = []
    for precision, ratio in ratios.items():
        took = ", ".join(dict.fromkeys(chosen_precision(image, fast, precision) for image in images.values()))
        rows.append([precision, took, *(number(median(costs[name, precision])) for name in images), f"{ratio:.2f}"])
    columns = ["precision", "took", *(f"{name}, s/MPix" for name in images), "stack / plane"]
    targets = [Target(f"{small} over one of {large}, by pixel, {precision}", ratio, STACK) for precision, ratio in ratios.items()]
    return Report("Stacks of small planes", [Table(columns, rows)], targets, ["`denoise` of float32 images with `fast`."])


def _costs(images: dict[str, np.ndarray], model: Denoiser, runs: int) -> dict[tuple[str, str], list[float]]:
    """Seconds by megapixel in each run, by image and precision."""
    calls = {(name, precision): _repeated(image, model, precision) for name, image in images.items() for precision in PRECISIONS}
    times = interleaved(calls, runs)
    return {key: [spent / _megapixels_in_a_timing(images[key[0]]) for spent in times[key]] for key in calls}


def _repeated(image: np.ndarray, model: Denoiser, precision: str) -> Callable[[], None]:
    def call() -> None:
        for _ in range(_repeats(image)):
            denoised(image, model, precision=precision)

    return call


def _repeats(image: np.ndarray) -> int:
    return ceil(AT_LEAST / image.size)


def _megapixels_in_a_timing(image: np.ndarray) -> float:
    return _repeats(image) * image.size / 1e6


def _spread(values: Sequence[float]) -> float:
    return max(values) / min(values)
