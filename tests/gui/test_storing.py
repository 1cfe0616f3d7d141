"""Results that become an OME-Zarr on disk: asked for, watched, cancelled, shown."""

import sys

import dask.array as da
import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise import denoise
from napari_ne_denoise.core.io import ImageFile, read_image, write_image, zarr_files
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise.scope import DISK, LAZY, MEMORY


@pytest.fixture
def stack(viewer, dock, noisy):
    """A layer of a dask array, with scale, units and a place."""
    pixels = noisy((3, 100, 90))
    viewer.add_image(
        da.from_array(pixels, chunks=(1, 100, 90)),
        name="cells",
        axis_labels=("t", "y", "x"),
        scale=(2, 0.1, 0.1),
        units=("s", "µm", "µm"),
        translate=(0, 5, 7),
        colormap="magenta",
    )
    return pixels


@pytest.fixture
def answer(monkeypatch):
    """Answers the dialog, and tells what it suggested."""
    asked = []

    def give(path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *about, **_: (asked.append(about), (str(path or ""), ""))[1])
        return asked

    return give


def press(dock):
    QTest.mouseClick(dock.button.native, Qt.MouseButton.LeftButton)


def choose_disk(dock):
    dock.form.store.native.setCurrentText("OME-Zarr on disk…")
    assert dock.form.store.value == DISK


def test_a_result_on_disk_is_what_denoise_gives_and_lies_where_its_image_lies(viewer, dock, stack, answer, until, tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_files, "CHUNK", 32)  # so that there are smaller sizes
    dock.form.strength.slider.setValue(80)
    choose_disk(dock)
    asked = answer(tmp_path / "result")
    press(dock)
    until(lambda: not dock.queue.is_busy)
    assert asked[0][2].endswith("cells denoised.ome.zarr")
    target = tmp_path / "result.ome.zarr"
    expected = denoise(stack, axes="TYX", strength=0.8)
    layer, source = viewer.layers["cells denoised"], viewer.layers["cells"]
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(3, 100, 90), (3, 50, 45), (3, 25, 23)]
    np.testing.assert_array_equal(np.asarray(layer.data[0]), expected)
    for what in ("scale", "translate", "units", "axis_labels"):
        np.testing.assert_array_equal(getattr(layer, what), getattr(source, what))
    assert layer.colormap.name == "magenta"
    assert viewer.layers.index(layer) == viewer.layers.index(source) + 1
    assert layer.metadata[KEY]["settings"]["strength"] == 0.8
    file = read_image(target)
    assert (file.axes, file.pixel_size["X"], dict(file.origin)) == ("TYX", (0.1, "µm"), {"Y": 5.0, "X": 7.0})
    assert file.provenance["source_layer"] == "cells"
    assert f"Written: result.ome.zarr, in {tmp_path}." in dock.message.value
    assert [path.name for path in tmp_path.iterdir()] == ["result.ome.zarr"]


def test_what_the_user_takes_the_axes_for_stands_in_the_file(viewer, dock, noisy, answer, until, tmp_path):
    pixels = np.moveaxis(noisy((3, 64, 70)), 0, -1)
    viewer.add_image(da.from_array(pixels, chunks=pixels.shape), name="cells", rgb=False)
    dock.form.axes.value = next(reading for reading in dock.form.axes.choices if reading.axes == "YXC")
    choose_disk(dock)
    answer(tmp_path / "result.zarr")
    press(dock)
    until(lambda: not dock.queue.is_busy)
    assert read_image(tmp_path / "result.zarr").axes == "YXC"
    layer = viewer.layers["cells denoised"]
    data = layer.data[0] if layer.multiscale else layer.data
    np.testing.assert_array_equal(np.asarray(data), denoise(pixels, axes="YXC"))


def test_cancelling_leaves_nothing_under_any_name(viewer, dock, stack, answer, until, tmp_path, gate, no_thread_left):
    choose_disk(dock)
    answer(tmp_path / "result")
    press(dock)
    gate.let_pass(3)
    until(lambda: dock.queue.is_busy and "left" in dock.bar.native.format())
    assert list(tmp_path.iterdir())  # under another name
    press(dock)
    assert "Cancelled" in dock.message.value
    assert dock.queue.percent_to_keep is None
    gate.open_wide()
    no_thread_left()
    assert not list(tmp_path.iterdir())
    assert [layer.name for layer in viewer.layers] == ["cells"]


def test_nothing_is_overwritten_and_who_gives_no_name_starts_nothing(viewer, dock, stack, answer, tmp_path):
    choose_disk(dock)
    answer(None)
    press(dock)
    assert not dock.queue.is_busy
    (tmp_path / "there.ome.zarr").mkdir()
    (tmp_path / "there.ome.zarr" / "notes").touch()
    answer(tmp_path / "there.ome.zarr")
    press(dock)
    assert not dock.queue.is_busy
    assert dock.message.is_error
    assert "exists already, and is not replaced" in dock.message.value
    assert (tmp_path / "there.ome.zarr" / "notes").exists()


def test_without_zarr_the_dock_says_how_to_install_it(viewer, dock, stack, answer, monkeypatch, tmp_path):
    choose_disk(dock)
    asked = answer(tmp_path / "result")
    monkeypatch.setitem(sys.modules, "zarr", None)
    press(dock)
    assert not asked
    assert 'pip install "napari-ne-denoise[zarr]"' in dock.message.value


def test_only_what_is_not_in_memory_or_large_is_offered_the_disk(viewer, dock, noisy):
    viewer.add_image(noisy((64, 70)), name="small")
    assert dock.form.store.choices == (MEMORY,)
    viewer.add_image(da.from_array(noisy((64, 70))), name="one plane")
    assert dock.form.store.choices == (MEMORY, DISK)
    viewer.add_image(da.from_array(noisy((3, 64, 70))), name="stack")
    assert dock.form.store.choices == (MEMORY, LAZY, DISK)
    assert dock.form.store.value == MEMORY
    viewer.layers.selection = {viewer.layers["one plane"], viewer.layers["stack"]}
    assert DISK not in dock.form.store.choices  # each would need a name of its own


def test_a_multiscale_layer_of_a_file_becomes_another_file(viewer, dock, noisy, answer, until, tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_files, "CHUNK", 32)
    pixels = noisy((2, 100, 90))
    write_image(tmp_path / "huge.ome.zarr", ImageFile(pixels, "ZYX"))
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "huge.ome.zarr").rglob("*"))
    group = zarr.open(tmp_path / "huge.ome.zarr", mode="r")
    viewer.add_image([group[str(number)] for number in range(3)], multiscale=True, name="huge", axis_labels=("z", "y", "x"))
    choose_disk(dock)
    answer(tmp_path / "result")
    press(dock)
    until(lambda: not dock.queue.is_busy)
    np.testing.assert_array_equal(np.asarray(viewer.layers["huge denoised"].data[0]), denoise(pixels, axes="ZYX"))
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "huge.ome.zarr").rglob("*")) == before


def test_closing_the_dock_leaves_no_file(viewer, dock, stack, answer, until, tmp_path, gate, close_dock, no_thread_left):
    choose_disk(dock)
    answer(tmp_path / "result")
    press(dock)
    gate.let_pass(3)
    until(lambda: bool(list(tmp_path.iterdir())))
    close_dock(dock)
    gate.open_wide()
    no_thread_left()
    assert not list(tmp_path.iterdir())
