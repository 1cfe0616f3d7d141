"""What all docks have in common: they fit into the window, and scroll where it is low."""

import subprocess
import sys
from itertools import pairwise
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QScrollArea,
    QScrollBar,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from napari_ne_denoise.gui.base.boxes import MARGIN
from napari_ne_denoise.gui.base.docks import WIDTH, Fold
from napari_ne_denoise.gui.base.room import borrowed, shares
from napari_ne_denoise.gui.batch.file_table import ROW_HEIGHT, ROWS_AT_LEAST

DENOISE, FILES = ("Layers", "Filter", "Denoise (NE Denoise)"), ("Layers", "Filter", "Denoise files (NE Denoise)")
FILTER, MAPS = ("Layers", "Visualize", "Adaptive filter (NE Denoise)"), ("Layers", "Visualize", "Filter maps (NE Denoise)")
COMPARE, NOISE = ("Layers", "Visualize", "Compare (NE Denoise)"), ("Layers", "Measure", "Noise (NE Denoise)")
LAB = ("Layers", "Visualize", "Normalisation lab (NE Denoise)")
SPECTRUM = ("Layers", "Visualize", "Spectrum (NE Denoise)")
DOCKS = (DENOISE, FILES, FILTER, MAPS, SPECTRUM, COMPARE, NOISE, LAB)
SMALL_SCREEN = (1280, 800)


