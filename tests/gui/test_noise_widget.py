import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise import estimate_noise
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.noise.profile import read_profile
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, read_layer
from napari_ne_denoise.gui.noise.noise_finding import ROWS
from napari_ne_denoise.gui.noise.noise_widget import INSTRUCTION, NO_IMAGE, NoiseWidget


@pytest.fixture
def dock(viewer):
    widget = NoiseWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


@pytest.fixture
def find(dock, until):
    """Press the button, and wait for what it finds."""

    def press():
        before = dock.current
        dock.button.native.click()
        until(lambda: dock.current is not before)
        return dock.current[1].noise

    return press


def photons(gain=4.0, shape=(160, 192), seed=0):
    light = np.linspace(1, 60, shape[-1]) * np.ones(shape)
    return np.random.default_rng(seed).poisson(light) * gain + 100


def test_the_dock_opens_from_its_menu(make_napari_viewer_proxy, menu_entry):
    viewer = make_napari_viewer_proxy()
    menu_entry(viewer, "Layers", "Measure", "Noise (NE Denoise)").trigger()
    assert "Noise (NE Denoise)" in viewer.window.dock_widgets


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_an_empty_plot_wears_the_theme(make_napari_viewer_proxy, menu_entry, until, theme):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.theme = theme
    menu_entry(viewer, "Layers", "Measure", "Noise (NE Denoise)").trigger()
    plot = viewer.window.dock_widgets["Noise (NE Denoise)"].view
    until(plot.isVisible)
    assert not _has_numbers(plot)
    name = plot.getPlotItem().getAxis("bottom").label
    assert name.sceneBoundingRect().bottom() <= plot.sceneRect().bottom()  # the g of brightness is whole
    assert (plot.backgroundBrush().color().lightness() < 128) == (theme == "dark")


def test_the_noise_of_a_layer_is_told_and_drawn(dock, viewer, find):
    assert dock.message.value == NO_IMAGE
    assert not dock.button.enabled
    viewer.add_image(photons(), name="cells")
    assert dock.message.value == INSTRUCTION
    found = find()
    assert found == estimate_noise(photons())
    assert dock.message.value == "Found the noise of cells."
    assert dock.readout.value("Noise") == "grows with brightness"
    assert dock.readout.value("Gain") == f"{found.gain:.3g} image units a photon"
    assert dock.readout.value("Offset") == f"{found.offset:.4g} image units"
    assert dock.readout.value("Read noise") == f"{found.read_noise:.3g} image units"
    assert dock.readout.is_hidden("Saturated")
    items = dock.view.getPlotItem().listDataItems()
    assert len(items) == 2  # the line, and the points
    assert _has_numbers(dock.view)
    assert len(items[1].xData) == len(found.curve)


def _has_numbers(plot):
    """Whether there are numbers at the axes of a plot."""
    shown = {plot.getPlotItem().getAxis(side).style["showValues"] for side in ("bottom", "left")}
    assert len(shown) == 1
    return shown == {True}


def test_hot_pixels_are_counted_and_their_repair_is_offered(dock, viewer, find):
    hot = photons()
    viewer.add_image(hot)
    find()
    assert dock.readout.is_hidden("Hot or dead")
    hot = hot.copy()
    hot[8::40, 8::40] += 4000
    viewer.add_image(hot, name="hot")
    found = find()
    assert dock.readout.value("Hot or dead") == f"{found.hot_per_megapixel:.3g} pixels per megapixel: repair offered, see tooltip"
    assert "Hot pixels ▸ repair" in ROWS["Hot or dead"]


def test_the_channel_that_is_shown_is_looked_at(dock, viewer, find):
    viewer.add_image(np.stack([photons(2), photons(7)]), name="two", axis_labels=("c", "y", "x"))
    viewer.dims.set_point(0, 1)
    assert find().gain == pytest.approx(7, rel=0.15)
    assert dock.message.value == "Found the noise of two, channel 1."


