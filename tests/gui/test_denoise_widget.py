import json
import re
from collections.abc import Iterator

import dask.array as da
import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_ne_denoise import denoise
from napari_ne_denoise.core import device, inference
from napari_ne_denoise.core.device import DeviceReport
from napari_ne_denoise.core.errors import ModelError
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, find_model, read_registry
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base import choices
from napari_ne_denoise.gui.denoise.denoise_widget import NO_IMAGE, DenoiseWidget


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """The notifications that napari shows."""
    messages: list[str] = []

    def note(event) -> None:
        messages.append(event.message)

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)


def test_the_result_is_that_of_denoise_and_the_input_is_untouched(viewer, dock, run, noisy, small_tiles):
    image = noisy((80, 96))
    image.flags.writeable = False
    viewer.add_image(image, name="cells")
    run()
    result = viewer.layers["cells denoised"]
    assert np.array_equal(result.data, denoise(image))
    assert result.data.dtype == np.float32
    assert viewer.layers["cells"].data is image
    assert dock.message.value.startswith("7680 pixels in ")


def test_place_and_look_are_carried_over(viewer, run, noisy):
    source = viewer.add_image(
        noisy((64, 80)),
        name="cells",
        scale=(0.2, 0.1),
        translate=(5, -3),
        rotate=30,
        shear=[0.2],
        affine=[[1, 0.1, 2], [0, 1.5, 3], [0, 0, 1]],
        units=("um", "um"),
        axis_labels=("y", "x"),
        colormap="magenta",
        contrast_limits=(150, 640),
        gamma=0.7,
        opacity=0.6,
        blending="additive",
        interpolation2d="linear",
        metadata={"objective": "60x"},
    )
    source.contrast_limits_range = (0, 1000)
    run()
    result = viewer.layers["cells denoised"]
    for name in ("scale", "translate", "rotate", "shear", "contrast_limits", "contrast_limits_range"):
        np.testing.assert_allclose(getattr(result, name), getattr(source, name), err_msg=name)
    np.testing.assert_allclose(result.affine.affine_matrix, source.affine.affine_matrix)
    for name in ("units", "axis_labels", "gamma", "opacity", "blending", "interpolation2d"):
        assert getattr(result, name) == getattr(source, name), name
    assert result.colormap.name == "magenta"
    assert result.metadata["objective"] == "60x"
    np.testing.assert_allclose(result.extent.world, source.extent.world)


def test_the_record_can_be_written_and_says_how_it_was_made(viewer, run, noisy):
    viewer.add_image(noisy((64, 64)), name="cells")
    run()
    record = json.loads(json.dumps(viewer.layers["cells denoised"].metadata[KEY]))
    assert record["source_layer"] == "cells"
    assert record["seconds"] > 0
    assert record["settings"]["model"] == "fast"
    assert len(record["model"]["sha256"]) == 64


def test_denoising_a_result_keeps_the_first_record(viewer, dock, run, noisy):
    viewer.add_image(noisy((64, 64)), name="cells")
    run()
    dock.layer.value = viewer.layers["cells denoised"]
    run()
    record = viewer.layers["cells denoised denoised"].metadata[KEY]
    assert record["source_layer"] == "cells denoised"
    assert record["source_record"]["source_layer"] == "cells"


@pytest.mark.parametrize("labels", [None, ("t", "z", "y", "x"), ("time", "y", "x", "channel")])
def test_every_plane_of_a_series(viewer, run, noisy, labels):
    image = noisy((2, 3, 40, 48))
    if labels and labels[-1] == "channel":
        image = np.ascontiguousarray(np.moveaxis(image, 1, -1))
    viewer.add_image(image, name="series", axis_labels=labels, rgb=False)
    run()
    axes = {None: None, "x": "TZYX", "channel": "TYXC"}[labels and labels[-1]]
    assert np.array_equal(viewer.layers["series denoised"].data, denoise(image, axes=axes))


