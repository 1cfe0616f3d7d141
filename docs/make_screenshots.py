"""Draw the pictures of the documentation: the real window, driven as a user drives it.

Run it with ``make screenshots``, or with a screen and an empty napari settings file of your own.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu, QWidget

from benchmarks.pictures import shrink
from napari_ne_denoise.gui.base.docks import Fold

IMAGES = Path(__file__).parent / "images"
WINDOW = (1480, 900)
DENOISE, FILTER, NOISE = "Denoise (NE Denoise)", "Adaptive filter (NE Denoise)", "Noise (NE Denoise)"
COMPARE, MAPS = "Compare (NE Denoise)", "Filter maps (NE Denoise)"
SPECTRUM, LAB = "Spectrum (NE Denoise)", "Normalisation lab (NE Denoise)"
# a fibre and what is around it, in pixels of the sample
FIBRE = (214, 275)
# across several of them
ACROSS = ((150, 300), (235, 345))


def main() -> None:
    """Denoise the sample, look at it, look into a pixel."""
    IMAGES.mkdir(exist_ok=True)
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(*WINDOW)
    trigger(viewer, "File", "Open Sample", "NE Denoise", "Actin, noisy and clean")
    viewer.layers.remove("actin clean")
    denoise(viewer)
    draw(viewer, "denoise_dock.png")
    look_into_a_pixel(viewer)
    draw(viewer, "filter_dock.png")
    put_an_ordinary_one_beside(viewer)
    draw(viewer, "filters_beside.png")
    draw_many_filters(viewer)
    draw(viewer, "filters_grid.png")
    map_widths(viewer)
    draw(viewer, "maps_dock.png")
    take_a_patch_apart(viewer)
    draw(viewer, "spectrum_dock.png")
    compare(viewer)
    draw(viewer, "compare_dock.png")
    find_noise(viewer)
    draw_dock(viewer, NOISE, "noise_dock.png")
    try_normalisations(viewer)
    draw_dock(viewer, LAB, "lab_dock.png")
    viewer.close()


def denoise(viewer: Any) -> None:
    """Open the dock from its menu, press Denoise, show before and after side by side."""
    trigger(viewer, "Layers", "Filter", DENOISE)
    dock = viewer.window.dock_widgets[DENOISE]
    wait_until(lambda: len(dock.device.choices) > 1)
    dock.button.native.click()
    wait_until(lambda: dock.button.text == "Denoise")
    viewer.canvas.grid.enabled = True
    for layer in viewer.layers:
        layer.name_overlay.visible = True
    settle()
    viewer.scene.camera.zoom *= 1.05


def look_into_a_pixel(viewer: Any) -> None:
    """Open the other dock, click a pixel on a fibre."""
    viewer.canvas.grid.enabled = False
    for layer in viewer.layers:
        layer.name_overlay.visible = False
    viewer.layers.selection.active = viewer.layers["actin noisy denoised"]
    viewer.window.dock_widgets[DENOISE].native.parent().close()
    trigger(viewer, "Layers", "Visualize", FILTER)
    dock = viewer.window.dock_widgets[FILTER]
    viewer.scene.camera.center = FIBRE
    viewer.scene.camera.zoom = 9
    settle()
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(canvas.width() // 2, canvas.height() // 2))
    wait_until(lambda: dock.current is not None and bool(dock.current.numbers))


def put_an_ordinary_one_beside(viewer: Any) -> None:
    """Show the filter of an ordinary network for the same pixel."""
    dock = viewer.window.dock_widgets[FILTER]
    dock.beside.value = "ordinary-twin"
    wait_until(lambda: dock.pair.isVisible())


def draw_many_filters(viewer: Any) -> None:
    """Unfold the part of many filters, and draw a grid over what is visible."""
    dock = viewer.window.dock_widgets[FILTER]
    dock.beside.value = ""
    wait_until(lambda: dock.view.isVisible())
    dock.native.findChildren(Fold)[-1].head.click()
    viewer.scene.camera.zoom = 4
    settle()
    dock.grid.button.native.click()
    wait_until(lambda: dock.grid.button.text == "Draw")


def map_widths(viewer: Any) -> None:
    """Open the dock of maps, and compute the width of the filters around the fibre."""
    viewer.window.dock_widgets[FILTER].native.parent().titleBarWidget().close_button.click()  # its filter goes with it
    viewer.layers.remove("filters on a grid")
    viewer.scene.camera.zoom = 9
    settle()
    trigger(viewer, "Layers", "Visualize", MAPS)
    dock = viewer.window.dock_widgets[MAPS]
    for name, box in dock.boxes.items():
        box.value = name == "width"
    dock.button.native.click()
    wait_until(lambda: dock.button.text == "Compute")


def take_a_patch_apart(viewer: Any) -> None:
    """Open the dock of spectra, whose square lies on the fibre, and compute what is kept of it."""
    viewer.window.dock_widgets[MAPS].native.parent().titleBarWidget().close_button.click()
    viewer.layers.remove(next(layer for layer in viewer.layers if "width" in layer.name))
    trigger(viewer, "Layers", "Visualize", SPECTRUM)
    dock = viewer.window.dock_widgets[SPECTRUM]
    dock.button.native.click()
    wait_until(lambda: dock.current is not None)


def compare(viewer: Any) -> None:
    """Open another dock, draw the curtain, and a line across fibres."""
    viewer.window.dock_widgets[SPECTRUM].native.parent().titleBarWidget().close_button.click()  # its square goes with it
    viewer.reset_view()
    trigger(viewer, "Layers", "Visualize", COMPARE)
    dock = viewer.window.dock_widgets[COMPARE]
    dock.residual.native.click()
    wait_until(lambda: dock.residual.text == "Residual layer")
    dock.bar.buttons["Curtain"].click()
    dock.draw_profile.native.click()
    canvas = viewer.window._qt_viewer.canvas.native
    start, end = (on_canvas(viewer, place) for place in ACROSS)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, start)
    QTest.mouseMove(canvas, end)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, end)
    wait_until(lambda: dock.profile.current.error is not None)


def on_canvas(viewer: Any, place: tuple[int, int]) -> QPoint:
    """Where on the canvas a pixel of the sample is."""
    canvas, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    row, column = ((at - middle) * camera.zoom for at, middle in zip(place, camera.center[-2:], strict=True))
    return QPoint(round(canvas.width() / 2 + column), round(canvas.height() / 2 + row))


def find_noise(viewer: Any) -> None:
    """Open the fourth dock, and let it learn the noise of the noisy image."""
    viewer.window.dock_widgets[COMPARE].native.parent().titleBarWidget().close_button.click()  # its layers go with it
    for layer in list(viewer.layers):
        if layer.name != "actin noisy":
            viewer.layers.remove(layer)
    trigger(viewer, "Layers", "Measure", NOISE)
    dock = viewer.window.dock_widgets[NOISE]
    dock.learn.native.click()
    wait_until(lambda: dock.current is not None and dock.current[1].finished)


def try_normalisations(viewer: Any) -> None:
    """Open the lab, compare normalisations, try another range, and show how far results differ."""
    viewer.window.dock_widgets[NOISE].native.parent().close()
    trigger(viewer, "Layers", "Visualize", LAB)
    dock = viewer.window.dock_widgets[LAB]
    settle()
    dock.button.native.click()
    wait_until(lambda: dock.tried is not None)
    dock.trial.head.click()
    dock.sliders.shift.setValue(-50)
    wait_until(lambda: dock.tried.line.shift == dock.sliders.line.shift)
    dock.spreads.native.click()


def trigger(viewer: Any, *path: str) -> None:
    """Choose an entry of the menus of the window."""
    menu: Any = viewer.window.main_menu
    for title in path:
        if isinstance(menu, QMenu):
            menu.aboutToShow.emit()
        action = next(action for action in menu.actions() if action.text().replace("&", "") == title)
        menu = action.menu() or action
    menu.trigger()


def draw(viewer: Any, name: str) -> None:
    """Save a picture of the whole window."""
    settle()
    viewer.screenshot(str(IMAGES / name), canvas_only=False, flash=False)
    shrink(IMAGES / name)
    print(IMAGES / name)


def draw_dock(viewer: Any, dock: str, name: str) -> None:
    """Save a picture of one dock, no taller than what it holds."""
    settle()
    native = viewer.window.dock_widgets[dock].column.parentWidget()
    picture = native.grab()
    last = max(child.geometry().bottom() for child in native.children() if isinstance(child, QWidget))
    picture.copy(0, 0, picture.width(), last + 8).save(str(IMAGES / name))
    shrink(IMAGES / name)
    print(IMAGES / name)


def settle() -> None:
    """Let the window draw itself."""
    QTest.qWait(500)
    QApplication.processEvents()


def wait_until(condition: Callable[[], bool], timeout: float = 120) -> None:
    """Let the window live until something has happened."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing happened for {timeout} s")
        QTest.qWait(20)


if __name__ == "__main__":
    main()
