"""The batch dock: files in, files out, and what became of each."""

import json
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QWidget

from napari_ne_denoise import denoise
from napari_ne_denoise.core.batch.file import FileDenoising
from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.gui.base.docks import ERROR_ON_DARK, ERROR_ON_LIGHT, WIDTH
from napari_ne_denoise.gui.batch.batch_widget import BESIDE, CANCEL, EMPTY, IN_FOLDER, OLD, REPLACE, SKIP
from napari_ne_denoise.gui.batch.batching import UNKNOWN, image_files
from napari_ne_denoise.gui.batch.file_table import FILE, NOISE, QUALITY, ROW_HEIGHT, STATE, TIME, FileModel, FileTable

BATCH = ("Layers", "Filter", "Denoise files (NE Denoise)")


@pytest.fixture
def folder(tmp_path, noisy):
    for seed, name in enumerate(("a", "b", "c")):
        tifffile.imwrite(tmp_path / f"{name}.tif", noisy((90, 100), seed))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def dock(viewer, menu_entry):
    menu_entry(viewer, *BATCH).trigger()
    return viewer.window.dock_widgets["Denoise files (NE Denoise)"]


def states(dock):
    return [dock.table.text(row, STATE) for row in range(dock.table.count)]


def run(dock, until):
    dock.button.native.click()
    until(lambda: dock.button.text != CANCEL)


def test_of_a_plate_each_image_is_a_row_that_says_which_it_is(dock, tmp_path):
    plate, wells = tmp_path / "screen.zarr", [{"path": "A/1"}, {"path": "B/1"}]
    for place, words in ((".", {"plate": {"wells": wells}}), *((well["path"], {"well": {"images": [{"path": "0"}]}}) for well in wells)):
        (plate / place).mkdir(parents=True, exist_ok=True)
        (plate / place / "zarr.json").write_text(json.dumps({"attributes": {"ome": words}}))
    for well in wells:
        write_image(plate / well["path"] / "x.zarr", ImageFile(np.zeros((8, 9), "uint8"), "YX"))
        (plate / well["path"] / "x.zarr").rename(plate / well["path"] / "0")
    dock.add([plate])
    assert [dock.table.text(row, FILE) for row in range(dock.table.count)] == ["screen.zarr/A/1/0", "screen.zarr/B/1/0"]
    assert str(tmp_path / "screen_B_1_0_denoised.ome.zarr") in dock.table.explanation(1, FILE)


def test_a_folder_is_denoised_and_the_table_tells_of_each(dock, folder, until):
    assert dock.message.value == EMPTY
    assert not dock.button.enabled
    (folder / "b.tif").write_bytes(b"broken")
    dock.add([folder])
    assert dock.button.text == "Denoise 3 files"
    run(dock, until)
    assert states(dock) == ["done", "failed", "done"]
    assert "b.tif" in dock.table.explanation(1, STATE)
    assert dock.table.text(0, NOISE).startswith("±")
    assert dock.table.text(0, TIME).endswith("s")
    assert "2 done, 1 failed" in dock.message.value
    result = tifffile.imread(folder / "c_denoised.ome.tif")
    np.testing.assert_array_equal(result, denoise(tifffile.imread(folder / "c.tif")))


def test_a_second_batch_goes_on_with_what_is_missing(dock, folder, until):
    dock.add([folder / "a.tif"])
    run(dock, until)
    dock.add([folder])
    assert [path.name for path in dock.files] == ["a.tif", "b.tif", "c.tif"]
    assert dock.existing.value == SKIP
    assert dock.bar.native.format() == "100 %"
    dock.button.native.click()
    assert dock.bar.native.format() == "starting…"
    until(lambda: dock.button.text != CANCEL)
    assert states(dock) == ["skipped", "done", "done"]
    before = (folder / "a_denoised.ome.tif").stat().st_mtime_ns
    dock.existing.value = REPLACE
    run(dock, until)
    assert states(dock) == ["done"] * 3
    assert (folder / "a_denoised.ome.tif").stat().st_mtime_ns > before


def test_results_go_where_they_are_asked_to_go(dock, folder, until, monkeypatch, tmp_path_factory):
    other = tmp_path_factory.mktemp("results")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(other))
    dock.results.value = IN_FOLDER
    dock.add([folder / "a.tif"])
    run(dock, until)
    assert [path.name for path in other.iterdir()] == ["a_denoised.ome.tif"]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    dock.results.value = BESIDE
    dock.results.value = IN_FOLDER
    assert dock.results.value == BESIDE