def test_colours_are_channels_and_stay_colours(viewer, run, noisy):
    image = (np.moveaxis(noisy((3, 48, 40)), 0, -1) // 4).astype(np.uint8)
    viewer.add_image(image, name="stained")
    assert viewer.layers["stained"].rgb
    run()
    result = viewer.layers["stained denoised"]
    assert result.rgb
    assert np.array_equal(result.data, denoise(image, channel_axis=-1, output_dtype="input"))


def test_a_grey_image_as_narrow_as_colours(viewer, run, noisy):
    image = noisy((40, 36, 3))
    viewer.add_image(image, name="lines", rgb=False, axis_labels=("t", "y", "x"))
    run()
    assert np.array_equal(viewer.layers["lines denoised"].data, denoise(image, axes="TYX"))


def test_channels_that_come_last_are_no_columns(viewer, run, noisy):
    image = np.ascontiguousarray(np.moveaxis(noisy((3, 40, 36)), 0, -1))
    viewer.add_image(image, name="cells", rgb=False)
    run()
    assert np.array_equal(viewer.layers["cells denoised"].data, denoise(image, axes="YXC"))


def test_of_a_multiscale_layer_the_finest_level(viewer, run, noisy):
    image = noisy((96, 80))
    viewer.add_image([image, image[::2, ::2], image[::4, ::4]], name="pyramid", multiscale=True, scale=(2, 2))
    run()
    result = viewer.layers["pyramid denoised"]
    assert not result.multiscale
    assert np.array_equal(result.data, denoise(image))
    np.testing.assert_allclose(result.extent.world, viewer.layers["pyramid"].extent.world)


def test_an_array_that_is_not_in_memory(viewer, run, noisy):
    image = noisy((3, 48, 40))
    viewer.add_image(da.from_array(image, chunks=(1, 24, 40)), name="lazy")
    run()
    assert np.array_equal(viewer.layers["lazy denoised"].data, denoise(image))


@pytest.mark.parametrize(("count", "said"), [(1, "1 pixel that is NaN or infinite was"), (2, "2 pixels that are NaN or infinite were")])
def test_pixels_that_are_no_numbers_are_kept_and_counted(viewer, dock, run, noisy, count, said):
    image = noisy((64, 64)).astype(np.float32)
    image[10 : 10 + count, 20] = np.nan
    viewer.add_image(image, name="holes", contrast_limits=(200, 600))
    run()
    assert np.array_equal(np.isnan(viewer.layers["holes denoised"].data), np.isnan(image))
    assert f"{said} kept" in dock.message.value


def test_pixels_that_are_no_numbers_are_kept_of_small_planes_that_are_not_in_memory(viewer, dock, run, noisy):
    image = noisy((3, 48, 40)).astype(np.float32)
    image[1, 10:12, 20] = np.nan
    viewer.add_image(da.from_array(image, chunks=(1, 48, 40)), name="holes", contrast_limits=(200, 600))
    for store in ("in memory", "computed when shown"):
        dock.form.store.native.setCurrentText(store)
        run()
        assert not dock.message.is_error
        np.testing.assert_array_equal(viewer.layers[-1].data, denoise(image, nonfinite="keep"))
    assert np.isnan(viewer.layers[-1].data[1, 10:12, 20]).all()


def test_a_second_result_overwrites_nothing(viewer, run, noisy):
    viewer.add_image(noisy((48, 48)), name="cells")
    run()
    first = viewer.layers["cells denoised"]
    run()
    assert len(viewer.layers) == 3
    assert first in viewer.layers


def test_tiles_replace_noise_as_they_come(viewer, dock, run_a_tile, gate, noisy, until):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    run_a_tile()
    shown = viewer.layers["cells denoised"].data
    changed = (shown != image).reshape(2, 32, 2, 32).any(axis=(1, 3))
    assert changed.sum() == 1
    assert dock.bar.native.value() == 25
    assert "25 % · " in dock.bar.native.format()
    gate.open_wide()
    until(lambda: dock.button.text == "Denoise")
    assert np.array_equal(viewer.layers["cells denoised"].data, denoise(image))


def test_what_is_seen_comes_first(make_napari_viewer_proxy, run_in, noisy):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((4, 96, 96))
    viewer.add_image(image, name="series", scale=(1, 0.5, 0.5))
    viewer.dims.set_current_step(0, 2)
    viewer.scene.camera.center = (0, 40, 8)
    viewer.scene.camera.zoom = 60
    shown = run_in(viewer)
    plane, row, column = np.argwhere(shown != image)[0] // (1, 32, 32)
    assert (plane, row, column) == (2, 2, 0)


@pytest.fixture
def run_in(gate, until, drawn):
    """Denoise one tile in a given viewer; the array that it shows then."""

    def run(viewer):
        drawn(viewer)
        dock = DenoiseWidget(viewer)
        viewer.window.add_dock_widget(dock, name="under test")
        dock.button.native.click()
        gate.let_pass()
        until(lambda: len(viewer.layers) == 2)
        shown = viewer.layers[1].data.copy()
        dock.cancel()
        gate.open_wide()
        return shown

    return run


def test_a_plane_among_volumes_and_a_volume_in_3d(viewer, dock, run, noisy):
    viewer.add_image(noisy((5, 6, 40, 40)), name="volume")
    plane = viewer.add_image(noisy((48, 40)), name="plane")
    viewer.dims.ndisplay = 3
    run()
    assert np.array_equal(viewer.layers["plane denoised"].data, denoise(plane.data))
    dock.layer.value = viewer.layers["volume"]
    run()
    assert np.array_equal(viewer.layers["volume denoised"].data, denoise(viewer.layers["volume"].data))


def test_cancel_before_the_first_tile(viewer, dock, gate, noisy, no_thread_left):
    viewer.add_image(noisy((64, 64)), name="cells")
    dock.button.native.click()
    dock.button.native.click()
    assert dock.button.text == "Denoise"
    gate.open_wide()
    no_thread_left()
    assert len(viewer.layers) == 1


def test_cancel_removes_what_is_unfinished_and_the_button_lives(viewer, dock, run_a_tile, gate, noisy, no_thread_left, until):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    dock.button.native.click()
    assert dock.button.text == "Denoise"
    assert dock.button.enabled
    assert not dock.bar.visible
    assert "Cancelled" in dock.message.value
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert viewer.layers.selection.active.name == "cells"
    gate.open_wide()
    no_thread_left()
    dock.button.native.click()
    until(lambda: dock.button.text == "Denoise")
    assert "cells denoised" in viewer.layers


def test_the_result_lies_just_above_its_source(viewer, dock, noisy, until):
    viewer.add_image(noisy((32, 32)), name="dna")
    viewer.add_image(noisy((32, 32)), name="actin", blending="additive")
    dock.layer.value = viewer.layers["dna"]
    dock.button.native.click()
    until(lambda: dock.button.text == "Denoise")
    assert [layer.name for layer in viewer.layers] == ["dna", "dna denoised", "actin"]


def test_the_source_layer_may_go_meanwhile(viewer, dock, run_a_tile, gate, noisy, until):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    run_a_tile()
    viewer.layers.remove("cells")
    gate.open_wide()
    until(lambda: not dock.queue.is_busy)
    assert dock.button.text == "Denoise again"  # nothing but the result is left
    assert np.array_equal(viewer.layers["cells denoised"].data, denoise(image))


def test_removing_the_result_stops_the_work(viewer, dock, run_a_tile, gate, noisy, no_thread_left):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    viewer.layers.remove("cells denoised")
    assert dock.button.text == "Denoise"
    assert "removed" in dock.message.value
    gate.let_pass()
    no_thread_left()
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("act", ["strength", "model setting", "preview", "another layer"])
def test_what_is_over_is_not_told_after_the_next_action(viewer, dock, run_a_tile, gate, noisy, no_thread_left, act):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    viewer.layers.remove("cells denoised")
    gate.open_wide()
    no_thread_left()
    assert "removed" in dock.message.value
    actions = {
        "strength": lambda: dock.form.strength.slider.setValue(50),
        "model setting": lambda: dock.form.advanced.hot_pixels.native.setCurrentText("repair"),
        "preview": lambda: dock.preview.box.native.click(),
        "another layer": lambda: viewer.add_points([[3, 4]]),
    }
    actions[act]()
    assert not dock.message.value
    dock.preview.stop()


def test_closing_the_dock_stops_the_work(viewer, dock, run_a_tile, gate, noisy, close_dock, no_thread_left, qtbot):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    close_dock(dock)
    assert len(viewer.layers) == 1
    gate.let_pass()
    no_thread_left()
    qtbot.wait(50)  # late slots would raise here
    viewer.add_image(noisy((32, 32)))  # and so would a dock that still follows the layers
    assert len(viewer.layers) == 2


def test_hiding_the_dock_does_not_stop_the_work(viewer, dock, run_a_tile, gate, noisy, until):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    dock.native.parent().close()
    gate.open_wide()
    until(lambda: KEY in viewer.layers["cells denoised"].metadata)


def test_closing_the_window_stops_the_work(viewer, run_a_tile, gate, noisy, no_thread_left):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    viewer.close()
    gate.let_pass()
    no_thread_left()


@pytest.mark.parametrize(
    ("error", "shown", "notified"),
    [
        (ModelError("model='x': no such model."), 'Model x: no such model; choose another one at "Model".', False),
        (RuntimeError("the card is on fire"), "the card is on fire", True),
        (KeyError("weights"), "KeyError: 'weights'", True),
        (MemoryError(), "not enough memory", False),
    ],
)
def test_errors_are_shown_and_the_button_lives(viewer, dock, run, noisy, monkeypatch, seen, error, shown, notified):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(inference, "prepare_denoising", fail)
    viewer.add_image(noisy((32, 32)), name="cells")
    run()
    assert shown in dock.message.value
    assert dock.message.is_error
    assert dock.button.enabled
    assert bool(seen) == notified
    monkeypatch.undo()
    run()
    assert "cells denoised" in viewer.layers
    assert not dock.message.is_error


def test_warnings_reach_the_user(viewer, run, noisy, seen):
    viewer.add_image(noisy((32, 32)).astype(np.float32) + np.float32(1e9), name="far from zero")
    run()
    assert ["digits were lost" in text for text in seen] == [True]


def test_an_error_after_some_tiles_removes_them(viewer, dock, run_a_tile, gate, noisy, monkeypatch, until):
    monkeypatch.setattr(gate, "wait", lambda wait=gate.wait: wait() or _fail_if(gate.open))
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    gate.open_wide()
    until(lambda: dock.button.text == "Denoise")
    assert "late" in dock.message.value
    assert len(viewer.layers) == 1


def _fail_if(late: bool) -> None:
    if late:
        raise ModelError("late")


def test_without_an_image_there_is_a_hint(viewer, dock, noisy):
    viewer.add_labels(np.zeros((8, 8), int))
    viewer.add_points([[1, 1]])
    assert dock.layer.choices == ()
    assert not dock.button.enabled
    assert dock.message.value == NO_IMAGE
    viewer.add_image(noisy((32, 32)))
    assert dock.button.enabled
    assert dock.message.value == ""


def test_the_layer_box_follows_the_active_layer_but_not_to_results(viewer, dock, run, noisy):
    first, second = (viewer.add_image(noisy((32, 32)), name=name) for name in ("first", "second"))
    assert dock.layer.value == second
    viewer.layers.selection.active = first
    assert dock.layer.value == first
    run()
    assert viewer.layers.selection.active.name == "first denoised"
    assert dock.layer.value == first
    assert viewer.layers["first denoised"] in dock.layer.choices


def test_a_renamed_layer_stays_chosen(viewer, dock, noisy):
    first = viewer.add_image(noisy((32, 32)), name="first")
    viewer.add_image(noisy((32, 32)), name="second")
    viewer.layers.selection.active = first
    first.name = "other"
    assert dock.layer.value == first
    assert dock.layer.current_choice == "other"


def test_devices_that_do_not_work_are_shown_but_cannot_be_chosen(viewer, until, monkeypatch, noisy):
    reports = (DeviceReport("cuda:0", "NVIDIA card", "update its driver"), DeviceReport("cpu", "CPU (2 threads)"))
    monkeypatch.setattr(device, "list_devices", lambda: reports)
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="under test")
    until(lambda: len(dock.device.choices) == 3)
    native = dock.device.native
    assert [native.itemText(number) for number in range(3)] == ["auto: CPU (2 threads)", "NVIDIA card: not usable", "CPU (2 threads)"]
    assert [native.model().item(number).isEnabled() for number in range(3)] == [True, False, True]
    assert native.model().item(1).toolTip() == "update its driver"
    viewer.add_image(noisy((32, 32)))
    assert len(dock.device.choices) == 3


