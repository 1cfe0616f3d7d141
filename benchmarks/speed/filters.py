"""How many filters a second follow the mouse, in a window and without one; the former needs a display."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.images import noisy_plane
from benchmarks.options import Options
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.timing import interleaved
from benchmarks.speed.window import LAYER, SIZE, wait, wait_until
from napari_ne_denoise.core.jacobian.filters import prepare_filters

SIDE = 1024
SECONDS = 15.0
EVERY = 16  # milliseconds between two places of the mouse, as a hand on a mouse sends them
MANY = 24
LEAST = 10.0  # filters a second


def filters(options: Options, side: int = SIDE, seconds: float = SECONDS) -> Report:
    """Filters of `fast` by themselves, and those that a dock shows while the mouse moves."""
    image = noisy_plane((side, side), "uint16")
    alone = _alone(image, options.runs)
    shown, waits, rest = _followed(image, seconds)
    rows = [[name, number(1000 * value), number(1 / value)] for name, value in alone.items()]
    rows.append(["shown in the window while the mouse moves, float32", number(1000 / shown), number(shown)])
    targets = [Target(f"filters shown a second while the mouse moves over {side}×{side}, in a window", shown, LEAST, "/s", at_most=False)]
    median_wait, longest = number(1000 * median(waits)), number(1000 * float(np.percentile(waits, 95)))
    notes = [
        f"`fast`, uint16, `torch` with {torch.get_num_threads()} threads; medians. In the window the mouse goes to another pixel every "
        f"{EVERY} ms for {seconds:g} s, with real events; the latest place wins; filters of different pixels that were shown are counted. "
        f"From a movement to its filter: median {median_wait} ms, 95th percentile {longest} ms. Where the mouse then rests, the exact "
        f"filter in float64, with all its numbers, was there after {number(rest)} s, of which 0.3 s are the rest itself.",
    ]
    return Report("Filters", [Table(["one filter", "ms", "a second"], rows)], targets, notes)


def _alone(image: np.ndarray, runs: int) -> dict[str, float]:
    """Seconds for a filter, by how it is asked for."""
    prepared = prepare_filters(image)
    middle = image.shape[0] // 2
    many = [((middle + 8 * k) % image.shape[0], middle) for k in range(MANY)]
    times = interleaved(
        {
            "plane read already, float32": lambda: prepared.at((middle, middle), torch.float32),
            "plane read already, float64": lambda: prepared.at((middle, middle)),
            "everything anew, float32": lambda: prepare_filters(image).at((middle, middle), torch.float32),
            f"one of {MANY} together, float32": lambda: list(prepared.of(many, torch.float32)),
        },
        runs,
    )
    return {name: median(found) / (MANY if "together" in name else 1) for name, found in times.items()}


def _followed(image: np.ndarray, seconds: float) -> tuple[float, list[float], float]:
    """Filters a second while the mouse moves, seconds from each movement to its filter, and from the last one to the exact filter."""
    import napari

    from napari_ne_denoise.gui.inside.filter_widget import FilterWidget

    viewer = napari.Viewer(show_welcome_screen=False)
    try:
        viewer.window.resize(*SIZE)
        viewer.add_image(image, name=LAYER)
        dock = FilterWidget(viewer)
        viewer.window.add_dock_widget(dock, name="Adaptive filter")
        wait(0.5)
        walk = _Walk(viewer, dock)
        while dock.current is None:  # until the canvas hears the mouse, the model is open, and the plane was read
            walk.step()
            wait(0.2)
        return walk.go(seconds)
    finally:
        viewer.close()


class _Walk:
    """Moves the mouse over the canvas, and notes when filters are shown."""

    def __init__(self, viewer: Any, dock: Any) -> None:
        self._viewer, self._dock, self._steps = viewer, dock, 0
        self._asked: dict[tuple[int, ...], float] = {}
        self._shown: list[tuple[float, tuple[int, ...]]] = []
        self._show = dock.view.show_weights
        dock.view.show_weights = self._note

    def step(self) -> None:
        """Go on to another pixel, on a curve that fills the middle of the canvas."""
        from qtpy.QtCore import QPoint
        from qtpy.QtTest import QTest

        canvas = self._viewer.window._qt_viewer.canvas.native
        self._steps += 1
        angle = self._steps / 20
        radius = 0.35 * min(canvas.width(), canvas.height())
        place = QPoint(round(canvas.width() / 2 + radius * np.cos(angle)), round(canvas.height() / 2 + radius * np.sin(1.3 * angle)))
        QTest.mouseMove(canvas, place)

    def go(self, seconds: float) -> tuple[float, list[float], float]:
        """Walk for so long; then rest."""
        from qtpy.QtCore import Qt, QTimer

        self._shown.clear()
        self._viewer.mouse_move_callbacks.append(self._hear)
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(EVERY)
        timer.timeout.connect(self.step)
        timer.start()
        began = perf_counter()
        wait(seconds)
        timer.stop()
        took = perf_counter() - began
        ended = perf_counter()
        waits = [at - self._asked[pixel] for at, pixel in self._shown if pixel in self._asked]
        shown = len({pixel for _, pixel in self._shown})
        wait_until(lambda: not self._dock.current.pixel.is_live)
        self._viewer.mouse_move_callbacks.remove(self._hear)
        return shown / took, waits, perf_counter() - ended

    def _hear(self, viewer: Any, event: Any) -> None:
        place = self._viewer.layers[LAYER].world_to_data(event.position)
        self._asked[tuple(int(at) for at in np.rint(place))] = perf_counter()

    def _note(self, *arguments: Any) -> None:
        self._show(*arguments)
        if self._dock.current.pixel.is_live:
            self._shown.append((perf_counter(), self._dock.current.pixel.position))
