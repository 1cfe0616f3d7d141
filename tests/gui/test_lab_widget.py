import codecs
import csv
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise import denoise, load_denoiser, normalisation_study
from napari_ne_denoise.core import normalisation_study as studies
from napari_ne_denoise.core.normalisations import NORMALISATIONS, through
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import NO_IMAGE
from napari_ne_denoise.gui.inside.lab_layers import LAB_KEY
from napari_ne_denoise.gui.inside.lab_table import in_image_units
from napari_ne_denoise.gui.inside.lab_widget import INSTRUCTION, UNMOVED, LabWidget
from napari_ne_denoise.gui.inside.lab_work import Line
from napari_ne_denoise.gui.layers.kinship import is_helper
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, read_layer
from tests.gui import mouse

LAB = ("Layers", "Visualize", "Normalisation lab (NE Denoise)")


def docked(viewer):
    widget = LabWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


@pytest.fixture
def dock(viewer):
    return docked(viewer)


@pytest.fixture
def compare(until):
    def press(dock):
        dock.button.native.click()
        until(lambda: dock.tried is not None and dock.button.text != "Cancel")
        return dock.study

    return press


@pytest.fixture
def gated(monkeypatch):
    """Passes of the study come one by one, each with a permit."""
    permits, steps = threading.Semaphore(0), studies.iter_normalisation_study

    def wait(*arguments, **settings):
        for step in steps(*arguments, **settings):
            assert permits.acquire(timeout=60)
            yield step

    monkeypatch.setattr(studies, "iter_normalisation_study", wait)
    yield permits
    permits.release(1000)


def from_lab(viewer):
    return [layer for layer in viewer.layers if LAB_KEY in layer.metadata]


def test_the_dock_opens_from_both_menus(make_napari_viewer_proxy, menu_entry):
    viewer = make_napari_viewer_proxy()
    menu_entry(viewer, *LAB).trigger()
    dock = viewer.window.dock_widgets[LAB[-1]]
    assert dock.message.value == NO_IMAGE
    assert not dock.button.enabled
    assert menu_entry(viewer, "Plugins", "NE Denoise", LAB[-1]).isEnabled()


def test_of_what_is_seen_everything_is_told(viewer, dock, noisy, compare):
    image = noisy((60, 64))
    layer = viewer.add_image(image, name="cells")
    assert dock.trial.isHidden()
    found = compare(dock)
    expected = normalisation_study(image)
    assert found.window == (slice(0, 60), slice(0, 64))
    assert dock.conclusion.value == expected.conclude()
    assert dock.table.text(0, 1) == "–"
    for row, one in enumerate(expected.ordinary.differences[1:], start=1):
        assert dock.table.text(row, 0) == NORMALISATIONS[row].name.removeprefix("min–max to ")
        assert dock.table.text(row, 1) == f"{one.rms:.2g} ({one.rms / expected.noise:.2g} σ)"
        assert f"Largest difference: {one.largest:.3g}" in dock.table.item(row, 1).toolTip()
        assert float(dock.table.text(row, 2)) < 1e-3 * expected.noise
    assert f"ordinary-twin {in_image_units(expected.ordinary.errors.both)}" in dock.errors.value("both")
    assert f"its noise is about {expected.noise:.3g} image units" in dock.message.value
    assert dock.caption.value == UNMOVED
    assert np.array_equal(layer.data, image)
    assert viewer.layers.selection.active == layer


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (8.7e-11, "8.7e-11"), (7.812, "7.81"), (5583.2, "5,583"), (2.5e9, "2.5e+09")])
def test_differences_are_written_as_people_read_them(value, said):
    assert in_image_units(value) == said


