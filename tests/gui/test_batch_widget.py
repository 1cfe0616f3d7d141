"""The batch dock: files in, files out, and what became of each."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise import denoise
from napari_ne_denoise.core.batch.file import FileDenoising
from napari_ne_denoise.gui.batch.batch_widget import BESIDE, CANCEL, EMPTY, IN_FOLDER, REPLACE, SKIP
from napari_ne_denoise.gui.batch.batching import image_files
from napari_ne_denoise.gui.batch.file_table import NOISE, STATE, TIME

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
    return [dock.table.text(row, STATE) for row in range(dock.table.rowCount())]


def run(dock, until):
    dock.button.native.click()
    until(lambda: dock.button.text != CANCEL)


def test_a_folder_is_denoised_and_the_table_tells_of_each(dock, folder, until):
    assert dock.message.value == EMPTY
    assert not dock.button.enabled
    (folder / "b.tif").write_bytes(b"broken")
    dock.add([folder])
    assert dock.button.text == "Denoise 3 files"
    run(dock, until)
    assert states(dock) == ["done", "failed", "done"]
    assert "b.tif" in dock.table.item(1, STATE).toolTip()
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
    run(dock, until)
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
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    dock.table.dropEvent(event)
    assert len(dock.files) == 3
    dock.table.selectRow(1)
    dock.take_away()
    assert [path.name for path in dock.files] == ["a.tif", "c.tif"]
    dock.table.clearSelection()
    dock.take_away()
    assert not dock.files
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
    dock.table.cellDoubleClicked.emit(0, 0)
    assert [layer.name for layer in viewer.layers] == ["a", "a_denoised.ome"]


def test_a_folder_without_images_and_a_mistake_are_told(dock, tmp_path, until, monkeypatch):
    (tmp_path / "empty").mkdir()
    dock.add([tmp_path / "empty"])
    assert dock.message.is_error
    assert "no image in it" in dock.message.value
    dock.add([tmp_path / "gone.tif"])
    monkeypatch.setattr(FileDenoising, "steps", lambda *_: 1 / 0)
    run(dock, until)
    assert states(dock) == ["failed"]
    assert "ZeroDivisionError" in dock.table.item(0, STATE).toolTip()


def test_results_are_no_images_of_the_next_batch(folder):
    (folder / "a_denoised.ome.tif").write_bytes(b"")
    assert image_files(folder) == [Path(folder / f"{name}.tif") for name in "abc"]
