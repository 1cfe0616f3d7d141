"""The first minute, as a user goes it: from the menu, with the mouse and the keys; the steps tick themselves."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.opening import open_dock
from napari_ne_denoise.gui.guide.first_steps import BEGIN
from napari_ne_denoise.gui.guide.first_steps import SAMPLE as SAMPLE_KEY
from napari_ne_denoise.gui.inside.filter_view import SIDE
from napari_ne_denoise.gui.layers.kinship import image_layers

DOCKS = "First steps (NE Denoise)", "Denoise (NE Denoise)", "Adaptive filter (NE Denoise)"
PLUGIN = ("Plugins", "NE Denoise", DOCKS[0])
SAMPLE = ("File", "Open Sample", "NE Denoise", "First steps, guided")


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def begun(viewer, menu_entry, until):
    """The guide and the Denoise dock, opened from a menu."""

    def begin(path):
        menu_entry(viewer, *path).trigger()
        until(lambda: all(name in viewer.window.dock_widgets for name in DOCKS[:2]))
        return [viewer.window.dock_widgets[name] for name in DOCKS[:2]]

    return begin


def _click(dock, number):
    """The button of a step, which is not always the one that is shown."""
    row = dock.rows[number]
    for _ in dock.rows:
        if not row.isVisible():
            QTest.mouseClick(dock.forth, Qt.MouseButton.LeftButton)
    assert row.isVisible()
    QTest.mouseClick(row.button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("path", [PLUGIN, SAMPLE])
def test_a_minute_in_four_steps(viewer, begun, until, path, no_thread_left):
    guide, denoise = begun(path)
    assert [layer.name for layer in viewer.layers] == ["actin clean", "actin noisy"]
    assert denoise.layer.value.name == "actin noisy"
    assert guide.done == [False] * 4
    assert guide.message.value == BEGIN + "☐☐☐☐"
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    denoise.button.native.click()
    assert guide.done == [False] * 4  # it has only begun
    until(lambda: guide.done == [True, False, False, False])
    assert guide.message.value == BEGIN + "☑☐☐☐"
    assert [row.isVisible() for row in guide.rows] == [False, True, False, False]
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert guide.done == [True, True, False, False]
    QTest.keyClick(canvas, Qt.Key.Key_N)
    _click(guide, 2)
    assert DOCKS[2] in viewer.window.dock_widgets
    viewer.layers.selection.active = viewer.layers["actin noisy denoised"]
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(canvas.width() // 2, canvas.height() // 2))
    until(lambda: guide.done == [True, True, True, False])
    denoise.quality.native.click()
    until(lambda: all(guide.done))
    assert guide.message.value == BEGIN + "☑☑☑☑"
    assert guide.end.native.isVisible()
    (steps,) = guide.native.findChildren(QScrollArea)
    assert steps.verticalScrollBar().maximum() == 0  # there is room for the last word
    QTest.mouseClick(guide.back, Qt.MouseButton.LeftButton)
    assert guide.rows[-1].isVisible()
    no_thread_left()


def test_the_picture_of_the_filter_is_in_sight_in_the_window_that_napari_opens(viewer, begun, until):
    viewer.window.resize(1089, 630)
    guide, _ = begun(PLUGIN)
    _click(guide, 2)
    picture = viewer.window.dock_widgets[DOCKS[2]].view
    until(lambda: picture.visibleRegion().boundingRect().height() > 0.9 * SIDE)
    (steps,) = guide.native.findChildren(QScrollArea)
    assert steps.verticalScrollBar().maximum() == 0


@pytest.mark.parametrize("size", [(1089, 630), (1280, 800)])
@pytest.mark.parametrize("before", [(), DOCKS[1:2], DOCKS[1:], (*DOCKS[1:], "Compare (NE Denoise)")], ids=len)
def test_it_takes_the_height_that_its_steps_need_and_no_more(viewer, begun, until, qtbot, size, before):
    viewer.window.resize(*size)
    viewer.open_sample(KEY, SAMPLE_KEY)
    for name in before:
        open_dock(viewer, name.removesuffix(" (NE Denoise)"))
        qtbot.wait(50)
    guide, _ = begun(PLUGIN)
    dock = guide.native.parent()
    until(lambda: dock.height() <= dock.sizeHint().height() + 2)
    (steps,) = guide.native.findChildren(QScrollArea)
    until(lambda: steps.verticalScrollBar().maximum() == 0)


def test_an_image_of_ones_own_is_taken_and_a_closed_dock_can_be_opened_again(viewer, begun, until, noisy, close_dock):
    viewer.add_image(noisy((64, 64)), name="mine")
    guide, denoise = begun(PLUGIN)
    assert [layer.name for layer in image_layers(viewer)] == ["mine"]
    close_dock(denoise)
    _click(guide, 0)
    again = viewer.window.dock_widgets[DOCKS[1]]
    assert again is not denoise
    again.button.native.click()
    until(lambda: guide.done == [True, False, False, False])
    close_dock(guide)
    QTest.keyClick(again.native, Qt.Key.Key_N)
    assert guide.done == [True, False, False, False]