def test_a_real_drag_of_a_slider_shows_both_results_in_that_range(make_napari_viewer_proxy, noisy, until, compare, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((60, 64))
    viewer.add_image(image)
    dock = docked(viewer)
    compare(dock)
    assert dock.tried.line == Line(1.0, 0.0)
    qtbot.mouseClick(dock.trial.head, Qt.MouseButton.LeftButton)
    until(dock.sliders.shift.isVisible)
    slider = dock.sliders.shift
    middle = QPoint(slider.width() // 2, slider.height() // 2)
    mouse.drag(slider, middle, middle + QPoint(30, 0))
    assert slider.value() > 0
    QTest.keyClick(dock.sliders.scale, Qt.Key.Key_PageUp)
    line = dock.sliders.line
    assert line.scale > 1
    until(lambda: dock.tried.line == line)
    slope, offset = NORMALISATIONS[0].line(image.astype(float))
    for name, result in zip(("ordinary-twin", "fast"), dock.tried.results, strict=True):
        expected = through(load_denoiser(name).without_numerics, image, line.scale * slope, line.scale * offset + line.shift)
        np.testing.assert_allclose(result, expected, atol=1e-3 * dock.study.noise)
    ordinary, ours = (result - network.reference for result, network in zip(dock.tried.results, dock.study.networks, strict=True))
    assert np.abs(ours).max() < 1e-3 * dock.study.noise < np.abs(ordinary).max()
    assert [len(row.pictures) for row in dock.pictures.rows] == [2, 2]
    assert line.describe() in dock.caption.value
    qtbot.mouseClick(dock.sliders.reset, Qt.MouseButton.LeftButton)
    until(lambda: dock.tried.line == Line(1.0, 0.0))
    np.testing.assert_allclose(dock.tried.results[0], dock.study.ordinary.reference)


def test_of_many_movements_the_last_one_is_shown(viewer, dock, noisy, compare, until, no_thread_left):
    viewer.add_image(noisy((40, 40)))
    compare(dock)
    for value in range(1, 60):
        dock.sliders.scale.setValue(value)
    until(lambda: dock.tried.line == dock.sliders.line)
    no_thread_left()
    assert dock.tried.line == dock.sliders.line


def test_spreads_and_results_are_layers_in_place(viewer, dock, noisy, compare):
    stack = noisy((3, 40, 44))
    layer = viewer.add_image(stack, name="cells", scale=(2, 0.5, 0.5), units=("um", "um", "um"), translate=(1, 2, 3))
    viewer.dims.set_current_step(0, 1)
    found = compare(dock)
    np.testing.assert_array_equal(found.image, stack[1])
    dock.spreads.native.click()
    dock.results.native.click()
    dock.results.native.click()  # takes the place of the first
    layers = from_lab(viewer)
    names = ["spread of fast", "spread of ordinary-twin", "fast in [0, 1]", "ordinary-twin in [0, 1]"]
    assert [other.name for other in layers] == [f"cells {name}" for name in names]
    assert [other.visible for other in layers] == [False, True, False, True]
    for other, network in zip(layers, (found.ours, found.ordinary) * 2, strict=True):
        expected = network.spread if "spread" in other.name else network.reference
        np.testing.assert_allclose(other.data[0], expected, rtol=1e-5, atol=1e-4)
        assert is_helper(other)
        np.testing.assert_allclose(other.data_to_world((0, 0, 0)), layer.data_to_world((1, 0, 0)))
        assert other.units == layer.units
    assert layers[0].contrast_limits == layers[1].contrast_limits
    assert layers[0].data.max() < 1e-3 * layers[0].contrast_limits[1]
    assert viewer.layers.selection.active == layer


def test_layers_of_results_follow_the_sliders(viewer, dock, noisy, compare, until):
    viewer.add_image(noisy((40, 44)), name="cells")
    compare(dock)
    dock.results.native.click()
    ours, ordinary = from_lab(viewer)
    dock.sliders.shift.setValue(30)
    until(lambda: dock.tried.line == dock.sliders.line)
    assert (ours.name, ordinary.name) == ("cells fast in [0.3, 1.3]", "cells ordinary-twin in [0.3, 1.3]")
    for layer, result in zip((ordinary, ours), dock.tried.results, strict=True):
        np.testing.assert_allclose(layer.data, result, rtol=1e-5)
    assert from_lab(viewer) == [ours, ordinary]
    viewer.layers.remove(ours)
    dock.sliders.shift.setValue(0)
    until(lambda: dock.tried.line == dock.sliders.line)
    assert ordinary.name.endswith("[0.3, 1.3]")


def test_what_is_seen_is_what_is_compared(viewer, dock, noisy, compare, monkeypatch):
    image = noisy((200, 220))
    viewer.add_image(image)
    viewer.scene.camera.zoom *= 6
    found = compare(dock)
    rows, columns = found.window
    assert rows.stop - rows.start < 100
    assert rows.start > 0
    np.testing.assert_array_equal(found.image, image[rows, columns])
    viewer.scene.camera.center = (5000, 5000)
    dock.button.native.click()
    assert "move it into view" in dock.message.value
    assert dock.study is found


def test_of_a_result_it_is_the_noisy_image_behind_it(viewer, dock, noisy, compare):
    image = noisy((40, 40))
    source = read_layer(viewer.add_image(image, name="cells"))
    look = source.result_look()
    # also where its noise was treated before the network
    look["metadata"] |= {SOURCE_KEY: source, KEY: {"decided": {"noise": [{"stabilised": True}]}}}
    viewer.add_image(denoise(image), **look)
    assert dock.layer.value.name == "cells denoised"
    np.testing.assert_array_equal(compare(dock).image, image)


def test_table_and_picture_are_files(viewer, dock, noisy, compare, tmp_path, monkeypatch):
    viewer.add_image(noisy((40, 44)), name="cells")
    found = compare(dock)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "table"), ""))
    dock.save_table.native.click()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "picture.png"), ""))
    dock.save_picture.native.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png", "table.csv"]
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [tuple(row) for row in csv.reader(file)] == found.table()
    assert (tmp_path / "table.csv").read_bytes().startswith(codecs.BOM_UTF8)  # by which Excel knows it
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "table"), ""))
    dock.save_table.native.click()  # the dialog asks about "table", which is not there
    assert "table.csv: exists already" in dock.message.value
    picture = QImage(str(tmp_path / "picture.png"))
    assert picture.width() > 7 * 44
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "nowhere" / "x.csv"), ""))
    dock.save_table.native.click()
    assert "cannot be written" in dock.message.value
    assert dock.message.is_error