@pytest.fixture
def window(make_napari_viewer_proxy, noisy, menu_entry, drawn):
    """A viewer in a window that is shown, in the size of a small screen, and what opens docks in it."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(noisy((5, 90, 80)), name="cells, " + "a long name " * 9)
    viewer.window.resize(*SMALL_SCREEN)

    def open_docks(*paths):
        for path in paths:
            menu_entry(viewer, *path).trigger()
        drawn(viewer)
        return [viewer.window.dock_widgets[path[-1]] for path in paths]

    return viewer, open_docks


def test_several_docks_fit_onto_a_small_screen(window, drawn):
    viewer, open_docks = window
    docks = open_docks(DENOISE, FILTER, MAPS)
    docks[0].form.fold.head.click()
    drawn(viewer)
    frame = viewer.window.main_menu.window()
    assert (frame.width(), frame.height()) == SMALL_SCREEN
    for dock in docks:
        place = dock.native.rect().translated(dock.native.mapTo(frame, QPoint(0, 0)))
        assert frame.rect().contains(place)
        assert dock.native.width() == WIDTH
    assert any(_bar(dock).maximum() > 0 for dock in docks)


def test_no_dock_has_more_room_than_it_needs_while_another_has_less(window, until):
    _, open_docks = window
    docks = [dock.native.parent() for dock in open_docks(DENOISE, FILTER, MAPS)]
    until(lambda: docks[1].height() > 200)
    lacking = [dock for dock in docks if dock.height() < dock.sizeHint().height()]
    assert lacking
    for dock in docks:
        no_more = dock.height() <= dock.sizeHint().height()
        assert no_more or dock.height() <= min(other.height() for other in lacking)


def test_the_button_of_many_files_is_in_sight_below_the_denoise_dock(window, until, tmp_path):
    _, open_docks = window
    denoise, files = open_docks(DENOISE, FILES)
    files.add([tmp_path / f"{name}.tif" for name in "abcd"])
    QTest.keyClick(files.table.__wrapped__, Qt.Key.Key_Tab)
    assert not files.table.currentIndex().isValid()  # Tab leaves the table; it went from cell to cell, for ever
    assert files.button.text == "Denoise 4 files"
    until(lambda: files.button.native.visibleRegion().boundingRect() == files.button.native.rect())
    assert files.table.viewport().height() >= ROWS_AT_LEAST * ROW_HEIGHT - 2
    denoise.native.parent().close()
    until(lambda: files.table.viewport().height() >= 8 * ROW_HEIGHT)  # the room that there is


@pytest.mark.parametrize("path", DOCKS, ids=lambda path: path[-1])
def test_tab_goes_through_a_dock_as_one_reads_it(window, path):
    _, open_docks = window
    (dock,) = open_docks(path)
    for fold in dock.native.findChildren(Fold):
        fold.head.click()
    QApplication.processEvents()
    places = [part.rect().translated(part.mapTo(dock.native, QPoint(0, 0))) for part in _stops(dock.native)]
    assert len(places) >= 2
    for before, after in pairwise(places):
        is_beside = after.top() < before.bottom() and before.top() < after.bottom() and before.left() < after.left()
        assert is_beside or after.top() >= before.bottom()


def _stops(content):
    """What is reached with Tab, in that order, until Tab leaves the dock."""
    # the window knows who has its focus also while another one is active
    window, reached = content.window(), []
    content.findChild(QScrollArea).setFocus()
    while True:
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        part = window.focusWidget()
        if not content.isAncestorOf(part) or part in reached:
            return reached
        reached.append(part)


@pytest.mark.parametrize("path", DOCKS, ids=lambda path: path[-1])
def test_what_is_chosen_and_what_can_be_pressed_is_read_whole(window, path):
    _, open_docks = window
    (dock,) = open_docks(path)
    for box in dock.native.findChildren(QComboBox):
        option = QStyleOptionComboBox()
        box.initStyleOption(option)
        field = box.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, box)
        room = field.width() - MARGIN
        if box.isVisible() and not box.currentText().startswith("cells"):  # a layer may have any name
            assert box.fontMetrics().horizontalAdvance(box.currentText()) <= room, box.currentText()
    for button in dock.native.findChildren(QAbstractButton):
        assert not button.isVisible() or button.fontMetrics().horizontalAdvance(button.text()) <= button.width(), button.text()


def test_a_result_leaves_the_dock_as_wide_as_it_was(window, until, qtbot):
    _, open_docks = window
    (dock,) = open_docks(DENOISE)
    assert dock.native.width() == WIDTH
    dock.button.native.click()
    until(lambda: dock.copying.visible)
    qtbot.wait(50)
    assert dock.native.width() == WIDTH


@pytest.mark.parametrize("path", DOCKS, ids=lambda path: path[-1])
def test_no_dock_speaks_of_command_lines(window, path):
    _, open_docks = window
    (dock,) = open_docks(path)
    texts = [part.toolTip() for part in dock.native.findChildren(QWidget)]
    texts += [part.text() for kind in (QLabel, QAbstractButton) for part in dock.native.findChildren(kind)]
    for box in dock.native.findChildren(QComboBox):
        texts += [box.itemData(number, Qt.ItemDataRole.ToolTipRole) or "" for number in range(box.count())]
    assert any(texts)
    assert not [text for text in texts if "napari-ne-denoise " in text or " --" in text]


def test_a_dock_that_shows_more_takes_the_room_that_others_do_not_need(window, until, drawn):
    viewer, open_docks = window
    viewer.window.resize(1280, 950)
    denoise, files = open_docks(DENOISE, FILES)
    before = files.native.parent().height()
    QTest.mouseClick(denoise.button.native, Qt.MouseButton.LeftButton)
    until(lambda: denoise.copying.visible)
    drawn(viewer)
    assert _bar(denoise).maximum() == 0
    assert files.native.parent().sizeHint().height() <= files.native.parent().height() < before
    assert _bar(files).maximum() == 0


def test_a_dock_asks_for_all_the_pixels_it_needs_also_those_of_its_style(window, until, drawn):
    viewer, open_docks = window
    viewer.window.resize(1280, 950)
    (denoise,) = open_docks(DENOISE)
    QTest.mouseClick(denoise.button.native, Qt.MouseButton.LeftButton)
    until(lambda: denoise.copying.visible)
    open_docks(FILES)
    drawn(viewer)
    assert _bar(denoise).maximum() == 0


@settings(deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 300)))
def test_no_more_is_borrowed_than_lacks_nor_than_there_is_to_spare(lacking, spare):
    taken = borrowed(lacking, spare)
    assert sum(taken) == min(lacking, sum(spare))
    assert all(0 <= less <= room for less, room in zip(taken, spare, strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, 2000)), st.integers(0, 5000))
def test_room_is_shared_so_that_who_gets_less_than_it_wants_gets_as_much_as_anybody(wanted, room):
    given_to = shares(wanted, room)
    assert sum(given_to) == (room if wanted else 0)
    lacking = [has for has, wants in zip(given_to, wanted, strict=True) if has < wants]
    assert all(has <= low + len(wanted) for low in lacking for has in given_to)
    too_much = [wants for has, wants in zip(given_to, wanted, strict=True) if has > wants]
    assert not too_much or (not lacking and too_much == [max(wanted)])


@pytest.mark.parametrize("path", DOCKS, ids=lambda path: path[-1])
def test_a_low_dock_scrolls_to_its_end_and_never_sideways(window, drawn, path):
    viewer, open_docks = window
    (dock,) = open_docks(path)
    dock.native.window().resizeDocks([dock.native.parent()], [WIDTH], Qt.Orientation.Horizontal)
    dock.native.parent().setMaximumHeight(200)
    drawn(viewer)
    area = _area(dock)
    assert dock.native.width() == WIDTH
    assert area.widget().width() == area.viewport().width() < WIDTH  # all of its width is seen, beside the bar
    shown = [part for part in area.widget().findChildren(QWidget) if part.isVisible()]
    assert all(part.mapTo(area.widget(), QPoint(part.width(), 0)).x() <= area.widget().width() for part in shown if not _scrolls(part))
    for _ in range(99):
        _turn_wheel(area.viewport())
    assert _bar(dock).value() == _bar(dock).maximum() > 0
    last = max(part.mapTo(area.viewport(), QPoint(0, part.height())).y() for part in shown)
    assert last <= area.viewport().height()


@pytest.mark.parametrize("path", DOCKS, ids=lambda path: path[-1])
def test_the_wheel_scrolls_the_dock_and_changes_no_field(window, drawn, path):
    viewer, open_docks = window
    (dock,) = open_docks(path)
    dock.native.parent().setMaximumHeight(150)
    drawn(viewer)
    fields = [field for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider) for field in dock.native.findChildren(kind)]
    fields = [field for field in fields if not isinstance(field, QScrollBar)]
    before = [_value(field) for field in fields]
    assert fields
    for focused in (False, True):
        for field in fields:
            _bar(dock).setValue(0)
            if focused:
                field.setFocus()
            _turn_wheel(field)
            assert _bar(dock).value() > 0
    assert [_value(field) for field in fields] == before


def test_a_dock_that_has_room_takes_it_and_shows_no_bar(window, drawn):
    viewer, open_docks = window
    viewer.window.resize(1280, 950)
    (dock,) = open_docks(DENOISE)
    dock.form.fold.head.click()
    drawn(viewer)
    assert not _area(dock).verticalScrollBar().isVisible()
    assert dock.native.height() > 600


def test_a_dock_is_as_wide_as_what_is_unfolded_later(window, drawn):
    viewer, open_docks = window
    (dock,) = open_docks(DENOISE)
    dock.message.native.setMinimumWidth(WIDTH + 50)
    drawn(viewer)
    assert dock.native.width() >= WIDTH + 50
    assert _area(dock).widget().width() == _area(dock).viewport().width()


def _area(dock):
    return dock.native.findChild(QScrollArea)


def _bar(dock):
    return _area(dock).verticalScrollBar()


def _value(field):
    return field.currentIndex() if isinstance(field, QComboBox) else field.value()


def _scrolls(part):
    """Whether it is in something that scrolls by itself, such as a table."""
    return isinstance(part, QScrollBar) or hasattr(part.parent().parent(), "horizontalScrollBar")


def _turn_wheel(widget):
    """As Qt hands a turn of the wheel on: to what is under the mouse, then to what is around it, until somebody takes it."""
    while widget is not None:
        middle = QPointF(widget.rect().center())
        turn = QWheelEvent(
            middle, widget.mapToGlobal(middle), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, turn)
        if turn.isAccepted():
            return
        widget = widget.parentWidget()


def test_a_program_that_ends_with_its_window_open_ends_quietly():
    """All docks leave before Qt destroys timers and widgets, in no order: one that was late would stop a timer that is gone."""
    program = f"""
        import napari, numpy
        from qtpy.QtCore import QThreadPool
        from qtpy.QtWidgets import QApplication
        from napari_ne_denoise.gui.base.opening import open_dock
        viewer = napari.Viewer(show=False)
        viewer.add_image(numpy.zeros((32, 32), "float32"), name="cells")
        for dock in {[path[-1].removesuffix(" (NE Denoise)") for path in DOCKS]}:
            open_dock(viewer, dock)
        for _ in range(9):  # also the workers that look for devices have begun, and ended
            QApplication.processEvents()
            QThreadPool.globalInstance().waitForDone()
        raise LookupError('the end')
    """
    ended = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=300)
    assert ended.stderr.splitlines()[-1] == "LookupError: the end"
    assert "deleted" not in ended.stderr
    assert ended.returncode == 1
