import json

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_ne_denoise import denoise
from napari_ne_denoise.core.io import ImageFile, write_image
from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.profile import write_profile
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import WIDTH
from napari_ne_denoise.gui.denoise import advanced
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.layers.layer_data import Source

WHEEL_STEP = 120


def _shown(box):
    return [box.native.itemText(number) for number in range(box.native.count())]


def _turn_wheel(widget):
    middle = QPointF(widget.rect().center())
    turn = QPoint(0, -WHEEL_STEP)
    buttons, keys, phase = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    QApplication.sendEvent(
        widget, QWheelEvent(middle, QPointF(widget.mapToGlobal(middle.toPoint())), turn, turn, buttons, keys, phase, False)
    )


def test_a_plain_image_asks_for_nothing(viewer, dock, noisy):
    viewer.add_image(noisy((32, 40)))
    assert dock.form.axes.native.isHidden()
    assert dock.form.scope.native.isHidden()
    assert dock.form.advanced.isHidden()


@pytest.mark.parametrize(
    ("shape", "labels", "offered"),
    [
        ((5, 32, 40), None, ["5 planes (Y, X last)", "TYX: 5 time points", "ZYX: 5 slices", "CYX: 5 channels"]),
        ((5, 32, 40), ("z", "y", "x"), ["ZYX: 5 slices", "5 planes (Y, X last)", "TYX: 5 time points", "CYX: 5 channels"]),
        ((1, 5, 32, 40), ("t", "c", "y", "x"), ["TCYX: 1 time point, 5 channels"]),
        ((2, 32, 40, 3), None, ["2 planes, 3 channels last", "64 planes (Y, X last)", "TZYX: 2 time points, 32 slices"]),
        ((12, 40, 3), None, ["12 planes (Y, X last)", "TYX: 12 time points"]),  # no image has twelve rows
        ((32, 40, 2), None, ["YXC: 2 channels", "32 planes (Y, X last)", "TYX: 32 time points", "ZYX: 32 slices", "CYX: 32 channels"]),
    ],
)
def test_axes_are_guessed_visibly(viewer, dock, noisy, shape, labels, offered):
    image = noisy(shape) if shape != (32, 40, 2) else np.moveaxis(noisy((2, 32, 40)), 0, -1)
    viewer.add_image(image, axis_labels=labels, rgb=False)
    assert not dock.form.axes.native.isHidden()
    assert _shown(dock.form.axes)[: len(offered)] == offered
    assert dock.form.axes.current_choice == offered[0]


def test_a_guess_that_is_corrected_counts_and_is_kept_for_its_layer(viewer, dock, run, noisy):
    image = np.ascontiguousarray(np.moveaxis(noisy((3, 48, 40)), 0, -1))
    first = viewer.add_image(image, name="first", rgb=False)
    assert dock.form.axes.current_choice == "YXC: 3 channels"
    dock.form.axes.native.setCurrentText("48 planes (Y, X last)")
    other = viewer.add_image(noisy((3, 32, 40)), name="other")
    assert dock.form.axes.current_choice == "3 planes (Y, X last)"
    dock.layer.value = first
    assert dock.form.axes.current_choice == "48 planes (Y, X last)"
    run()
    result = viewer.layers["first denoised"]
    assert np.array_equal(result.data, denoise(image, axes="QYX"))
    assert result.metadata[KEY]["settings"]["axes"] == "QYX"
    dock.layer.value = other


@pytest.mark.parametrize(("dtype", "text"), [("uint16", "auto: float32"), ("int32", "auto: float64"), ("float64", "auto: float64")])
def test_the_type_of_the_result_is_that_of_this_layer(viewer, dock, run, noisy, dtype, text):
    assert _shown(dock.form.advanced.output)[0] == "auto"
    viewer.add_image(noisy((32, 40)).astype(dtype), name="cells")
    assert _shown(dock.form.advanced.output)[0] == text
    dock.form.advanced.output.value = "input"
    viewer.add_image(np.dstack([noisy((32, 40)).astype(np.uint8)] * 3), name="stained")
    assert _shown(dock.form.advanced.output)[0] == "auto: uint8"
    assert dock.form.advanced.output.value == "input"
    dock.layer.value = viewer.layers["cells"]
    dock.form.advanced.output.value = "auto"
    run()
    assert text.endswith(str(viewer.layers["cells denoised"].dtype))