def test_frames_are_compared(dock, viewer, find):
    viewer.add_image(np.stack([photons(seed=seed) for seed in range(3)]), axis_labels=("t", "y", "x"))
    assert find().source == "frame differences"
    assert dock.readout.value("Found in") == "frame differences, confidence high"


def test_what_self_calibration_learns_is_told_drawn_and_kept(dock, viewer, until, tmp_path):
    assert not dock.learn.enabled
    viewer.add_image(photons(), name="cells")
    dock.learn.native.click()
    until(lambda: dock.current is not None)
    assert dock.learn.text == "Cancel"
    until(lambda: dock.message.value.endswith(" left"))
    assert dock.message.value.startswith("Self-calibrating cells: ")
    until(lambda: dock.current[1].finished)
    learned = dock.current[1].learned
    assert learned.std(180) == pytest.approx(np.sqrt(4 * 80), rel=0.2)
    assert len(dock.view.getPlotItem().listDataItems()) == 3
    assert " to " in dock.readout.value("Learned")
    assert dock.readout.value("Learned").endswith(" image units")
    assert dock.message.value == "Found the noise of cells."
    assert dock.learn.text == "Self-calibrate"
    dock.keep(tmp_path / "cells.json")
    assert read_profile(tmp_path / "cells.json").noise == learned


def test_self_calibration_can_be_cancelled(dock, viewer, until):
    viewer.add_image(photons(), name="cells")
    dock.learn.native.click()
    until(lambda: dock.current is not None)
    dock.learn.native.click()
    assert dock.message.value == "Cancelled."
    assert dock.button.enabled
    assert dock.current[1].noise == estimate_noise(photons())


@pytest.mark.parametrize("name", ["button", "learn", "judge"])
def test_the_button_that_began_cancels_and_the_others_wait(dock, viewer, until, name):
    image = photons()
    source = read_layer(viewer.add_image(image, name="cells"))
    run = prepare_denoising(image)
    made = viewer.add_image(image.astype(np.float32), name="cells denoised", metadata={SOURCE_KEY: source, KEY: run.provenance})
    dock.layer.value = made if name == "judge" else viewer.layers["cells"]
    buttons = {each: getattr(dock, each) for each in ("button", "learn", "judge")}
    texts = {each: button.text for each, button in buttons.items()}
    buttons[name].native.click()
    assert {each for each, button in buttons.items() if button.enabled} == {name}
    assert {each: button.text for each, button in buttons.items()} == {**texts, name: "Cancel"}
    buttons[name].native.click()
    assert dock.message.value == "Cancelled."
    assert {each: button.text for each, button in buttons.items()} == texts
    assert all(button.enabled for button in buttons.values())


def test_what_was_found_is_kept_as_a_profile(dock, viewer, find, tmp_path):
    viewer.add_image(photons(), name="cells")
    assert not dock.save.enabled
    found = find()
    assert dock.save.enabled
    dock.keep(tmp_path / "confocal")
    profile = read_profile(tmp_path / "confocal.json")
    assert (profile.name, profile.noise) == ("cells", found)
    dock.keep(tmp_path / "nowhere" / "confocal.json")
    assert dock.message.is_error


def test_a_profile_nobody_was_asked_about_is_not_replaced(dock, viewer, find, tmp_path, monkeypatch):
    viewer.add_image(photons(), name="a.czi :: scene 1/2")
    find()
    there = tmp_path / "confocal.json"
    there.write_text("another")
    asked = []
    for answer in ("confocal", "confocal.json"):
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *about, answer=answer: (asked.append(about), (str(tmp_path / answer), ""))[1]
        )
        dock.save.native.click()
        assert dock.message.is_error == (answer == "confocal")
        assert (there.read_text() == "another") == (answer == "confocal")
    assert asked[0][2] == "a.czi _ scene 1_2 noise.json"  # Windows refuses a name with : or /


def test_a_small_layer_and_one_without_noise_are_no_errors(dock, viewer, find):
    viewer.add_image(np.zeros((9, 9)))
    find()
    assert not dock.save.enabled
    viewer.add_image(np.random.default_rng(0).normal(size=(9, 9)))
    find()
    assert dock.readout.value("Noise") == "the image is too small to tell"
    assert dock.readout.is_hidden("Gain")


