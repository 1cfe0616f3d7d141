import copy
import errno
import itertools
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ne_denoise import estimate_noise
from napari_ne_denoise.core.noise.residual import noise_std, standardized_residual
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import NO_IMAGE
from napari_ne_denoise.gui.compare import flip
from napari_ne_denoise.gui.compare.compare_widget import CHANGED, INSTRUCTION, CompareWidget
from napari_ne_denoise.gui.compare.residual_layer import COLOURMAP, RESIDUAL_KEY
from napari_ne_denoise.gui.compare.views import CURTAIN, FLIP, SIDES
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.layers.kinship import is_helper
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, MAP_KEY, SOURCE_KEY, read_layer
from tests.gui import mouse

PLACE = {"scale": (0.5, 0.25), "translate": (3, -4), "rotate": 20, "shear": [0.2], "affine": [[1, 0.1, 2], [0, 1.5, 3], [0, 0, 1]]}


@pytest.fixture
def dock(viewer):
    return _docked(viewer)


@pytest.fixture
def shown(make_napari_viewer_proxy):
    """A viewer that is really drawn, for the mouse."""
    return make_napari_viewer_proxy(show=True)


def _docked(viewer):
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


def _clean(shape):
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return (400 + 200 * np.sin(rows / 9) * np.cos(columns / 7)) * np.ones(shape)


def _result_of(viewer, layer, values=None):
    """A layer as the Denoise dock leaves it."""
    source = read_layer(layer)
    look = source.result_look()
    look["metadata"][SOURCE_KEY] = source
    return viewer.add_image(_clean(layer.data.shape).astype(np.float32) if values is None else values, **look)


@pytest.fixture
def pair(viewer, dock, noisy):
    """A noisy layer and its result, chosen in the dock."""
    before = viewer.add_image(noisy((64, 80)), name="cells")
    return before, _result_of(viewer, before)