def test_models_that_are_here_and_blind_are_offered(dock):
    assert dock.model.value == "fast"
    assert not any("noisemap" in name for name in dock.model.choices)
    assert "every image" in dock.model.tooltip


@pytest.fixture
def slower_too(tmp_path, monkeypatch):
    """A registry of fast, its twin, and a slower model that is listed first; a function that brings the usual one back."""
    table = tmp_path / "models.toml"
    row = """
[[model]]
name = "slower"
summary = "Four million parameters, for those who can wait."
file = "fast.safetensors"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
architecture = "ShuffleUNet"
equivariance = "norm-equiv"
blind = true
licence = "BSD-3-Clause"
quality = "better than fast"
seconds_per_megapixel = 1.15
relative_cost = 3.1
"""
    rows = re.split(r"(?=^\[\[model\]\])", (PACKAGE_FOLDER / "models.toml").read_text(encoding="utf8"), flags=re.MULTILINE)
    known = [known for known in rows if re.search(r'^name = "(fast|ordinary-twin)"', known, re.MULTILINE)]
    table.write_text("".join([row, *known]), encoding="utf8")
    monkeypatch.setattr(choices, "list_models", lambda: read_registry(table))
    return lambda: monkeypatch.setattr(choices, "list_models", lambda: read_registry(PACKAGE_FOLDER / "models.toml"))