def test_cancel_stops(viewer, dock, noisy, gated, until, no_thread_left):
    viewer.add_image(noisy((40, 40)))
    dock.button.native.click()
    gated.release(2)
    until(lambda: "left" in dock.bar.native.format())
    assert dock.button.text == "Cancel"
    dock.button.native.click()
    assert dock.message.value == "Cancelled."
    assert not dock.bar.visible
    gated.release(100)
    no_thread_left()
    assert dock.study is None


def test_another_layer_forgets(viewer, dock, noisy, compare):
    viewer.add_image(noisy((40, 40)), name="one")
    compare(dock)
    viewer.add_image(noisy((30, 30)), name="two")
    assert dock.layer.value.name == "two"
    assert dock.study is None
    assert dock.trial.isHidden()
    assert dock.message.value == INSTRUCTION
    viewer.layers.clear()
    assert dock.message.value == NO_IMAGE


def test_pixels_that_are_no_numbers_are_told(viewer, dock, noisy, until):
    image = noisy((40, 40)).astype(float)
    image[20, 20] = np.nan
    viewer.add_image(image, contrast_limits=(0, 1000))
    dock.button.native.click()
    until(lambda: dock.message.is_error)
    assert "NaN" in dock.message.value
    assert dock.button.text != "Cancel"


def test_a_closed_dock_stops(viewer, dock, noisy, gated, until, close_dock, no_thread_left, qtbot):
    viewer.add_image(noisy((40, 40)))
    dock.button.native.click()
    gated.release()
    close_dock(dock)
    gated.release(100)
    no_thread_left()
    qtbot.wait(50)  # late slots would raise here
    viewer.add_image(noisy((40, 40)))