def test_the_folder_of_results_is_named_and_can_be_changed_for_another(dock, folder, monkeypatch, tmp_path_factory):
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for other in (first, second):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, other=other: str(other))
        choose(dock.results, dock.results.native.count() - 1)
        assert (dock.folder, dock.results.native.currentText()) == (other, f"in {other.name}")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")  # the dialog is cancelled
    choose(dock.results, 2)
    assert (dock.folder, dock.results.native.currentText()) == (second, f"in {second.name}")
    choose(dock.results, 0)
    assert (dock.folder, dock.results.native.currentText()) == (None, BESIDE)


def choose(box, number):
    """As with the keys: from the first choice so many down."""
    box.native.setFocus()
    with box.changed.blocked():
        box.native.setCurrentIndex(number - 1 if number else 1)
    QTest.keyClick(box.native, Qt.Key.Key_Down if number else Qt.Key.Key_Up)


def test_the_table_is_used_with_keys(viewer, dock, folder, until):
    (folder / "b.tif").write_bytes(b"broken")
    dock.add([folder])
    run(dock, until)
    summary = dock.message.value
    assert "Click a file that failed" in summary
    table = dock.table
    assert table.model().data(table.model().index(1, STATE), Qt.ItemDataRole.ForegroundRole).name() in (ERROR_ON_DARK, ERROR_ON_LIGHT)
    assert table.model().data(table.model().index(0, STATE), Qt.ItemDataRole.ForegroundRole) is None
    click(table, 1)
    assert (dock.message.is_error, dock.message.value) == (True, table.explanation(1, STATE))
    press(table, Qt.Key.Key_Down)
    assert not dock.message.is_error
    assert dock.message.value.startswith("c.tif: done in ")
    press(table, Qt.Key.Key_Return)
    assert [layer.name for layer in viewer.layers] == ["c", "c_denoised.ome"]
    press(table, Qt.Key.Key_Delete)
    assert [path.name for path in dock.files] == ["a.tif", "b.tif"]
    press(table, Qt.Key.Key_Delete)  # no file is chosen now
    assert len(dock.files) == 2


def press(table, key):
    QTest.keyClick(table.__wrapped__, key)


def click(table, row):
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.model().index(row, FILE)).center())


def test_no_file_is_taken_away_during_a_run(dock, folder, until, gate):
    dock.add([folder])
    dock.button.native.click()
    click(dock.table, 2)
    press(dock.table, Qt.Key.Key_Delete)
    assert dock.table.count == 3
    gate.open_wide()
    until(lambda: dock.button.text != CANCEL)
    assert states(dock) == ["done"] * 3


def test_names_have_room_beside_all_that_is_found(qtbot):
    table = FileTable()
    qtbot.addWidget(table)
    table.resize(WIDTH, 200)
    table.show()
    table.show_files([Path("a.tif")], lambda _: ("2026-11-03 HeLa actin, well B3, field 1.tif", ""))
    for column, text in ((NOISE, "±20.8"), (TIME, "1.0 s"), (QUALITY, "40 dB")):
        table.show_in(0, column, text)
    assert [table.isColumnHidden(column) for column in (NOISE, QUALITY, TIME)] == [False, False, True]
    table.resize(2 * WIDTH, 200)
    assert not table.isColumnHidden(TIME)
    table.resize(WIDTH, 200)
    assert table.isColumnHidden(TIME)


def test_the_quality_of_what_an_earlier_run_made_is_told_too(dock, folder, until):
    (folder / "b.tif").write_bytes(b"broken")
    dock.add([folder / "a.tif", folder / "b.tif"])
    run(dock, until)
    dock.quality.value = True
    run(dock, until)  # a file failed: what that run made stays, since it is what would be made now
    assert states(dock) == ["skipped", "failed"]
    assert dock.table.text(0, QUALITY).removesuffix(" !").endswith("dB")
    (folder / "c_denoised.ome.tif").write_bytes((folder / "a_denoised.ome.tif").read_bytes())  # by nobody knows whom
    dock.add([folder / "c.tif"])
    run(dock, until)
    assert (dock.table.text(2, QUALITY), dock.table.explanation(2, QUALITY)) == (UNKNOWN, OLD)


def test_a_folder_with_a_dot_in_its_name_is_a_folder(dock, folder):
    dotted = folder.rename(folder.with_name("pixels of 0.1 um"))
    dock.add([dotted])
    assert [path.name for path in dock.files] == ["a.tif", "b.tif", "c.tif"]


def test_nothing_can_be_dropped_during_a_run(dock, folder, until):
    dock.add([folder])
    dock.button.native.click()
    assert not dock.table.acceptDrops()
    until(lambda: dock.button.text != CANCEL)
    assert dock.table.acceptDrops()