def _visible(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def _helpers(viewer):
    return [layer for layer in viewer.layers if is_helper(layer)]


def _canvas(viewer):
    return viewer.__wrapped__.window._qt_viewer.canvas.native


def _point(viewer, layer, place):
    """Where on the canvas a place of a layer is drawn."""
    canvas, camera = _canvas(viewer), viewer.scene.camera
    away = (np.array(layer.data_to_world(place))[-2:] - np.array(camera.center)[-2:]) * camera.zoom
    return QPoint(round(canvas.width() / 2 + away[1]), round(canvas.height() / 2 + away[0]))


def _drag(viewer, layer, start, end, modifier=mouse.NO_KEY):
    """A real drag on the canvas between two places of a layer."""
    mouse.drag(_canvas(viewer), _point(viewer, layer, start), _point(viewer, layer, end), modifier)


def test_without_layers_it_says_what_to_do(viewer, dock, noisy):
    assert dock.message.value == NO_IMAGE
    assert not dock.bar.isEnabled()
    viewer.add_image(noisy((20, 30)), name="cells")
    assert "no other image of the shape of cells" in dock.message.value
    viewer.add_image(noisy((30, 20)), name="other")
    assert dock.pair is None
    assert not dock.residual.enabled


def test_a_result_is_compared_with_what_it_was_made_from(viewer, dock, pair, noisy):
    assert dock.pair.layers == pair
    assert dock.message.value == INSTRUCTION
    before, after = pair
    viewer.layers.selection.active = before
    assert dock.pair.layers == pair
    other = viewer.add_image(noisy((64, 80), 1), name="other")
    assert dock.pair.layers == pair
    dock.before.value = other
    assert dock.pair.layers == (other, after)
    other.name = "renamed"
    assert dock.pair.layers == (other, after)
    viewer.layers.remove(other)
    assert dock.pair.layers == pair


def test_of_several_results_the_active_one(viewer, dock, pair):
    _, first = pair
    second = _result_of(viewer, pair[0])
    assert dock.layer.value == second
    viewer.layers.selection.active = first
    assert dock.pair.layers == pair


def test_any_two_images_of_one_shape(viewer, dock, noisy):
    one, other = viewer.add_image(noisy((20, 30))), viewer.add_image(noisy((20, 30)))
    assert dock.pair.layers == (one, other)
    viewer.layers.selection.active = one
    assert dock.pair.layers == (one, other)
    dock.layer.value = one
    assert dock.pair.layers == (other, one)


def test_a_result_from_a_file_finds_its_image_by_name(viewer, dock, noisy):
    viewer.add_image(noisy((20, 30)), name="another")
    cells = viewer.add_image(noisy((20, 30)), name="cells")
    viewer.add_image(noisy((20, 30)), name="one more")
    viewer.add_image(_clean((20, 30)), metadata={KEY: {"source_layer": "cells"}})
    assert dock.pair.before == cells


def test_what_a_result_was_made_from_can_be_opened_again(viewer, dock, pair):
    before, after = pair
    viewer.layers.remove(before)
    assert dock.pair is None
    assert "cells, which cells denoised was made from, is not open" in dock.message.value
    assert not dock.open.native.isHidden()
    dock.open.native.click()
    assert [layer.name for layer in viewer.layers] == ["cells", "cells denoised"]
    assert dock.pair.after == after
    assert dock.pair.before.data is before.data
    assert dock.open.native.isHidden()


def test_the_key_flips_and_flips_back(shown, noisy, qtbot):
    before = shown.add_image(noisy((64, 80)), name="cells", contrast_limits=(100, 700))
    after = _result_of(shown, before)
    covering = shown.add_image(noisy((64, 80)), name="covers")
    dock = _docked(shown)
    camera = copy.deepcopy(shown.scene.camera.dict())
    for names in (["cells"], ["cells", "cells denoised", "covers"]):
        QTest.keyClick(_canvas(shown), Qt.Key.Key_N)
        assert _visible(shown) == names
    QTest.keyClick(_canvas(shown), Qt.Key.Key_N)
    assert dock.message.value == "Shown: cells"
    assert dock.bar.buttons[FLIP].isChecked()
    assert before.contrast_limits == after.contrast_limits == [100, 700]
    assert shown.scene.camera.dict() == camera
    QTest.keyClick(dock.native, Qt.Key.Key_N)
    assert covering.visible
    assert dock.message.value == INSTRUCTION


def test_a_long_press_flips_while_it_lasts(shown, noisy, monkeypatch):
    _result_of(shown, shown.add_image(noisy((64, 80)), name="cells"))
    dock = _docked(shown)
    monkeypatch.setattr(flip, "HOLD", 0)
    for target in (_canvas(shown), dock.native):
        QTest.keyPress(target, Qt.Key.Key_N)
        assert _visible(shown) == ["cells"]
        QTest.keyRelease(target, Qt.Key.Key_N)
        assert _visible(shown) == ["cells", "cells denoised"]
    button = dock.bar.buttons[FLIP]
    QTest.mousePress(button, Qt.MouseButton.LeftButton)
    assert _visible(shown) == ["cells"]
    QTest.mouseRelease(button, Qt.MouseButton.LeftButton)
    assert _visible(shown) == ["cells", "cells denoised"]
    assert not button.isChecked()


def test_the_button_flips_what_is_seen(viewer, dock, pair):
    after = pair[1]
    after.visible = False
    dock.bar.buttons[FLIP].click()
    assert _visible(viewer) == ["cells denoised"]
    dock.bar.buttons[FLIP].click()
    assert _visible(viewer) == ["cells"]


def test_the_key_goes_back_to_whom_it_belonged(viewer, noisy, close_dock):
    pressed = []
    viewer.bind_key("N", lambda _: pressed.append(True))
    _result_of(viewer, viewer.add_image(noisy((64, 80)), name="cells"))
    dock = _docked(viewer)
    canvas = _canvas(viewer)
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert not pressed
    close_dock(dock)
    assert _visible(viewer) == ["cells", "cells denoised"]
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert pressed == [True]


def test_two_docks_share_one_key(shown, noisy, until, close_dock, monkeypatch):
    monkeypatch.setattr(flip, "HOLD", 60)
    before = dict(shown.keymap)
    cells = shown.add_image(noisy((64, 80)), name="cells")
    denoise = DenoiseWidget(shown)
    shown.window.add_dock_widget(denoise, name="denoise")
    compare = _docked(shown)
    denoise.button.native.click()
    until(lambda: not denoise.queue.is_busy)
    both = ["cells", "cells denoised"]
    button = compare.bar.buttons[FLIP]
    for flips, back in itertools.permutations((_canvas(shown), denoise.native, compare.native), 2):
        QTest.keyClick(flips, Qt.Key.Key_N)
        assert _visible(shown) == ["cells"]
        assert button.isChecked()
        assert compare.message.value == "Shown: cells"
        QTest.keyClick(back, Qt.Key.Key_N)
        assert _visible(shown) == both
        assert not button.isChecked()
    compare.look(CURTAIN)
    QTest.keyClick(denoise.native, Qt.Key.Key_N)
    assert not _helpers(shown)  # one way of looking at a time
    assert _visible(shown) == ["cells"]
    shown.layers.remove("cells denoised")
    assert cells.visible
    close_dock(compare)
    denoise.button.native.click()
    until(lambda: not denoise.queue.is_busy)
    QTest.keyClick(_canvas(shown), Qt.Key.Key_N)
    assert _visible(shown) == ["cells"]
    close_dock(denoise)
    assert _visible(shown) == both
    assert dict(shown.keymap) == before  # no key that does nothing


def test_closing_while_flipped_hides_nothing(viewer, dock, pair, close_dock):
    dock.flip()
    close_dock(dock)
    assert all(layer.visible and not layer.name_overlay.visible for layer in pair)


def test_what_was_changed_by_hand_meanwhile_stays(viewer, dock, pair):
    dock.flip()
    pair[0].visible = False
    pair[1].visible = True
    dock.flip()
    assert _visible(viewer) == ["cells denoised"]


@pytest.mark.parametrize("turned", [False, True])
def test_side_by_side_and_back(viewer, dock, pair, turned):
    points = viewer.add_points([[3, 4]], name="points")
    grid = viewer.canvas.grid
    grid.shape, grid.stride = (3, -1), 2
    if turned:
        viewer.layers.move(0, 2)
    camera = copy.deepcopy(viewer.scene.camera.dict())
    dock.bar.buttons[SIDES].click()
    assert grid.enabled
    assert set(_visible(viewer)) == {"cells", "cells denoised"}
    layers = list(viewer.layers)
    assert [grid.position(layers.index(layer), layers) for layer in pair] == [(0, 0), (0, 1)]
    dock.bar.buttons[SIDES].click()
    assert not grid.enabled
    assert (grid.shape, grid.stride) == ((3, -1), 2)
    assert points.visible
    assert viewer.scene.camera.dict() == camera


@pytest.mark.parametrize("turned", [False, True])
def test_the_line_of_the_profile_is_seen_on_the_left_only(viewer, dock, pair, turned):
    if turned:
        viewer.layers.move(0, 2)
    for first, second in ((dock.draw_profile.native, dock.bar.buttons[SIDES]), (dock.bar.buttons[SIDES], dock.draw_profile.native)):
        first.click()
        second.click()
        layers = list(viewer.layers)
        places = [viewer.canvas.grid.position(layers.index(layer), layers) for layer in (*pair, viewer.layers["profile line"])]
        assert places == [(0, 0), (0, 1), (-1, -1) if turned else (0, 0)]
        assert dock.profile.current.distance[-1] > 10  # not the few pixels of a box that is not laid out yet
        first.click()
        second.click()
    assert not viewer.canvas.grid.enabled


def test_a_grid_that_is_turned_off_by_hand_ends_it(viewer, dock, pair):
    hidden = viewer.add_points([[3, 4]], name="points")
    dock.bar.buttons[SIDES].click()
    viewer.canvas.grid.enabled = False
    assert not dock.bar.buttons[SIDES].isChecked()
    assert hidden.visible


def test_one_way_of_looking_after_another(viewer, dock, pair):
    for view in (CURTAIN, SIDES, FLIP, CURTAIN):
        dock.bar.buttons[view].click()
        assert [text for text, button in dock.bar.buttons.items() if button.isChecked()] == [view]
    assert len(_helpers(viewer)) == 1
    dock.bar.buttons[CURTAIN].click()
    assert not _helpers(viewer)
    assert _visible(viewer) == ["cells", "cells denoised"]


@pytest.mark.parametrize("view", [SIDES, CURTAIN])
def test_another_pair_is_looked_at_in_the_same_way(viewer, dock, pair, until, view):
    before, first = pair
    dock.bar.buttons[view].click()
    second = _result_of(viewer, before)
    until(lambda: dock.bar.buttons[view].isChecked())
    assert dock.pair.after == second
    assert second.visible
    viewer.layers.selection.active = first
    until(lambda: dock.bar.buttons[view].isChecked())
    assert first.visible
    assert not second.visible
    dock.bar.buttons[view].click()
    assert _visible(viewer) == ["cells", "cells denoised", "cells denoised [1]"]


def test_the_curtain_is_a_view_of_the_image_in_its_place(viewer, dock, noisy):
    before = viewer.add_image(noisy((64, 80)), name="cells", units=("um", "um"), contrast_limits=(100, 700), **PLACE)
    after = _result_of(viewer, before)
    dock.bar.buttons[CURTAIN].click()
    (curtain,) = _helpers(viewer)
    assert _visible(viewer) == ["cells denoised", "curtain: cells"]
    assert viewer.layers.selection.active == after
    for step, width in ((500, 40), (250, 20), (1000, 80)):
        dock.slider.setValue(step)
        assert np.array_equal(curtain.data, before.data[:, :width])
        assert np.shares_memory(curtain.data, before.data)
        for place in ((0, 0), (63, width - 1)):
            np.testing.assert_allclose(curtain.data_to_world(place), before.data_to_world(place))
    assert curtain.units == before.units
    dock.slider.setValue(0)
    assert not curtain.visible
    before.contrast_limits, before.colormap = (200, 300), "magenta"
    assert curtain.contrast_limits == [200, 300]
    assert curtain.colormap.name == "magenta"


@pytest.mark.parametrize("in_a_stack", [False, True])
def test_the_line_is_dragged_and_the_view_stays(shown, noisy, drawn, in_a_stack):
    if in_a_stack:
        shown.add_image(noisy((5, 20, 30)), name="another")
    before = shown.add_image(noisy((64, 80)), name="cells", scale=(0.5, 0.5))
    after = _result_of(shown, before)
    dock = _docked(shown)
    shown.reset_view()
    drawn(shown)
    dock.bar.buttons[CURTAIN].click()
    (curtain,) = _helpers(shown)
    camera = tuple(shown.scene.camera.center)
    _drag(shown, after, (20, 39.5), (40, 59.5))
    assert curtain.data.shape == (64, 60)
    assert dock.slider.value() == pytest.approx(750, abs=3)
    assert tuple(shown.scene.camera.center) == camera
    dock.draw_profile.native.click()
    _drag(shown, after, (32, 41), (10, 41))
    assert set(dock.profile.current.places[:, 0]) == {10}
    assert tuple(shown.scene.camera.center) == camera
    _drag(shown, after, (50, 20), (60, 30))  # elsewhere the view is dragged
    assert curtain.data.shape == (64, 60)
    assert tuple(shown.scene.camera.center) != camera


def test_the_curtain_follows_the_plane(viewer, dock, noisy):
    image = noisy((3, 2, 40, 48))
    before = viewer.add_image(da.from_array(image, chunks=(1, 1, 40, 48)), name="series", scale=(2, 3, 1, 1))
    _result_of(viewer, before)
    dock.bar.buttons[CURTAIN].click()
    (curtain,) = _helpers(viewer)
    for place in ((0, 0), (2, 1)):
        viewer.dims.set_point((0, 1), (2 * place[0], 3 * place[1]))
        assert np.array_equal(curtain.data, image[place][None, None, :, :24])
        np.testing.assert_allclose(curtain.data_to_world((0, 0, 5, 6)), before.data_to_world((*place, 5, 6)))
    viewer.dims.order = (2, 3, 1, 0)
    step = viewer.dims.current_step
    assert np.array_equal(curtain.data, image[:2, :, step[2], step[3]][:, :, None, None])


def test_a_result_of_one_plane_is_compared_with_that_plane(viewer, dock, noisy, residual, profile):
    image = noisy((3, 64, 80))
    before = viewer.add_image(image, name="series", axis_labels=("z", "y", "x"), scale=(2, 1, 1))
    source = read_layer(before).only_plane_at((1, 0, 0))
    look = source.result_look()
    look["metadata"][SOURCE_KEY] = source
    after = viewer.add_image(_clean((1, 64, 80)), **look)
    assert dock.pair.layers == (before, after)
    viewer.dims.set_point(0, 2)
    dock.bar.buttons[CURTAIN].click()
    curtain = viewer.layers["curtain: series"]
    assert np.array_equal(curtain.data, image[1:2, :, :40])
    np.testing.assert_allclose(curtain.data_to_world((0, 5, 6)), before.data_to_world((1, 5, 6)))
    found = profile()
    assert np.array_equal(found.noisy, image[1:2][tuple(found.places.T)])
    assert np.array_equal(residual().data, standardized_residual(image[1:2], after.data, estimate_noise(image, "ZYX")))


def test_in_3d_all_is_seen_and_the_curtain_is_not_begun(viewer, dock, noisy):
    _result_of(viewer, viewer.add_image(noisy((3, 40, 48)), name="series"))
    dock.bar.buttons[CURTAIN].click()
    (curtain,) = _helpers(viewer)
    viewer.dims.ndisplay = 3
    assert not curtain.visible
    viewer.dims.ndisplay = 2
    assert curtain.visible
    dock.bar.buttons[CURTAIN].click()
    viewer.dims.ndisplay = 3
    dock.bar.buttons[CURTAIN].click()
    assert "2D" in dock.message.value
    dock.draw_profile.native.click()
    assert not dock.draw_profile.value
    assert not _helpers(viewer)


def test_a_curtain_of_colours(viewer, dock, noisy):
    image = (np.moveaxis(noisy((3, 48, 40)), 0, -1) // 4).astype(np.uint8)
    _result_of(viewer, viewer.add_image(image, name="colour"), image // 2)
    dock.bar.buttons[CURTAIN].click()
    (curtain,) = _helpers(viewer)
    assert curtain.rgb
    assert np.array_equal(curtain.data, image[:, :20])


def test_layers_that_shine_through_are_cut_on_both_sides(viewer, dock, noisy):
    before = viewer.add_image(noisy((64, 80)), name="cells", blending="additive", colormap="green")
    after = _result_of(viewer, before)
    dock.bar.buttons[CURTAIN].click()
    right, left = _helpers(viewer)
    assert _visible(viewer) == ["curtain: cells denoised", "curtain: cells"]
    dock.slider.setValue(250)
    for half, whole, columns in ((left, before, slice(20)), (right, after, slice(20, None))):
        assert np.array_equal(half.data, whole.data[:, columns])
        assert half.blending == "additive"
    np.testing.assert_allclose(right.data_to_world((0, 0)), after.data_to_world((0, 20)))
    dock.bar.buttons[CURTAIN].click()
    assert _visible(viewer) == ["cells", "cells denoised"]


def test_a_curtain_that_is_deleted_by_hand_is_over(viewer, dock, pair):
    dock.bar.buttons[CURTAIN].click()
    viewer.layers.remove(_helpers(viewer)[0])
    assert not dock.bar.buttons[CURTAIN].isChecked()
    assert _visible(viewer) == ["cells", "cells denoised"]


def test_when_a_layer_of_the_pair_goes_so_does_the_curtain(viewer, dock, pair):
    dock.bar.buttons[CURTAIN].click()
    dock.draw_profile.native.click()
    viewer.layers.remove(pair[1])
    assert not _helpers(viewer)
    assert _visible(viewer) == ["cells"]


def test_helpers_are_offered_by_no_dock(viewer, dock, pair):
    dock.bar.buttons[CURTAIN].click()
    dock.draw_profile.native.click()
    other = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(other, name="another")
    assert other.layer.choices == dock.layer.choices == pair
    assert dock.before.choices == pair[:1]


@pytest.fixture
def residual(viewer, dock, until):
    """Press the button, and wait for the layer."""

    def press():
        dock.residual.native.click()
        until(lambda: dock._task is None)
        return next(layer for layer in viewer.layers if RESIDUAL_KEY in layer.metadata)

    return press


def test_the_residual_in_standard_deviations(viewer, dock, noisy, residual):
    before = viewer.add_image(noisy((96, 120)), name="cells", units=("um", "um"), **PLACE)
    after = _result_of(viewer, before)
    layer = residual()
    noise = estimate_noise(before.data)
    assert np.array_equal(layer.data, standardized_residual(before.data, after.data, noise))
    assert layer.name == "cells denoised residual (σ)"
    assert (layer.contrast_limits, layer.colormap.name) == ([-4, 4], COLOURMAP.name)
    np.testing.assert_allclose(layer.extent.world, after.extent.world)
    assert layer.units == after.units
    record = layer.metadata[RESIDUAL_KEY]
    assert record["noise"] == [noise.as_record()]
    assert record["std"] == pytest.approx(layer.data.std(), abs=0.01)
    assert dock.finding.value.startswith(f"Residual: std {record['std']:.2f} σ")
    assert dock.layer.value == after
    residual()
    assert len(_helpers(viewer)) == 1


def test_a_result_that_changes_is_no_longer_described(viewer, dock, pair, residual, no_thread_left):
    residual()
    for begin in (lambda: None, dock.residual.native.click):
        begin()
        pair[1].metadata = {**pair[1].metadata, KEY: {"settings": {"strength": 0.5}}}
        assert dock.finding.value == CHANGED
        assert dock.residual.text == "Residual layer"
    no_thread_left()


def test_each_channel_is_counted_in_noise_of_its_own(viewer, dock, noisy, residual):
    clean = _clean((96, 120))
    image = np.stack([clean + seed * 10 * np.random.default_rng(seed).normal(size=clean.shape) for seed in (1, 5)])
    _result_of(viewer, viewer.add_image(image, axis_labels=("c", "y", "x")), np.stack([clean, clean]))
    layer = residual()
    assert layer.data.std(axis=(1, 2)) == pytest.approx([1, 1], abs=0.15)
    assert len(layer.metadata[RESIDUAL_KEY]["noise"]) == 2


def test_the_residual_of_colours_is_one_of_all(viewer, dock, noisy, residual):
    clean = np.stack([_clean((96, 120))] * 3, -1) / 4
    image = (clean + np.random.default_rng(0).normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)
    _result_of(viewer, viewer.add_image(image, name="colour"), np.rint(clean).astype(np.uint8))
    layer = residual()
    assert layer.data.shape == (96, 120)
    assert not layer.rgb
    assert layer.data.std() == pytest.approx(1, abs=0.1)


def test_several_levels_and_pixels_that_are_no_numbers(viewer, dock, noisy, residual, profile):
    image = noisy((96, 120)).astype(np.float32)
    image[3, 5] = np.nan
    denoised = _clean((96, 120))
    denoised[3, 5] = np.nan
    before = viewer.add_image([image, image[::2, ::2]], multiscale=True, name="levels", contrast_limits=(0, 900))
    after = _result_of(viewer, before, denoised)
    assert dock.pair.layers == (before, after)
    values = residual().data
    assert np.isnan(values[3, 5])
    assert np.nanstd(values) == pytest.approx(viewer.layers[-1].metadata[RESIDUAL_KEY]["std"], abs=0.01)
    dock.bar.buttons[CURTAIN].click()
    assert viewer.layers["curtain: levels"].data.shape == (96, 60)
    assert list(profile().places[[0, -1], 1]) == [30, 89]


def test_without_noise_it_says_so(viewer, dock, until):
    _result_of(viewer, viewer.add_image(np.zeros((64, 64)), name="nothing"))
    dock.residual.native.click()
    until(lambda: dock._task is None)
    assert dock.finding.is_error
    assert "No noise" in dock.finding.value
    assert dock.residual.enabled


def test_a_residual_can_be_cancelled(viewer, dock, pair, no_thread_left):
    dock.residual.native.click()
    assert dock.residual.text == "Cancel"
    dock.residual.native.click()
    assert dock.residual.text == "Residual layer"
    no_thread_left()
    assert not _helpers(viewer)


@pytest.fixture
def profile(dock, until):
    """Turn the profile on, and wait for its band."""

    def press():
        dock.draw_profile.native.click()
        until(lambda: dock.profile.current is not None and dock.profile.current.error is not None)
        return dock.profile.current

    return press


def test_the_profile_of_a_line_that_is_drawn(shown, noisy, until, drawn):
    before = shown.add_image(noisy((96, 120)), name="cells", scale=(0.5, 0.5), units=("um", "um"))
    after = _result_of(shown, before)
    dock = _docked(shown)
    drawn(shown)
    dock.draw_profile.native.click()
    (line,) = _helpers(shown)
    assert isinstance(line, Shapes)
    camera = tuple(shown.scene.camera.center)
    _drag(shown, after, (10, 20), (70, 100), Qt.KeyboardModifier.ShiftModifier)
    until(lambda: dock.profile.current.error is not None)
    found = dock.profile.current
    assert found.places[[0, -1]] == pytest.approx(np.array([(10, 20), (70, 100)]), abs=1)
    assert np.array_equal(found.noisy, before.data[tuple(found.places.T)])
    assert np.array_equal(found.denoised, after.data[tuple(found.places.T)])
    assert found.distance[-1] == pytest.approx(50, abs=1)
    assert found.unit == "µm"
    assert found.error == pytest.approx(noise_std(found.denoised, estimate_noise(before.data)))
    np.testing.assert_allclose(line.data_to_world(line.data[0][1]), after.data_to_world(found.places[-1]), atol=0.5)
    _drag(shown, after, (70, 100), (12, 100))  # one end
    assert dock.profile.current.places[-1] == pytest.approx((12, 100), abs=1)
    _drag(shown, after, (11, 60), (51, 60))  # the whole line
    assert dock.profile.current.places[0] == pytest.approx((50, 20), abs=2)
    assert tuple(shown.scene.camera.center) == camera
    width = line.edge_width[0]
    shown.scene.camera.zoom *= 2
    assert line.edge_width[0] == pytest.approx(width / 2)


def test_the_profile_shows_error_bars_where_a_map_tells_them(viewer, dock, noisy, until, profile):
    after = _result_of(viewer, viewer.add_image(noisy((64, 80)), name="cells", scale=(0.5, 0.5)))
    noise = profile().error
    assert "noise" in dock.profile.legend.text()
    assert "Filter maps ▸ error" in dock.profile.legend.text()
    assert "noise before denoising" in dock.profile.save.toolTip()
    assert dock.profile.current.as_table().splitlines()[0].endswith(",noise")
    bars = np.random.default_rng(0).uniform(1, 2, (64, 60))
    record = {"map": "error", "of_layer": after.name}
    place = {"scale": after.scale, "translate": after.data_to_world((0, 10))}
    layer = viewer.add_image(bars, metadata={HELPER_KEY: True, MAP_KEY: record}, **place)
    found = dock.profile.current
    inside = (found.places[:, 1] >= 10) & (found.places[:, 1] < 70)
    assert inside.any()
    assert np.array_equal(found.error[inside], bars[found.places[inside, 0], found.places[inside, 1] - 10])
    assert np.isnan(found.error[~inside]).all()
    assert "error&nbsp;bar" in dock.profile.legend.text()
    assert "Filter maps" not in dock.profile.legend.text()
    assert "the error bar" in dock.profile.save.toolTip()
    assert dock.profile.current.as_table().splitlines()[0].endswith(",error bar")
    layer.data = 2 * bars
    assert np.array_equal(dock.profile.current.error[inside], 2 * found.error[inside])
    viewer.layers.remove(layer)
    assert np.array_equal(dock.profile.current.error, noise)


def test_the_profile_follows_the_plane_and_its_channel(viewer, dock, noisy, until, profile):
    image = np.stack([noisy((64, 80), 1), 3 * noisy((64, 80), 2)])
    after = _result_of(viewer, viewer.add_image(image, axis_labels=("c", "y", "x"), name="two"))
    first = profile()
    viewer.dims.set_point(0, 1)
    until(lambda: dock.profile.current.error is not None)
    second = dock.profile.current
    assert np.array_equal(second.noisy, image[tuple(second.places.T)])
    assert set(second.places[:, 0]) == {1}
    assert np.array_equal(first.places[:, 1:], second.places[:, 1:])
    assert second.error.mean() > 2 * first.error.mean()
    (line,) = _helpers(viewer)
    assert line.data[0][0][0] == 1
    viewer.dims.set_point(0, 0)  # what was found is not looked for again
    assert np.array_equal(dock.profile.current.error, first.error)
    viewer.dims.set_point(0, 1)
    after.data[1] = 7
    after.refresh()
    assert set(dock.profile.current.denoised) == {7}


def test_along_other_axes_the_line_begins_again(viewer, dock, noisy, profile):
    image = noisy((5, 64, 80))
    _result_of(viewer, viewer.add_image(image, scale=(2, 0.5, 0.5), units=("um", "um", "um")))
    profile()
    viewer.dims.order = (1, 0, 2)
    found = dock.profile.current
    assert np.array_equal(found.noisy, image[tuple(found.places.T)])
    assert set(found.places[:, 0]) == {2}
    assert list(found.places[[0, -1], 2]) == [20, 59]


def test_the_profile_leaves_out_what_is_outside(viewer, dock, pair, profile):
    profile()
    dock.profile._line.put(np.array([(10.0, -20.0), (10.0, 30.0)]))
    assert list(dock.profile.current.places[:, 1]) == list(range(31))
    dock.profile._line.put(np.array([(-10.0, 0.0), (-10.0, 30.0)]))
    assert dock.profile.current is None
    assert not dock.profile.save.isEnabled()


def test_the_profile_is_drawn_saved_and_copied(viewer, dock, pair, profile, tmp_path):
    found = profile()
    points, line = dock.profile.view.getPlotItem().listDataItems()
    assert np.array_equal(points.yData, found.noisy)
    assert np.array_equal(line.yData, found.denoised)
    low, high = dock.profile.view.band
    np.testing.assert_allclose((high.yData - low.yData) / 2, found.error)
    dock.profile.keep(tmp_path / "line")
    table = np.genfromtxt(tmp_path / "line.csv", delimiter=",", names=True, deletechars="", encoding="utf-8-sig")
    assert table.dtype.names == ("distance_(pixel)", "axis_0", "axis_1", "before", "after", "noise")
    np.testing.assert_allclose(table["before"], found.noisy)
    np.testing.assert_allclose(table["noise"], found.error, rtol=1e-6)
    dock.profile.copy.click()
    assert QApplication.clipboard().text() == found.as_table("\t")
    dock.profile.keep(tmp_path / "nowhere" / "line.csv")
    assert dock.message.is_error


def test_a_profile_is_written_whole_or_not_at_all_and_replaces_what_was_asked_about(viewer, dock, pair, profile, tmp_path, monkeypatch):
    found = profile()
    there = tmp_path / "line.csv"
    there.write_text("another")
    dock.profile.keep(tmp_path / "line")
    assert "asked about line alone" in dock.message.value
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk)
        dock.profile.keep(there)
    assert "No space left on device" in dock.message.value
    assert [path.name for path in tmp_path.iterdir()] == ["line.csv"]
    assert there.read_text() == "another"
    dock.profile.keep(there)
    assert there.read_text(encoding="utf-8") == "\ufeff" + found.as_table()  # by which Excel knows UTF-8


def full_disk(path, text, **_):
    with open(path, "w") as file:
        file.write(text[:9])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_another_result_is_drawn_along_the_same_line(viewer, dock, pair, profile):
    profile()
    dock.profile._line.put(np.array([(10.0, 20.0), (30.0, 30.0)]))
    _result_of(viewer, pair[0], np.zeros((64, 80)))
    assert set(dock.profile.current.denoised) == {0}
    assert list(dock.profile.current.places[0]) == [10, 20]
    assert len(_helpers(viewer)) == 1


def test_of_colours_the_profile_is_of_the_green_one(viewer, dock, noisy, profile):
    image = (np.moveaxis(noisy((3, 48, 40)), 0, -1) // 4).astype(np.uint8)
    _result_of(viewer, viewer.add_image(image, name="colour"), image)
    found = profile()
    assert np.array_equal(found.noisy, image[..., 1][tuple(found.places.T)])
    assert "green" in dock.profile.legend.text()


def test_a_line_that_is_deleted_by_hand_is_over(viewer, dock, pair):
    dock.draw_profile.native.click()
    viewer.layers.remove(_helpers(viewer)[0])
    assert not dock.draw_profile.value
    assert dock.profile.isHidden()


def test_closing_amid_everything_leaves_nothing(viewer, dock, pair, close_dock, no_thread_left, qtbot):
    callbacks = len(viewer.mouse_drag_callbacks), len(viewer.mouse_move_callbacks)
    dock.draw_profile.native.click()
    dock.bar.buttons[CURTAIN].click()
    dock.residual.native.click()
    close_dock(dock)
    no_thread_left()
    qtbot.wait(50)  # late slots would raise here
    assert list(viewer.layers) == list(pair)
    assert _visible(viewer) == ["cells", "cells denoised"]
    assert (len(viewer.mouse_drag_callbacks), len(viewer.mouse_move_callbacks)) == callbacks
    pair[1].data = pair[1].data[:20]
    viewer.layers.clear()


def test_a_layer_that_gets_other_data_is_compared_anew(viewer, dock, pair, noisy):
    dock.bar.buttons[CURTAIN].click()
    pair[1].data = _clean((64, 80))
    assert not _helpers(viewer)
    assert dock.pair.denoised is pair[1].data
    pair[1].data = _clean((20, 80))
    assert dock.pair is None
