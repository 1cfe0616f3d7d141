"""A real window with a noisy image and the Denoise dock, which waits as a window does that has nothing to do; needs a display."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

from benchmarks.images import noisy_plane

SIZE = (1480, 900)
LAYER = "plane"
LONGEST_WAIT = 120.0


def has_display() -> bool:
    """Whether a window can be opened."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def window(side: int) -> Iterator[tuple[Any, Any]]:
    """A viewer with a noisy image of uint16, and the dock."""
    import napari

    from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget

    viewer = napari.Viewer(show_welcome_screen=False)
    try:
        viewer.window.resize(*SIZE)
        viewer.add_image(noisy_plane((side, side), "uint16"), name=LAYER)
        dock = DenoiseWidget(viewer)
        viewer.window.add_dock_widget(dock, name="Denoise")
        wait(0.5)
        yield viewer, dock
    finally:
        viewer.close()


def wait(seconds: float) -> None:
    """Let the window live for a while."""
    from qtpy.QtTest import QTest

    QTest.qWait(int(1000 * seconds))


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window live until something has happened."""
    from qtpy.QtWidgets import QApplication

    end = perf_counter() + LONGEST_WAIT
    while not condition():
        QApplication.processEvents()
        sleep(0.001)  # as a window does that has nothing to do: a loop that spins takes a core and Python's lock from the work
        if perf_counter() > end:
            raise TimeoutError(f"nothing within {LONGEST_WAIT:g} s")


def wait_for(signal: Any, condition: Callable[[], bool]) -> None:
    """Let the window live, as napari does, until a signal says that something has happened: nothing is spent on looking whether it has."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end = QEventLoop(), QTimer()

    def look(*_: object) -> None:
        if condition():
            loop.quit()

    signal.connect(look)
    end.timeout.connect(loop.quit)
    end.start(int(1000 * LONGEST_WAIT))
    if not condition():
        loop.exec()
    signal.disconnect(look)
    if not condition():
        raise TimeoutError(f"nothing within {LONGEST_WAIT:g} s")