def test_files_are_dropped_on_the_table_and_taken_away(dock, folder):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder)), QUrl.fromLocalFile(str(folder / "a.tif"))])
    where = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    over, drop = QDragEnterEvent(QPoint(5, 5), *where), QDropEvent(QPointF(5, 5), *where)
    for event in (over, drop):
        QApplication.sendEvent(dock.table.viewport(), event)  # where Qt sends what the mouse does
        assert event.isAccepted()
    assert len(dock.files) == 3
    dock.table.selectRow(1)
    dock.take_away()
    assert [path.name for path in dock.files] == ["a.tif", "c.tif"]
    dock.table.clearSelection()
    (removing,) = [button for button in dock.native.findChildren(QPushButton) if button.text() == "Remove all"]
    removing.click()
    assert not dock.files
    assert not removing.isEnabled()  # there is nothing more to take away
    assert (folder / "a.tif").exists()


def test_cancelling_leaves_nothing_half_written(dock, folder, until, gate, no_thread_left):
    dock.add([folder])
    dock.button.native.click()
    gate.let_pass()
    until(lambda: states(dock)[0].endswith("%"))
    dock.button.native.click()
    assert "Cancelled" in dock.message.value
    assert dock.button.text == "Denoise 3 files"
    gate.open_wide()
    no_thread_left()
    assert not list(folder.glob("*denoised*"))
    assert not list(folder.glob(".*"))


def test_a_run_that_was_cancelled_and_is_late_is_in_nobodys_way(dock, tmp_path, until, noisy, two_threads, no_thread_left, monkeypatch):
    """Large results are made by one run at a time: pressed again at once, the button waits for the thread that has not ended."""
    steps, begun, held = FileDenoising.steps, [], threading.Event()

    def late(self):
        for step in steps(self):
            if not begun:
                begun.append(self)
                assert held.wait(60)
            yield step

    monkeypatch.setattr(FileDenoising, "steps", late)
    image = noisy((90, 100))
    write_image(tmp_path / "a.ome.zarr", ImageFile(image, "YX"))
    dock.add([tmp_path / "a.ome.zarr"])
    dock.button.native.click()
    until(lambda: bool(begun))
    for _ in range(2):  # also one that was cancelled before it could begin
        dock.button.native.click()
        assert states(dock) == ["cancelled"]
        dock.button.native.click()
    QTest.qWait(50)
    held.set()
    until(lambda: dock.button.text != CANCEL)
    assert states(dock) == ["done"]
    assert len(begun) == 1
    no_thread_left()
    np.testing.assert_array_equal(read_image(tmp_path / "a_denoised.ome.zarr").pixels, denoise(image))
    assert not list(tmp_path.glob(".*"))


def test_closing_the_dock_stops_the_batch(dock, folder, until, gate, close_dock, no_thread_left):
    dock.add([folder])
    dock.button.native.click()
    gate.let_pass()
    until(lambda: states(dock)[0].endswith("%"))
    close_dock(dock)
    gate.open_wide()
    no_thread_left()
    assert not list(folder.glob("*denoised*"))


def test_a_double_click_opens_image_and_result(viewer, dock, folder, until):
    dock.add([folder / "a.tif"])
    run(dock, until)
    dock.table.doubleClicked.emit(dock.table.model().index(0, 0))
    assert [layer.name for layer in viewer.layers] == ["a", "a_denoised.ome"]


def test_a_folder_without_images_and_a_mistake_are_told(dock, tmp_path, until, monkeypatch):
    (tmp_path / "empty").mkdir()
    dock.add([tmp_path / "empty"])
    assert dock.message.is_error
    assert "no image in it" in dock.message.value
    with monkeypatch.context() as broken:  # root, who may run this, may look into every folder
        broken.setattr(Path, "iterdir", Mock(side_effect=PermissionError(13, "Permission denied", "mine")))
        dock.add([tmp_path / "empty"])
    assert dock.message.value.endswith("cannot be read (Permission denied: mine); give a folder that you may look into.")
    dock.add([tmp_path / "gone.tif"])
    monkeypatch.setattr(FileDenoising, "steps", lambda *_: 1 / 0)
    run(dock, until)
    assert states(dock) == ["failed"]
    assert "ZeroDivisionError" in dock.table.explanation(0, STATE)


def test_results_are_no_images_of_the_next_batch(folder):
    for name in ("a_denoised.ome.tif", "a_denoised_std.ome.tif"):
        (folder / name).write_bytes(b"")
    assert image_files(folder) == [Path(folder / f"{name}.tif") for name in "abc"]