@pytest.mark.usefixtures("slower_too")  # before the dock
def test_a_model_says_how_good_and_how_fast_it_is(dock):
    native = dock.model.native
    shown = [native.itemText(number) for number in range(native.count())]
    assert shown == [
        f"fast: {find_model('fast').character}",
        "slower: better than fast, 3× the time of fast",
        "ordinary-twin: only to compare with",
    ]
    tooltip = native.model().item(1).toolTip()
    assert tooltip == "Four million parameters, for those who can wait.\nResults: better than fast.\nSpeed: 3× the time of fast."
    assert native.minimumSizeHint().width() < 200  # long words do not widen the dock
    assert "Results: good." in dock.model.tooltip
    dock.model.value = "slower"
    assert "Speed: 3× the time of fast." in dock.model.tooltip
    assert "models folder" in dock.model.tooltip


def test_a_slower_model_is_taken_only_by_those_who_choose_it(slower_too, dock, viewer, noisy):
    assert dock.model.choices[:2] == ("fast", "slower")
    assert dock.model.value == "fast"
    viewer.add_image(noisy((32, 32)))
    assert dock.model.value == "fast"
    dock.model.value = "slower"
    viewer.add_image(noisy((32, 32)))
    assert dock.model.value == "slower"
    slower_too()
    dock.reset_choices()
    assert dock.model.value == "fast"
    assert "every image" in dock.model.tooltip


def test_models_that_arrive_later_are_explained(dock, request):
    request.getfixturevalue("slower_too")
    dock.reset_choices()
    assert dock.model.value == "fast"
    items = dock.model.native.model()
    tooltips = {name: items.item(number).toolTip() for number, name in enumerate(dock.model.choices)}
    assert "can wait" in tooltips["slower"]
    assert "compare" in tooltips["ordinary-twin"]
