"""A real viewer, its real menus, and a gate that lets tiles pass one by one."""

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu, QWidget

from napari_ne_denoise.core import device
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget

TIMEOUT = 240_000  # ms; only what hangs takes as long, however busy the machine


@pytest.fixture(autouse=True)
def _leave_alone_what_stays() -> None:
    """Closing a viewer searches the memory for what nobody uses, three times: what was there before the test is not searched again."""
    gc.freeze()


def _noisy(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    clean = 400 + 200 * np.sin(rows / 9) * np.cos(columns / 7)
    return (clean + rng.normal(0, 40, shape)).astype(np.uint16)


@pytest.fixture
def noisy() -> Callable[..., np.ndarray]:
    return _noisy


@pytest.fixture
def viewer(make_napari_viewer_proxy) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def until(qtbot) -> Callable[[Callable[[], bool]], None]:
    return lambda condition: qtbot.waitUntil(condition, timeout=TIMEOUT)


class Draws(QObject):
    """How often a window was drawn."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.times, self.window = 0, viewer.__wrapped__.window._qt_window
        self.window.installEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:
        self.times += event.type() == QEvent.Type.UpdateRequest
        return False


@pytest.fixture
def draws() -> type[Draws]:
    return Draws


@pytest.fixture
def drawn(qtbot) -> Callable[[Any], None]:
    """Wait until the window of a viewer was drawn and rests, however long that takes: what is seen, and how large all is, is settled."""

    def wait(viewer: Any) -> None:
        draws, before = Draws(viewer), -1
        assert QTest.qWaitForWindowExposed(draws.window, TIMEOUT)
        while before != draws.times:
            before = draws.times
            QApplication.sync()  # the window system may be late
            qtbot.wait(100)
        draws.window.removeEventFilter(draws)

    return wait


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What napari tells the user."""
    messages: list[str] = []

    def note(notification: Any) -> None:
        messages.append(notification.message)

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture
def no_thread_left(until) -> Callable[[], None]:
    # not `activeThreadCount`, in which those that let others begin do not count
    return lambda: until(lambda: QThreadPool.globalInstance().waitForDone(0))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Also where there is one processor core."""
    pool = QThreadPool.globalInstance()
    before = pool.maxThreadCount()
    pool.setMaxThreadCount(2)
    yield
    pool.setMaxThreadCount(before)


@pytest.fixture
def menu_entry() -> Callable[..., Any]:
    """The entry of a menu of the window, found as a user finds it: by its path."""

    def find(viewer: Any, *path: str) -> Any:
        menu: Any = viewer.window.main_menu
        for title in path:
            if isinstance(menu, QMenu):
                menu.aboutToShow.emit()
            entries = {action.text().replace("&", ""): action for action in menu.actions()}
            assert title in entries, f"{title} is not among {list(entries)}"
            menu = entries[title].menu() or entries[title]
        return menu

    return find


@pytest.fixture
def close_dock() -> Callable[[Any], None]:
    """Click the x of the dock of a widget."""

    def close(widget: Any) -> None:
        dock: QWidget = widget.native.parent()
        dock.titleBarWidget().close_button.click()

    return close


class Gate:
    """Lets as many tiles pass as it is told to."""

    def __init__(self) -> None:
        self._passes = threading.Semaphore(0)
        self.open = False

    def let_pass(self, tiles: int = 1) -> None:
        self._passes.release(tiles)

    def open_wide(self) -> None:
        self.open = True
        self._passes.release()

    def wait(self) -> None:
        if not self.open:
            assert self._passes.acquire(timeout=TIMEOUT / 1000)
            if self.open:
                self._passes.release()  # for the next one: threads of two results may wait here


@pytest.fixture
def small_tiles(monkeypatch) -> None:
    monkeypatch.setattr(device, "choose_tile_size", lambda *_: 32)


@pytest.fixture
def gate(monkeypatch, small_tiles) -> Iterator[Gate]:
    """Tiles of 32 pixels, of which none is finished before the gate lets it."""
    gate, steps = Gate(), DenoisingRun.steps

    def gated(self: DenoisingRun, *where: Any, **how: Any) -> Iterator[Any]:
        for step in steps(self, *where, **how):
            gate.wait()
            yield step

    monkeypatch.setattr(DenoisingRun, "steps", gated)
    yield gate
    gate.open_wide()


@pytest.fixture(autouse=True)
def _forget_preferences() -> Iterator[None]:
    """What a test lets the plugin remember is not for the next one."""
    yield
    plugin_settings = get_plugin_settings()
    if KEY in plugin_settings:
        plugin_settings[KEY].reset()


@pytest.fixture
def dock(viewer) -> DenoiseWidget:
    widget = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


@pytest.fixture
def run(dock, until) -> Callable[[], None]:
    """Press Denoise and wait for the end."""

    def press() -> None:
        dock.button.native.click()
        until(lambda: not dock.queue.is_busy)

    return press


@pytest.fixture
def run_a_tile(dock, viewer, gate, until) -> Callable[[], None]:
    """Press Denoise and wait until the first tile is on screen."""

    def press() -> None:
        there = len(viewer.layers)
        dock.button.native.click()
        gate.let_pass()
        until(lambda: len(viewer.layers) > there)

    return press