def test_files_of_one_name_are_told_apart_before_the_run(dock, folder, until, tmp_path_factory, noisy, monkeypatch):
    other, results = tmp_path_factory.mktemp("day2"), tmp_path_factory.mktemp("results")
    tifffile.imwrite(other / "a.tif", noisy((90, 100), 7))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(results))
    dock.add([folder / "a.tif", folder / "b.tif", other / "a.tif"])
    dock.results.value = IN_FOLDER
    called = f"{other.name}_a_denoised.ome.tif"
    assert [dock.table.text(row, FILE) for row in (1, 2)] == ["b.tif", f"{other.name}/a.tif → {other.name}_a"]
    assert str(results / called) in dock.table.explanation(2, FILE)
    run(dock, until)
    assert states(dock) == ["done"] * 3
    np.testing.assert_array_equal(tifffile.imread(results / called), denoise(tifffile.imread(other / "a.tif")))
    dock.results.value = BESIDE
    assert dock.table.text(2, FILE) == f"{other.name}/a.tif"


def test_what_became_of_files_stays_when_others_are_added(dock, folder, until):
    (folder / "b.tif").write_bytes(b"broken")
    dock.add([folder / "a.tif", folder / "b.tif"])
    run(dock, until)
    assert states(dock) == ["done", "failed"]
    noise = dock.table.text(0, NOISE)
    dock.add([folder / "c.tif"])
    assert states(dock) == ["done", "failed", ""]
    tifffile.imwrite(folder / "b.tif", tifffile.imread(folder / "a.tif"))
    run(dock, until)  # what is done stays, what failed is tried again
    assert states(dock) == ["skipped", "done", "done"]
    assert "a_denoised.ome.tif is there already" in dock.table.explanation(0, STATE)
    assert dock.message.value.startswith("2 done, 1 skipped")
    assert dock.table.text(0, NOISE) == noise


def test_the_quality_of_each_result_is_estimated_where_asked_for(dock, folder, until):
    dock.add([folder / "a.tif"])
    run(dock, until)
    assert dock.table.text(0, QUALITY) == ""
    assert dock.table.isColumnHidden(QUALITY)
    assert not dock.table.isColumnHidden(NOISE)
    dock.quality.value, dock.existing.value = True, REPLACE
    run(dock, until)
    assert dock.table.text(0, QUALITY).removesuffix(" !").endswith("dB")
    assert "estimated PSNR" in dock.table.explanation(0, QUALITY)


def test_settings_of_the_dock_are_those_of_the_results(dock, folder, until, noisy):
    stack = noisy((3, 64, 70))
    stack[:, 20, 30] = 60_000
    tifffile.imwrite(folder / "a.tif", stack, photometric="minisblack")
    dock.axes.value = "TYX"
    dock.advanced.hot_pixels.value = "repair"
    dock.advanced.output.value = "input"
    assert dock.fold.head.text() == "▸ Advanced (2 changed)"
    dock.add([folder / "a.tif", folder / "b.tif"])
    run(dock, until)
    result = tifffile.imread(folder / "a_denoised.ome.tif")
    np.testing.assert_array_equal(result, denoise(stack, axes="TYX", hot_pixels="repair", output_dtype="input"))
    assert "repaired" in dock.table.explanation(0, STATE)
    assert states(dock)[1] == "failed"  # two axes, and three letters
    assert dock.table.explanation(1, STATE).endswith('choose what fits at "Axes".')


def test_nothing_speaks_of_the_command_line(dock, folder, until, noisy):
    np.save(folder / "a.npy", noisy((2, 64, 70)))
    (folder / "b_denoised.ome.tif").mkdir()
    dock.existing.value = REPLACE
    dock.add([folder / "a.npy", folder / "b.tif"])
    run(dock, until)
    told = [dock.table.explanation(row, column) for row in range(2) for column in (FILE, STATE)]
    told += [part.toolTip() for part in dock.native.findChildren(QWidget)]
    assert 'tell at "Axes", such as ZYX' in told[1]
    assert not any("--" in text or " -o" in text for text in (*told, dock.message.value))


def test_a_table_of_thousands_looks_at_what_is_seen(make_napari_viewer_proxy, menu_entry, tmp_path, monkeypatch, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    menu_entry(viewer, *BATCH).trigger()
    dock = viewer.window.dock_widgets[BATCH[-1]]
    asked, data = [], FileModel.data
    monkeypatch.setattr(FileModel, "data", lambda self, index, role: asked.append(index.row()) or data(self, index, role))
    dock.add([tmp_path / f"{number}.tif" for number in range(5000)])
    qtbot.wait(100)
    assert dock.table.count == 5000
    assert max(asked) < 200
    for number in range(0, 5000, 50):
        dock.table.show_in(number, STATE, "done")
    dock.table.show_row(4000)
    qtbot.wait(100)
    at = dock.table.viewport().rect().center()
    QTest.mouseClick(dock.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert abs(dock.table.chosen_rows()[0] - 4000) < dock.table.height() // ROW_HEIGHT
    dock.take_away()
    assert dock.table.count == 4999