def test_this_plane_lies_where_it_lies_in_the_stack(viewer, dock, run, noisy):
    image = noisy((4, 3, 40, 48))
    layer = viewer.add_image(
        image,
        name="stack",
        scale=(3, 2, 0.5, 0.5),
        translate=(1, 2, 3, 4),
        rotate=20,
        units=("s", "um", "um", "um"),
        axis_labels=("t", "z", "y", "x"),
    )
    viewer.dims.set_point((0, 1), (7.1, 4.2))
    at = tuple(round(x) for x in layer.world_to_data(viewer.dims.point))[:2]
    dock.form.scope.native.setCurrentText("this plane")
    run()
    result = viewer.layers[f"stack denoised (t {at[0]}, z {at[1]})"]
    assert result.data.shape == (1, 1, 40, 48)
    assert np.array_equal(result.data[0, 0], denoise(image, axes="TZYX")[at])
    for pixel in ((0, 0), (39, 47)):
        np.testing.assert_allclose(result.data_to_world((0, 0, *pixel)), layer.data_to_world((*at, *pixel)))
    for name in ("units", "axis_labels"):
        assert getattr(result, name) == getattr(layer, name)
    record = json.loads(json.dumps(result.metadata[KEY]))
    assert record["part"] == [[at[0], at[0] + 1], [at[1], at[1] + 1], [0, 40], [0, 48]]
    assert dock.message.value.startswith("1920 pixels in ")


