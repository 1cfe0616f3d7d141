"""What it costs to denoise in the window: through the dock, in its thread, with tiles shown as they come; needs a display."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

from benchmarks.options import Options
from benchmarks.ours import denoised, steps_of
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.timing import interleaved, median_ratio
from benchmarks.speed.window import LAYER, wait, wait_for, wait_until, window
from napari_ne_denoise import load_denoiser

SIDE = 2048
OVERHEAD = 0.10
BARE, TILES, DOCK = "`denoise`", "`iter_denoise`, drained", "the dock, from the click to the finished layer"


def worker(options: Options, side: int = SIDE) -> Report:
    """The dock against the bare call, in one process, taking turns."""
    with window(side) as (viewer, dock):
        image, fast = viewer.layers[LAYER].data, load_denoiser("fast")
        wait_until(lambda: "cpu" in dock.device.choices)
        dock.device.value = "cpu"
        contenders: dict[str, Callable[[], object]] = {
            BARE: partial(denoised, image, fast),
            TILES: lambda: deque(steps_of(image, fast), maxlen=0),
            DOCK: lambda: _press_and_wait(dock),
        }
        times = _take_turns(contenders, options.runs, viewer)
    rows = [[name, number(median(found)), number(median_ratio(times, name, BARE))] for name, found in times.items()]
    over = median_ratio(times, DOCK, BARE) - 1
    targets = [Target(f"the dock beyond the bare call, {side}×{side} uint16", over, OVERHEAD)]
    notes = [
        f"`fast`, {side}×{side} uint16, a real window; medians of {options.runs} runs, in which the three take turns, and of their ratios.",
        "The dock computes a square of 512 pixels first, as `iter_denoise` does, shows tiles as they come, and keeps what strength needs.",
    ]
    return Report("In the window", [Table(["", "s", "of the bare call"], rows)], targets, notes)


def _press_and_wait(dock: Any) -> None:
    dock.button.native.click()
    wait_for(dock.queue.changed, lambda: not dock.queue.is_busy)


def _take_turns(contenders: Mapping[str, Callable[[], object]], runs: int, viewer: Any) -> dict[str, list[float]]:
    """As `interleaved`; results of the dock are taken away when nothing is timed."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number_of_run in range(runs + 1):
        for name, found in interleaved(contenders, 1, warm_up=False).items():
            times[name] += found if number_of_run else []  # the first one is a warm-up
        for layer in [layer for layer in viewer.layers if layer.name != LAYER]:
            viewer.layers.remove(layer)
        wait(0.3)
    return times
