"""How soon a preview follows the view, and whether the window stays alive meanwhile; needs a display."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.options import Options
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.window import LAYER, wait, wait_until, window

SIDE, VIEW = 2048, 512
SECONDS = 30.0
TICK = 10  # milliseconds of the timer that tells whether the window is alive
STEP = 0.25  # seconds between two actions of the camera
SHOWN, P99, STALL = 0.3, 50.0, 100.0


def preview(options: Options, side: int = SIDE, view: int = VIEW, seconds: float = SECONDS) -> Report:
    """From a pan to its preview, and the pauses of the window with and without one."""
    with window(side) as (viewer, dock):
        pauses = {"no preview": _pauses(viewer, seconds, side)}
        shown = [_seconds_to_preview(viewer, dock, view, centre) for centre in _far_apart(side, view, options.runs)]
        pauses["preview"] = _pauses(viewer, seconds, side)
    rows = [[name, *(number(value) for value in _summary(found))] for name, found in pauses.items()]
    (_, _, stall_before), (_, p99, stall) = _summary(pauses["no preview"]), _summary(pauses["preview"])
    meanwhile = f"{seconds:g} s of preview on {side}×{side}"
    targets = [
        Target(f"from a pan to the shown preview of a view of {view}×{view}", median(shown), SHOWN, "s"),
        Target(f"99th percentile of a {TICK} ms timer, {meanwhile}", p99, P99, "ms"),
        Target(f"longest stall beyond that of the same actions without preview, {meanwhile}", stall - stall_before, STALL, "ms"),
    ]
    notes = [
        "`fast`, uint16, a real window; the time from a pan holds the rest that the view must have first. "
        f"{options.runs} pans to fresh places: {', '.join(number(each) for each in shown)} s.",
        f"The camera pans or zooms every {STEP:g} s.",
    ]
    return Report("Preview", [Table([f"timer of {TICK} ms", "median, ms", "99th percentile, ms", "longest, ms"], rows)], targets, notes)


def _far_apart(side: int, view: int, count: int) -> list[tuple[float, float]]:
    """Centres of views that share nothing with the one before."""
    places = [side * share for share in (0.2, 0.8)]
    return [(places[k % 2], places[k // 2 % 2]) for k in range(count)]


def _seconds_to_preview(viewer: Any, dock: Any, view: int, centre: tuple[float, float]) -> float:
    dock.preview.box.value = False  # what was computed already must not help
    viewer.scene.camera.zoom = max(viewer.canvas.size) / view
    viewer.scene.camera.center = tuple(viewer.layers[LAYER].extent.world[1] - centre)
    dock.preview.box.value = True
    wait_until(lambda: dock.preview.is_complete)
    viewer.scene.camera.center = centre
    began = perf_counter()
    wait_until(lambda: dock.preview.is_complete)
    return perf_counter() - began


def _pauses(viewer: Any, seconds: float, side: int) -> list[float]:
    """Milliseconds between two ticks of a timer while the camera moves."""
    from qtpy.QtCore import Qt, QTimer

    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK)
    timer.timeout.connect(lambda: ticks.append(perf_counter()))
    timer.start()
    begin, number_of_actions = perf_counter(), 0
    while perf_counter() - begin < seconds:
        _act(viewer, number_of_actions, side)
        number_of_actions += 1
        wait(STEP)
    timer.stop()
    return [1000 * float(pause) for pause in np.diff(ticks)]


def _act(viewer: Any, number_of_actions: int, side: int) -> None:
    """Pan in a circle, and every eighth time zoom to the whole image or back."""
    camera, angle = viewer.scene.camera, number_of_actions / 4
    if number_of_actions % 8 == 0:
        camera.zoom = min(viewer.canvas.size) / (side if number_of_actions % 16 == 0 else side / 4)
    camera.center = (side * (0.5 + 0.25 * np.sin(angle)), side * (0.5 + 0.25 * np.cos(angle)))


def _summary(pauses: list[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and longest."""
    return float(np.median(pauses)), float(np.percentile(pauses, 99)), max(pauses)