def test_colours_have_noise_too(dock, viewer, find):
    viewer.add_image(np.stack([photons(1) / 200] * 3, -1).clip(0, 1), rgb=True, name="colour")
    assert find().gain > 0


def test_an_error_is_told(dock, viewer, until):
    viewer.add_image(photons()[None, None, None], name="odd", axis_labels=("c", "c", "t", "y", "x"))
    dock.button.native.click()
    until(lambda: dock.button.enabled)


def test_closing_leaves_nothing(dock, viewer, close_dock, no_thread_left):
    viewer.add_image(photons(4.0))
    dock.button.native.click()
    close_dock(dock)
    no_thread_left()
    viewer.layers.clear()


def test_a_result_is_judged_without_its_truth(dock, viewer, until):
    layer = viewer.add_image(photons(), name="cells")
    assert dock.judge.native.isHidden()
    source = read_layer(layer)
    run = prepare_denoising(source.data, axes=source.axes)
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    made = viewer.add_image(result, name="cells denoised", metadata={SOURCE_KEY: source})
    dock.layer.value = made
    assert not dock.judge.native.isHidden()
    dock.judge.native.click()
    assert dock.message.is_error  # its tiles may still be coming
    made.metadata = {**made.metadata, KEY: run.provenance}
    dock.judge.native.click()
    assert dock.judge.text == "Cancel"
    until(lambda: dock.judge.text != "Cancel")
    assert dock.message.value.startswith("cells denoised: noise ")
    assert "estimated PSNR" in dock.message.value
    assert dock.message.value.endswith("nothing structured was removed.")
    viewer.layers.selection.active = layer
    viewer.layers.selection.active = made
    assert dock.layer.value == layer  # whose noise can be found, and whose result can still be judged
    assert not dock.judge.native.isHidden()
    dock.judge.native.click()
    until(lambda: dock.judge.text != "Cancel")
    assert dock.message.value.startswith("cells denoised: noise ")


@pytest.fixture
def reopened(viewer, tmp_path):
    """The file of a result, opened as napari does, which leaves its record in the file."""

    def open_(values, **record):
        made = viewer.add_image(values, metadata={KEY: {"program": KEY, "settings": {"model": "fast"}, **record}})
        assert made.save(str(tmp_path / "cells_denoised.ome.tif"), plugin=KEY)
        viewer.layers.remove(made)
        (again,) = viewer.open(str(tmp_path / "cells_denoised.ome.tif"), plugin="napari")
        assert KEY not in again.metadata
        return again

    return open_


def test_a_result_is_no_image_to_find_the_noise_of(dock, viewer, find, reopened, no_thread_left):
    hot = photons()
    hot[8::40, 8::40] += 4000
    again = reopened(hot.astype(np.float32))
    assert dock.layer.value == again
    assert find().has_hot_pixels
    assert dock.message.value.startswith(f"{again.name} is denoised already: this is what denoising left")
    assert dock.readout.is_hidden("Hot or dead")
    assert not dock.save.enabled
    before = dock.current
    dock.learn.native.click()
    assert dock.message.is_error
    assert "denoised already" in dock.message.value
    assert dock.current is before
    image = viewer.add_image(hot, name="cells")
    dock.layer.value = image
    find()
    assert dock.message.value == "Found the noise of cells."
    assert not dock.readout.is_hidden("Hot or dead")
    assert dock.save.enabled


def test_a_result_from_a_file_leads_to_its_image(dock, viewer, reopened):
    another, image = (viewer.add_image(photons(), name=name) for name in ("another", "cells"))
    again = reopened(photons().astype(np.float32), source_layer="cells")
    assert viewer.layers.selection.active == again
    assert dock.layer.value == image
    viewer.layers.selection.active = another
    assert dock.layer.value == another
    viewer.layers.remove(image)
    viewer.layers.selection.active = again
    assert dock.layer.value == again