def test_this_plane_of_colours_has_all_of_them(viewer, dock, run, noisy):
    image = (np.moveaxis(noisy((5, 3, 48, 40)), 1, -1) // 4).astype(np.uint8)
    viewer.add_image(image, name="stained", rgb=True)
    viewer.dims.set_current_step(0, 3)
    dock.form.scope.native.setCurrentText("this plane")
    run()
    result = viewer.layers["stained denoised (plane 3)"]
    assert result.rgb
    assert np.array_equal(result.data[0], denoise(image[3], channel_axis=-1, output_dtype="input"))


def test_several_selected_layers_are_meant_when_several_are_selected(viewer, dock, run, noisy):
    images = {name: noisy((32, 40), seed) for seed, name in enumerate("abc")}
    for name, image in images.items():
        viewer.add_image(image, name=name)
    assert dock.form.scope.native.isHidden()
    viewer.layers.selection = {viewer.layers["a"], viewer.layers["c"]}
    assert dock.form.scope.current_choice == "all 2 selected layers"
    assert "a, c" in dock.form.scope.native.itemData(dock.form.scope.native.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    run()
    assert {layer.name for layer in viewer.layers} == {"a", "b", "c", "a denoised", "c denoised"}
    for name in "ac":
        assert np.array_equal(viewer.layers[f"{name} denoised"].data, denoise(images[name]))
    assert dock.message.value.startswith("2 layers, 2560 pixels in ")
    viewer.layers.selection = {viewer.layers["b"]}
    assert dock.form.scope.native.isHidden()
    run()
    assert "b denoised" in viewer.layers


@pytest.fixture
def open_dock(make_napari_viewer_proxy, drawn):
    """A dock in a window that is really shown."""
    viewer = make_napari_viewer_proxy(show=True)
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="under test")
    dock.form.fold.head.click()
    drawn(viewer)
    return viewer, dock


def test_the_wheel_changes_no_field(open_dock, noisy):
    viewer, dock = open_dock
    viewer.add_image(noisy((5, 32, 40)))
    form = dock.form
    fields = [box.native for box in (form.axes, form.scope, form.model, form.advanced.noise, form.advanced.output, dock.device, dock.layer)]
    before = [box.currentIndex() for box in fields]
    for widget in (*fields, form.strength.slider, form.strength.number, form.advanced.tile):
        _turn_wheel(widget)
    assert [box.currentIndex() for box in fields] == before
    assert form.strength.share == 1
    assert form.advanced.tile.value() == 0


def test_everything_has_a_tooltip_and_fits_a_narrow_dock(open_dock, noisy, drawn):
    viewer, dock = open_dock
    layer = viewer.add_image(noisy((5, 32, 40)), name="a very long name of an image, as microscopes give them " * 2 + "end")
    drawn(viewer)
    form = dock.form
    parts = [*form.rows.labels, *form.advanced.labels, form.strength.slider, form.strength.number, form.advanced.tile, form.fold.head]
    boxes = (form.axes, form.scope, form.model, form.advanced.noise, form.advanced.output, dock.device, dock.layer)
    for part in (*parts, *(box.native for box in boxes), dock.button.native, dock.keep.native, dock.sample.native):
        assert part.toolTip(), part
    assert layer.name in dock.layer.native.toolTip()
    assert dock.native.minimumSizeHint().width() <= WIDTH
    form.fold.head.click()
    drawn(viewer)
    assert dock.column.minimumSize().height() < 480
    fields = {label.minimumWidth() for label in (*form.rows.labels, *form.advanced.labels)}
    assert len(fields) == 1  # all fields begin below each other


def test_what_is_advanced_is_folded_and_says_when_it_is_not_as_usual(viewer, dock, run, noisy):
    image = noisy((80, 80))
    viewer.add_image(image, name="cells")
    dock.form.advanced.output.value = "input"
    dock.form.advanced.tile.setValue(40)
    assert dock.form.fold.head.text() == "▸ Advanced (2 changed)"
    run()
    result = viewer.layers["cells denoised"]
    assert np.array_equal(result.data, denoise(image, output_dtype="input"))
    assert result.data.dtype == np.uint16
    assert result.metadata[KEY]["settings"]["tile_size"] == 40


def test_noise_can_be_a_profile(viewer, dock, run, noisy, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.poisson(noisy((256, 256)) / 40.0).astype(np.float32)
    path = tmp_path / "confocal.json"
    write_profile(path, "confocal", estimate_noise(image))
    monkeypatch.setattr(advanced.QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    viewer.add_image(image, name="cells")
    box = dock.form.advanced.noise
    box.native.setCurrentText("microscope profile…")
    assert box.current_choice == "profile: confocal"
    run()
    result = viewer.layers["cells denoised"]
    assert np.array_equal(result.data, denoise(image, noise=str(path)))
    monkeypatch.setattr(advanced.QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    box.native.setCurrentText("microscope profile…")
    assert box.current_choice == "profile: confocal"  # nothing was chosen


def test_choices_are_remembered_for_the_next_dock(viewer, dock, noisy):
    viewer.add_image(noisy((32, 32)))
    dock.model.value = "quality"
    dock.form.advanced.noise.value = "none"
    dock.form.advanced.tile.setValue(256)
    dock.form.strength.slider.setValue(70)
    dock.form.fold.head.click()
    kept = get_plugin_settings(KEY).denoise
    assert (kept.model, kept.noise, kept.tile_size, kept.advanced) == ("quality", "none", 256, True)
    other = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(other, name="another")
    assert other.model.value == "quality"
    assert other.form.advanced.values == dock.form.advanced.values
    assert other.form.fold.head.isChecked()
    assert other.form.strength.share == 1  # belongs to an image


def test_preferences_that_cannot_be_met_are_passed_over(viewer):
    kept = get_plugin_settings(KEY).denoise
    kept.model, kept.device, kept.noise = "gone", "cuda:7", "/nowhere/profile.json"
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="under test")
    assert dock.model.value == "fast"
    assert dock.form.advanced.values == {"noise": "auto", "hot_pixels": "keep", "output_dtype": "auto", "device": "auto", "tile_size": None}


def test_a_layer_brings_back_the_settings_of_its_result(viewer, dock, run, noisy):
    viewer.add_image(noisy((3, 32, 32)), name="first")
    dock.form.axes.native.setCurrentText("ZYX: 3 slices")
    dock.model.value = "quality"
    dock.form.strength.slider.setValue(60)
    run()
    dock.model.value = "fast"
    dock.form.strength.slider.setValue(100)
    viewer.layers.remove("first denoised")
    viewer.add_image(noisy((3, 32, 32)), name="second")
    dock.model.value = "quality"
    dock.form.strength.slider.setValue(40)
    run()
    dock.layer.value = viewer.layers["first"]
    own = 90
    dock.model.value = "fast"
    dock.form.strength.slider.setValue(own)
    dock.layer.value = viewer.layers["second"]
    assert dock.model.value == "quality"
    assert dock.form.strength.share == 0.4
    assert dock.message.value == "second was last denoised with these settings."
    dock.layer.value = viewer.layers["first"]
    assert dock.model.value == "fast"
    assert dock.form.strength.share == own / 100
    assert viewer.layers["second denoised"].metadata[KEY]["settings"]["strength"] == 0.4
    viewer.layers.selection.active = viewer.layers["first"]
    viewer.layers.selection.active = viewer.layers["second denoised"]
    assert dock.layer.value.name == "second"
    assert dock.model.value == "quality"


def test_a_file_brings_back_the_settings_it_was_made_with(viewer, dock, until, noisy, tmp_path):
    record = {"program": KEY, "settings": {"model": "quality", "strength": 0.5, "axes": "ZYX", "output_dtype": "input", "device": "cuda:3"}}
    path = tmp_path / "cells_denoised.ome.tif"
    write_image(path, ImageFile(noisy((3, 32, 40)), "ZYX", provenance=record))
    viewer.open(path, plugin="napari")
    until(lambda: dock.model.value == "quality")
    assert dock.form.strength.share == 0.5
    assert dock.form.axes.value.axes == "ZYX"
    assert dock.form.advanced.values == {
        "noise": "auto",
        "hot_pixels": "keep",
        "output_dtype": "input",
        "device": "auto",
        "tile_size": None,
    }
    assert "the settings are those of its record" in dock.message.value
    dock.form.advanced.hot_pixels.value = "repair"  # that, and nothing of the record, is chosen for other images
    viewer.add_image(noisy((32, 32)))
    assert dock.model.value == "fast"
    assert dock.form.strength.share == 1
    assert (dock.form.advanced.hot_pixels.value, dock.form.advanced.output.value) == ("repair", "auto")
    kept = get_plugin_settings(KEY).denoise
    assert (kept.model, kept.hot_pixels, kept.output_dtype) == ("fast", "repair", "auto")


@pytest.mark.parametrize("record", [[], {"settings": []}, {"settings": {"strength": "much", "model": 5, "axes": 3, "noise": {"gain": 1}}}])
def test_a_record_that_holds_anything_does_no_harm(viewer, dock, noisy, record):
    viewer.add_image(noisy((3, 32, 32)), name="odd", metadata={KEY: record})
    dock.layer.value = viewer.layers["odd"]
    assert dock.model.value == "fast"
    assert dock.form.strength.share == 1


def test_the_empty_dock_opens_the_sample(viewer, dock):
    assert not dock.sample.native.isHidden()
    dock.sample.native.click()
    assert dock.layer.value.name == "actin noisy"
    assert dock.sample.native.isHidden()
    assert dock.button.enabled


def test_a_part_of_a_plane_layer():
    source = Source("stack", np.zeros((3, 4, 5)), "ZYX", None, False).only_plane_at((2, 1, 1))
    assert source.shape == (1, 4, 5)
    assert source.origin == (2, 0, 0)
    assert source.in_result((2, slice(0, 2), slice(0, 3))) == (0, slice(0, 2), slice(0, 3))
    assert source.in_result((1, slice(0, 2), slice(0, 3))) is None


def test_a_result_can_be_copied_as_python(viewer, dock, run, noisy):
    viewer.add_image(noisy((32, 32)), name="cells")
    assert dock.copying.native.isHidden()
    dock.form.strength.slider.setValue(80)
    run()
    assert not dock.copying.native.isHidden()
    dock.copying.python.native.click()
    assert "strength=0.8" in QApplication.clipboard().text()
    viewer.add_image(noisy((32, 32)), name="other")
    assert dock.copying.native.isHidden()
