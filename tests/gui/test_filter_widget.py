import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QLabel
from scipy.ndimage import gaussian_filter

from napari_ne_denoise import adaptive_filter, adaptive_maps, denoise
from napari_ne_denoise.core.errors import ModelError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.io import read_provenance
from napari_ne_denoise.core.jacobian import filters
from napari_ne_denoise.core.jacobian.weights import Filter
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import Fold
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.inside import filter_widget, filtering
from napari_ne_denoise.gui.inside.filter_layer import is_filter
from napari_ne_denoise.gui.inside.filter_making import FilterMaking
from napari_ne_denoise.gui.inside.filter_widget import INSTRUCTION, LIVE, PINNED, ROWS, STABILISED, FilterWidget
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, SOURCE_KEY, read_layer
from tests.gui import mouse


def _docked(viewer):
    widget = FilterWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


@pytest.fixture
def dock(viewer):
    return _docked(viewer)


@pytest.fixture
def show(dock, until):
    """Show the filter at a place in the world, and wait for it."""

    def show_at(*world):
        before = dock.current
        dock.show_at(world)
        until(lambda: dock.current is not before)

    return show_at


def _result_of(viewer, layer):
    """A layer as the Denoise dock leaves it."""
    source = read_layer(layer)
    look = source.result_look()
    look["metadata"][SOURCE_KEY] = source
    return viewer.add_image(denoise(source.data, **source.settings), **look)


def _filters(viewer):
    return [layer for layer in viewer.layers if is_filter(layer)]


def _pins(viewer):
    return [layer for layer in viewer.layers if layer.name == "filter pins"]


@pytest.fixture
def click(qtbot):
    """A real click on the canvas, and the place in the world that it hits."""

    def press(viewer, right, down):
        canvas = viewer.__wrapped__.window._qt_viewer.canvas
        middle = QPoint(canvas.native.width() // 2 + right, canvas.native.height() // 2 + down)
        mouse.move(canvas.native, middle)
        qtbot.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=middle)
        return viewer.cursor.position

    return press


def test_a_real_click_shows_the_filter_its_sum_and_the_output(make_napari_viewer_proxy, noisy, until, click, drawn):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    noisy_layer = viewer.add_image(image, name="cells", scale=(0.5, 0.5), units=("um", "um"))
    result = _result_of(viewer, noisy_layer)
    dock = _docked(viewer)
    drawn(viewer)
    world = click(viewer, 37, -21)
    until(lambda: dock.current is not None)
    position = tuple(int(at) for at in np.rint(np.asarray(world) / 0.5))
    assert 0 < position[0] < 48 < position[1]
    expected = adaptive_filter(image, position)
    assert dock.readout.value("Pixel") == f"y {position[0]}, x {position[1]}"
    assert dock.readout.value("World") == f"{position[0] / 2:.4g}, {position[1] / 2:.4g} µm"
    assert dock.readout.value("Sum of weights") == "1.000"
    assert float(dock.readout.value("Σ w·y")) == pytest.approx(expected.weighted_sum, rel=1e-4)
    # filters are computed in float64, results perhaps in half precision
    assert float(dock.readout.value("Output value")) == pytest.approx(float(result.data[position]), rel=1e-3)
    assert float(dock.readout.value("Output value")) == pytest.approx(expected.output, rel=1e-3)
    assert float(dock.readout.value("Pixels averaged")) == pytest.approx(1 / (expected.weights**2).sum(), abs=0.1)
    assert viewer.layers.selection.active == result
    assert [layer.name for layer in _filters(viewer)] == ["adaptive filter"]


@pytest.fixture
def hover():
    """Move the mouse over the canvas, and return its place in the world."""

    def move(viewer, right, down):
        canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
        mouse.move(canvas, QPoint(canvas.width() // 2 + right, canvas.height() // 2 + down))
        return viewer.cursor.position

    return move


def test_the_filter_follows_the_mouse_and_is_exact_where_that_rests(
    make_napari_viewer_proxy, noisy, until, hover, click, drawn, qtbot, monkeypatch
):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    viewer.add_image(image)
    dock = _docked(viewer)
    drawn(viewer)
    said, say = [], dock.message.say
    monkeypatch.setattr(dock.message, "say", lambda text: said.append(text) or say(text))
    first = hover(viewer, 0, 0)
    world = hover(viewer, 30, 20)
    assert world != first
    until(lambda: dock.current is not None and not dock.current.pixel.is_live)
    position = tuple(int(at) for at in np.rint(world))
    assert dock.current.pixel.position == position
    assert np.array_equal(dock.current.filter.weights, adaptive_filter(image, position).weights)
    assert LIVE in said  # perhaps for a moment only
    pinned = click(viewer, -40, 10)
    until(lambda: dock.message.value == PINNED)
    assert not dock.follow.value
    hover(viewer, 50, 50)
    qtbot.wait(50)
    assert dock.current.pixel.position == tuple(int(at) for at in np.rint(pinned))
    dock.follow.value = True
    world = hover(viewer, 51, 52)
    until(lambda: dock.current.pixel.position == tuple(int(at) for at in np.rint(world)))


def test_while_the_mouse_moves_every_filter_that_is_ready_is_shown(viewer, dock, noisy, until, monkeypatch):
    shown = []
    monkeypatch.setattr(dock.readout, "show_values", lambda values: shown.append(values["Pixel"]))
    viewer.add_image(noisy((64, 64)))
    dock._rest.setInterval(10**6)  # however late the threads are
    dock.hover((5, 10))
    dock.hover((5, 20))
    dock.hover((500, 20))
    dock.hover((5, 30))
    until(lambda: len(shown) == 2)
    dock._rest.start(0)
    until(lambda: len(shown) == 3)
    # the first was computed already, the second was overtaken, the third came again in full precision
    assert shown == ["y 5, x 10", "y 5, x 30", "y 5, x 30"]


def test_a_filter_that_follows_the_mouse_draws_the_window_once(make_napari_viewer_proxy, noisy, until, drawn, draws, monkeypatch):
    monkeypatch.setattr(filter_widget, "REST", 10**6)
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    layer = viewer.add_image(image, scale=(2, 2))
    dock = _docked(viewer)

    def go(column):
        dock.hover((80, column))
        until(lambda: dock.current is not None and dock.current.pixel.position == (40, column // 2))
        drawn(viewer)

    go(110)  # where it starts to follow, the dock says so
    (overlay,) = _filters(viewer)
    counted = draws(viewer)
    for times, column in ((1, 120), (2, 130), (3, 140)):
        go(column)
        assert counted.times == times  # not once more for the list of layers or a new layout: in software, that takes longer than a filter
        assert dock.current.pixel.is_live
        expected = adaptive_filter(image, (40, column // 2), support=41)
        np.testing.assert_allclose(overlay.data, expected.weights, atol=1e-5)
        np.testing.assert_allclose(overlay.data_to_world((0, 0)), layer.data_to_world(expected.origin))
    passing = viewer.screenshot(flash=False)
    dock.show_at((80, 140))
    until(lambda: not dock.current.pixel.is_live)
    assert overlay.contrast_limits_range == overlay.contrast_limits
    resting = viewer.screenshot(flash=False)
    overlay.visible = False
    assert np.abs(passing.astype(int) - resting).max() <= 2  # where it is drawn, it is exactly
    assert np.abs(resting.astype(int) - viewer.screenshot(flash=False)).max() > 50


def test_where_the_mouse_passes_float32_is_enough(viewer, dock, noisy, until):
    image = noisy((64, 64))
    viewer.add_image(image)
    dock._rest.setInterval(10**6)  # however late the threads are
    dock.hover((30, 31))
    until(lambda: dock.current is not None)
    pixel, found = dock.current.pixel, dock.current.filter
    assert pixel.is_live
    np.testing.assert_allclose(found.weights, adaptive_filter(image, (30, 31)).weights, atol=1e-5)


def test_smoothing_is_for_the_eye_alone(viewer, dock, show, noisy):
    viewer.add_image(noisy((64, 64)))
    show(30, 31)
    before = _filters(viewer)[0].data.copy()
    numbers = {name: dock.readout.value(name) for name in ROWS}
    dock.smooth.value = True
    after = _filters(viewer)[0].data
    assert np.abs(after).max() < np.abs(before).max()
    assert after.sum() == pytest.approx(before.sum(), abs=0.02)
    assert numbers == {name: dock.readout.value(name) for name in ROWS}
    dock.smooth.value = False
    assert np.array_equal(_filters(viewer)[0].data, before)


def test_pins_are_kept_with_what_their_filters_do(viewer, dock, show, noisy, until):
    image = noisy((2, 64, 64))
    layer = viewer.add_image(image, axis_labels=("z", "y", "x"), scale=(2, 0.5, 0.5), translate=(0, 3, 4))
    show(*layer.data_to_world((1, 30, 31)))
    assert not _pins(viewer)
    dock.keep.value = True
    show(*layer.data_to_world((1, 30, 31)))
    until(lambda: bool(_pins(viewer)))
    (pins,) = _pins(viewer)
    result = viewer.layers.selection.active = _result_of(viewer, layer)
    show(*result.data_to_world((0, 12, 50)))
    until(lambda: len(pins.data) == 2)
    viewer.layers.remove(result)
    assert _pins(viewer) == [pins]
    for row, at in enumerate(((1, 30, 31), (0, 12, 50))):
        np.testing.assert_allclose(pins.data_to_world(pins.data[row]), layer.data_to_world(at))
        expected, said = adaptive_filter(image, at), pins.features.iloc[row]
        power = np.square(expected.weights).sum()
        assert said["sum of weights"] == pytest.approx(1)
        assert said["output"] == pytest.approx(said["Σ w·y"])
        assert said["output"] == pytest.approx(expected.output)
        assert said["pixels averaged"] == pytest.approx(1 / power)
        assert said["residual noise"] == pytest.approx(40 * np.sqrt(power), rel=0.25)
        region = {"region": (slice(at[1], at[1] + 1), slice(at[2], at[2] + 1)), "position": at, "axes": "ZYX"}
        of_map = adaptive_maps(image, ["width", "orientation"], **region)
        assert said["width (px)"] == pytest.approx(of_map["width"][at], rel=0.01)
        assert (said["orientation (°)"] - of_map["orientation"][at] + 90) % 180 - 90 == pytest.approx(0, abs=2)
    assert dock.layer.choices == (layer,)
    assert viewer.layers.selection.active != pins


def test_the_overlay_goes_with_its_layer_and_with_its_dock(viewer, dock, show, noisy, close_dock):
    layer = viewer.add_image(noisy((64, 64)))
    show(30, 31)
    assert _filters(viewer)
    viewer.layers.remove(layer)
    assert not _filters(viewer)
    viewer.add_image(noisy((64, 64)))
    show(30, 31)
    close_dock(dock)
    assert not _filters(viewer)


def test_the_overlay_is_seen_in_its_plane_alone(make_napari_viewer_proxy, noisy, until, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(noisy((3, 64, 64)), axis_labels=("z", "y", "x"), scale=(2, 1, 1))
    dock = _docked(viewer)
    viewer.dims.set_point(0, 2)
    dock.show_at((2, 30, 31))
    until(lambda: dock.current is not None)
    (overlay,) = _filters(viewer)

    def pixels_of_overlay():
        pictures = []
        for visible in (True, False):
            overlay.visible = visible
            qtbot.wait(100)
            pictures.append(viewer.screenshot(flash=False).astype(int))
        # where a layer has no slice, napari draws one pixel of it, which is nearly transparent
        return int((abs(pictures[0] - pictures[1]).max(-1) > 4).sum())

    assert pixels_of_overlay() > 1000
    for z, seen in ((4, False), (0, False), (2, True)):
        viewer.dims.set_point(0, z)
        assert (pixels_of_overlay() > 0) == seen


def test_weights_lie_where_their_pixels_are(viewer, dock, show, noisy):
    image = noisy((90, 100))
    layer = viewer.add_image(
        image, scale=(0.2, 0.1), translate=(5, -3), rotate=25, shear=[0.3], affine=[[1, 0.1, 2], [0, 1.5, 3], [0, 0, 1]], units=("um", "um")
    )
    show(*layer.data_to_world((10, 50)))
    (shown,) = _filters(viewer)
    expected = adaptive_filter(image, (10, 50), support=41)
    assert np.array_equal(shown.data, expected.weights)
    for corner in ((0, 0), (0, 40), (30, 0), (30, 40)):
        np.testing.assert_allclose(shown.data_to_world(corner), layer.data_to_world(np.add(corner, expected.origin)))
    assert shown.units == layer.units
    assert shown.contrast_limits == pytest.approx([-np.abs(shown.data).max(), np.abs(shown.data).max()])


def test_in_a_series_the_filter_lies_in_its_plane(viewer, dock, show, noisy):
    image = noisy((3, 2, 60, 64))
    layer = viewer.add_image(image, scale=(2, 3, 0.5, 0.5), axis_labels=("t", "z", "y", "x"))
    show(4, 3, 15, 16)
    (shown,) = _filters(viewer)
    expected = adaptive_filter(image, (2, 1, 30, 32), support=41)
    assert shown.data.shape == (1, 1, 41, 41)
    assert np.array_equal(shown.data[0, 0], expected.weights)
    np.testing.assert_allclose(shown.data_to_world((0, 0, 20, 20)), layer.data_to_world((2, 1, 30, 32)))
    assert dock.readout.value("Pixel") == "t 2, z 1, y 30, x 32"


def test_rows_and_columns_need_not_be_the_last_axes(viewer, dock, show, noisy):
    image = np.ascontiguousarray(noisy((2, 60, 64)).transpose(2, 1, 0))
    layer = viewer.add_image(image, axis_labels=("x", "y", "z"))
    show(33, 20, 1)
    (shown,) = _filters(viewer)
    expected = adaptive_filter(image, (33, 20, 1), axes="XYZ", support=41)
    assert np.array_equal(shown.data[..., 0], expected.weights.T)
    np.testing.assert_allclose(shown.data_to_world((20, 20, 0)), layer.data_to_world((33, 20, 1)))


def test_of_colours_the_green_one(viewer, dock, show, noisy):
    image = (np.moveaxis(noisy((3, 48, 40)), 0, -1) // 4).astype(np.uint8)
    layer = _result_of(viewer, viewer.add_image(image))
    show(20, 21)
    assert dock.readout.value("Pixel") == "y 20, x 21 (green)"
    assert dock.readout.value("Output value") == f"{layer.data[20, 21, 1]}"
    assert _filters(viewer)[0].data.shape == (41, 39)


def test_a_noisy_image_can_be_clicked_too(viewer, dock, show, noisy):
    image = noisy((64, 64))
    viewer.add_image(image)
    show(30, 31)
    assert dock.readout.value("Output value") == dock.readout.value("Σ w·y") == filtering.number(adaptive_filter(image, (30, 31)).output)


def test_the_dock_forgets_a_filter_whose_layer_is_gone(viewer, dock, show, noisy):
    layer = viewer.add_image(noisy((64, 64)))
    show(30, 31)
    viewer.layers.remove(layer)
    assert dock.current is None
    assert dock.readout.value("Sum of weights") == "–"
    assert dock.readout.is_hidden("of these")
    assert dock.message.value == INSTRUCTION


def test_a_result_knows_its_source_also_when_that_was_renamed_or_removed(viewer, dock, show, noisy):
    image = noisy((64, 64))
    source = viewer.add_image(image, name="cells")
    result = _result_of(viewer, source)
    source.name, result.name = "a", "b"
    show(30, 31)
    viewer.layers.remove(source)
    show(30, 32)
    assert dock.readout.value("Σ w·y") == filtering.number(adaptive_filter(image, (30, 32)).weighted_sum)


def test_a_result_read_from_a_file_finds_its_source_by_name(viewer, dock, show, noisy):
    image = noisy((64, 64))
    viewer.add_image(denoise(image), metadata={KEY: {"source_layer": "cells", "settings": {"model": "fast"}}})
    dock.show_at((30, 31))
    assert "'cells'" in dock.message.value
    assert dock.message.is_error
    viewer.add_image(image, name="cells")
    viewer.layers.selection.active = viewer.layers[0]
    show(30, 31)
    assert dock.readout.value("Sum of weights") == "1.000"


def test_a_second_click_changes_the_one_layer(viewer, dock, show, noisy):
    layer = viewer.add_image(noisy((64, 64)), scale=(2, 2))
    show(60, 62)
    (first,) = _filters(viewer)
    show(20, 100)
    assert _filters(viewer) == [first]
    np.testing.assert_allclose(first.data_to_world((0, 0)), layer.data_to_world((0, 30)))
    assert first.data.shape == (31, 34)


def test_the_size_can_be_changed_without_computing_again(viewer, dock, show, noisy):
    viewer.add_image(noisy((64, 64)))
    show(30, 31)
    dock.side.value = 11
    (shown,) = _filters(viewer)
    assert shown.data.shape == (11, 11)
    np.testing.assert_allclose(shown.data_to_world((5, 5)), (30, 31))


def test_another_kind_of_image_gets_a_new_layer(viewer, dock, show, noisy):
    viewer.add_image(noisy((64, 64)))
    show(30, 31)
    viewer.add_image(noisy((3, 64, 64)))
    show(1, 30, 31)
    (shown,) = _filters(viewer)
    assert shown.ndim == 3
    assert dock.readout.value("Pixel") == "1, y 30, x 31"


def test_a_filter_or_another_helper_is_never_offered_for_denoising(viewer, dock, show, noisy):
    layer = viewer.add_image(noisy((64, 64)))
    show(30, 31)
    viewer.add_image(noisy((64, 64)), metadata={HELPER_KEY: True})
    denoise_dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(denoise_dock, name="another")
    assert dock.layer.choices == denoise_dock.layer.choices == (layer,)


def test_the_latest_click_wins(viewer, dock, noisy, until, monkeypatch):
    computed = []

    def note(making, pixel, beside, compute=FilterMaking.compute):
        computed.append(pixel.position)
        yield from compute(making, pixel, beside)

    monkeypatch.setattr(FilterMaking, "compute", note)
    viewer.add_image(noisy((64, 64)))
    for column in (10, 20, 30):
        dock.show_at((5, column))
    until(lambda: dock.readout.value("Pixel") == "y 5, x 30")
    assert computed == [(5, 10), (5, 30)]


def test_near_the_border_the_share_of_the_mean_is_told(viewer, dock, noisy):
    found = Filter(np.full((2, 2), 0.2), (0, 0), mean_weight=0.2, total=1.0, output=5.0, weighted_sum=5.0, value=5.0)
    viewer.add_image(noisy((64, 64)))
    pixel = filtering.pixel_at(viewer, viewer.layers[0], (0, 0))
    assert filtering.describe(pixel, found, {})["of these"] == "80.0 % pixels, 20.0 % image mean"
    dock.readout.show_values(filtering.describe(pixel, found, {}))
    assert not dock.readout.is_hidden("of these")


def test_outside_of_the_image_it_says_so_and_what_is_computed_goes_on(viewer, dock, noisy, until):
    viewer.add_image(noisy((64, 64)))
    dock.show_at((5, 3))
    dock.show_at((-5, 3))
    assert "outside" in dock.message.value
    until(lambda: dock.readout.value("Pixel") == "y 5, x 3")


def test_an_error_is_shown_and_the_next_click_works(viewer, dock, show, noisy, until, monkeypatch):
    def fail(*_, **__):
        raise ModelError("no such model")

    viewer.add_image(noisy((64, 64)))
    with monkeypatch.context() as patch:
        patch.setattr(filters, "prepare_filters", fail)
        dock.show_at((30, 31))
        until(lambda: dock.message.value == "no such model")
    assert dock.message.is_error
    show(30, 31)
    assert not dock.message.is_error


def test_beside_pixels_that_are_no_numbers(viewer, dock, show, noisy):
    image = noisy((64, 64)).astype(np.float32)
    image[30, 30] = np.nan
    _result_of(viewer, viewer.add_image(image, contrast_limits=(0, 1)))
    show(30, 31)
    assert dock.readout.value("Sum of weights") == "1.000"
    assert float(dock.readout.value("Output value")) == pytest.approx(float(dock.readout.value("Σ w·y")), rel=1e-4)


def _press(viewer, world, button=1, drag=0, modifiers=()):
    """Send a press, a move and a release to the viewer's own callbacks, as its canvas does."""
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=modifiers, pos=np.array([50, 50]), position=world, handled=False)
    for callback in viewer.mouse_drag_callbacks:
        generator = callback(viewer, event)
        if next(generator, "ended") == "ended":
            continue
        event.type, event.pos = "mouse_move", np.array([50, 50 + drag])
        next(generator, None)
        event.type = "mouse_release"
        next(generator, None)


@pytest.fixture
def shown_at(dock, monkeypatch):
    places = []
    monkeypatch.setattr(FilterWidget, "show_at", lambda _, world: places.append(world))
    return places


def test_only_clicks_count(viewer, shown_at, noisy):
    viewer.add_image(noisy((64, 64)))
    _press(viewer, (3, 4), drag=30)
    _press(viewer, (3, 4), button=2)
    _press(viewer, (3, 4), modifiers=("Shift",))
    assert shown_at == []
    _press(viewer, (3, 4), drag=2)
    assert shown_at == [(3, 4)]


def test_clicks_that_mean_something_else_do_not_count(viewer, dock, shown_at, noisy):
    layer = viewer.add_image(noisy((64, 64)))
    viewer.add_labels(np.zeros((64, 64), int)).mode = "paint"
    _press(viewer, (3, 4))
    viewer.layers.selection.active = layer
    layer.mode = "transform"
    _press(viewer, (3, 4))
    layer.mode = "pan_zoom"
    dock.native.parent().hide()
    _press(viewer, (3, 4))
    assert shown_at == []
    dock.native.parent().show()
    _press(viewer, (3, 4))
    assert shown_at == [(3, 4)]


def test_in_3d_it_asks_for_2d(viewer, dock, shown_at, noisy):
    viewer.add_image(noisy((3, 64, 64)))
    viewer.dims.ndisplay = 3
    _press(viewer, (1, 3, 4))
    assert shown_at == []
    assert "2D" in dock.message.value


def test_a_closed_dock_lets_go_of_the_viewer(viewer, dock, noisy, close_dock, no_thread_left, qtbot):
    viewer.add_image(noisy((64, 64)))
    callbacks = len(viewer.mouse_drag_callbacks)
    dock.show_at((30, 31))
    close_dock(dock)
    assert len(viewer.mouse_drag_callbacks) == callbacks - 2
    no_thread_left()
    qtbot.wait(50)  # late slots would raise here
    viewer.add_image(noisy((64, 64)))
    assert not _filters(viewer)


@pytest.mark.parametrize(("value", "text"), [(210.66912, "210.67"), (-3.2e-6, "-3.2e-06"), (1_000_012.347, "1000012.35"), (0.0, "0")])
def test_pixel_values_keep_their_digits_also_far_from_zero(value, text):
    assert filtering.number(value) == text


def test_the_view_tells_the_weight_under_the_mouse(dock):
    weights = np.zeros((5, 5))
    weights[1, 3] = 0.25
    dock.view.resize(dock.view.sizeHint())
    assert "orange" in dock.view.text_at(QPoint(10, 10))
    dock.view.show_weights(weights, (2, 2))
    assert dock.view.text_at(QPoint(int(240 * 0.7), int(240 * 0.3))) == "weight +0.2500\n-1 in y, +1 in x"


def test_a_result_behind_a_noise_transform_has_the_filter_of_the_stabilised_image(viewer, dock, show):
    image = np.random.default_rng(0).poisson(20 + 10 * np.indices((96, 96))[0] // 8 * 8).astype(np.uint16)
    source = read_layer(viewer.add_image(image, name="cells"), wishes={"noise": "poisson-gaussian"})
    look = source.result_look()
    run = prepare_denoising(image, **source.settings)
    look["metadata"] |= {SOURCE_KEY: source, KEY: run.provenance}
    dock.layer.value = viewer.add_image(denoise(image, noise="poisson-gaussian"), **look)
    show(48, 40)
    found = dock.current.filter
    assert found.domain == "stabilised"
    assert found.weights == pytest.approx(adaptive_filter(image, (48, 40), noise="poisson-gaussian").weights)
    assert dock.message.value == STABILISED
    assert dock.readout.value("Σ w·y") == dock.readout.value("Network gave") == f"{filtering.number(found.value)} (stabilised)"
    assert float(dock.readout.value("Output value")) == pytest.approx(found.output, rel=1e-2)


def test_a_model_that_was_told_the_noise_says_what_that_adds(viewer, dock, show, noisy, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "told.safetensors"
    write_model(FDnCNN(blind=False, channels=8, depth=4).eval(), ModelCard("told"), path)
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    settings = {"model": str(path), "sigma": 40.0}
    record = {"source_layer": "cells", "settings": settings}
    dock.layer.value = viewer.add_image(denoise(image, **settings), metadata={KEY: record})
    show(30, 31)
    expected = adaptive_filter(image, (30, 31), **settings)
    assert expected.from_sigma
    assert dock.current.filter.from_sigma == pytest.approx(expected.from_sigma)
    assert dock.readout.value("Besides").startswith(f"{expected.from_sigma:+.4g} from σ")
    assert dock.readout.value("Sum of weights") == "1.000"


def test_a_width_that_no_gaussian_has_is_called_none_and_explained(viewer, dock, show, noisy):
    viewer.add_image(noisy((64, 64)))
    show(30, 31)
    found = dock.current
    assert float(dock.readout.value("Residual noise")) == pytest.approx(found.numbers["residual noise"], rel=1e-3)
    assert dock.readout.value("Width").split()[0] == f"{found.numbers['width (px)']:.3g}"
    without = replace(found, numbers={**found.numbers, "width (px)": np.nan, "orientation (°)": np.nan})
    assert filtering.describe(without.pixel, without.filter, without.numbers)["Width"] == "none"
    assert "none: no Gaussian filter" in ROWS["Width"]
    dock.pair.show_pair((found, without), ("pin 1", "pin 2"), (found.filter.weights, found.filter.weights))
    assert dock.pair.values("Width (px)") == (f"{found.numbers['width (px)']:.3g}", "none")
    (label,) = (label for label in dock.pair.findChildren(QLabel) if label.text() == "none")
    assert "no Gaussian filter" in label.toolTip()


def test_a_record_that_makes_no_sense_is_no_obstacle(viewer, dock, show, noisy):
    result = _result_of(viewer, viewer.add_image(noisy((64, 64)), name="cells"))
    result.metadata = {**result.metadata, KEY: {"decided": {"noise": "anything"}, "settings": {"strength": "much"}}}
    dock.layer.value = result
    show(10, 10)
    assert not dock.message.is_error


# --- comparing


def test_another_model_beside_shows_where_laws_fail(viewer, dock, show, noisy, until):
    image = noisy((64, 64))
    viewer.add_image(image)
    show(30, 31)
    assert not dock.pair.isVisibleTo(dock.native)
    dock.beside.value = "ordinary-twin"
    until(lambda: dock.pair.isVisibleTo(dock.native))
    assert not dock.view.isVisibleTo(dock.native)
    twin = adaptive_filter(image, (30, 31), model="ordinary-twin")
    assert dock.pair.values("Sum of weights") == ("1.000", f"{twin.total:.3f}")
    assert dock.pair.values("Besides") == ("", f"{twin.constant:+.4g}")
    ours, theirs = dock.pair.values("Unit, offset")
    assert ours == "0 %"
    assert float(theirs.split()[0]) > 1
    assert [title.text() for title in dock.pair.titles] == ["fast", "ordinary-twin"]
    assert "apart" in dock.pair.apart.text()
    dock.beside.value = ""
    until(lambda: dock.view.isVisibleTo(dock.native))


def test_two_selected_pins_are_compared(make_napari_viewer_proxy, noisy, until, click, drawn, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    viewer.add_image(image)
    dock = _docked(viewer)
    dock.keep.value = True
    drawn(viewer)
    for right, down in ((40, 10), (-60, -30)):
        count = sum(len(layer.data) for layer in _pins(viewer))
        click(viewer, right, down)
        until(lambda count=count: sum(len(layer.data) for layer in _pins(viewer)) == count + 1)
    (pins,) = _pins(viewer)
    assert pins.canvas_size_limits[0] >= 10  # to be found again, whatever the zoom
    viewer.layers.selection.active = pins
    pins.mode = "select"
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 10))
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, middle + QPoint(-60, -30))
    until(lambda: dock.pair.isVisibleTo(dock.native))
    assert [title.text() for title in dock.pair.titles] == ["pin 1", "pin 2"]
    expected = [adaptive_filter(image, tuple(int(at) for at in place)).output for place in np.rint(pins.data)]
    assert [float(value) for value in dock.pair.values("Output value")] == pytest.approx(expected, rel=1e-3)


# --- pins and grids over the image


def test_filters_of_pins_lie_over_the_image_in_their_planes(viewer, dock, show, noisy, until):
    image = noisy((3, 64, 64))
    layer = viewer.add_image(image, axis_labels=("z", "y", "x"), scale=(2, 0.5, 0.5), translate=(0, 3, 4))
    dock.keep.value = True
    places = ((1, 30, 31), (0, 12, 50), (1, 33, 34))
    for number, at in enumerate(places, start=1):
        show(*layer.data_to_world(at))
        until(lambda number=number: bool(_pins(viewer)) and len(_pins(viewer)[0].data) == number)
    dock.pins.draw.value = "together"
    (drawn,) = [other for other in viewer.layers if other.name == "filters of pins"]
    weights = np.asarray(drawn.data)
    assert weights.shape[0] == 3
    assert not weights[2].any()
    for at in ((1, 30, 31), (0, 12, 50)):
        found = adaptive_filter(image, at, support=3)
        here = np.rint(drawn.world_to_data(layer.data_to_world(at))).astype(int)
        peak = np.abs(adaptive_filter(image, at, support=41).weights).max()
        assert weights[tuple(here)] == pytest.approx(found.weights[1, 1] / peak, abs=1e-6)
    dock.smooth.value = True
    (drawn,) = [other for other in viewer.layers if other.name == "filters of pins"]
    found = adaptive_filter(image, (0, 12, 50), support=41)
    blurred = gaussian_filter(found.weights, 1.0) / np.abs(gaussian_filter(found.weights, 1.0)).max()
    here = np.rint(drawn.world_to_data(layer.data_to_world((0, 12, 50)))).astype(int)
    assert np.asarray(drawn.data)[tuple(here)] == pytest.approx(blurred[12 - found.origin[0], 50 - found.origin[1]], abs=1e-6)
    dock.smooth.value = False
    dock.pins.draw.value = "each"
    assert [other.name for other in viewer.layers if other.name.startswith("filter of pin")] == [f"filter of pin {k}" for k in (1, 2, 3)]
    _pins(viewer)[0].selected_data = {0}
    _pins(viewer)[0].remove_selected()
    until(lambda: len([other for other in viewer.layers if other.name.startswith("filter of pin")]) == 2)
    dock.pins.draw.value = "none"
    assert not [other for other in viewer.layers if "of pin" in other.name]


def test_pins_outlive_results_and_tell_of_the_new_one_when_asked(viewer, dock, show, noisy, until):
    image = noisy((64, 64))
    layer = viewer.add_image(image)
    first = _result_of(viewer, layer)
    dock.keep.value = True
    show(30, 31)
    until(lambda: bool(_pins(viewer)))
    (pins,) = _pins(viewer)
    before = pins.features["pixels averaged"][0]
    viewer.layers.remove(first)
    source = read_layer(layer, "quality")
    look = source.result_look()
    look["metadata"][SOURCE_KEY] = source
    dock.layer.value = viewer.add_image(denoise(image, model="quality"), **look)
    assert _pins(viewer) == [pins]
    dock.pins.renew.native.click()
    until(lambda: pins.features["pixels averaged"][0] != before)
    expected = adaptive_filter(image, (30, 31), model="quality")
    assert pins.features["pixels averaged"][0] == pytest.approx(expected.pixels_averaged)
    assert "quality" in dock.message.value


def test_pins_that_were_there_before_the_dock_are_compared_too(viewer, dock, show, noisy, until, close_dock):
    viewer.add_image(noisy((64, 64)))
    dock.keep.value = True
    for number, column in enumerate((20, 40), start=1):
        show(30, column)
        until(lambda number=number: bool(_pins(viewer)) and len(_pins(viewer)[0].data) == number)
    (pins,) = _pins(viewer)
    close_dock(dock)
    again = _docked(viewer)
    viewer.layers.selection.active = pins
    pins.selected_data = {0, 1}
    until(lambda: again.pair.isVisibleTo(again.native))
    assert [title.text() for title in again.pair.titles] == ["pin 1", "pin 2"]


def test_who_waits_for_filters_of_pins_does_not_take_them_from_others(viewer, dock, show, noisy, until, tmp_path, close_dock, monkeypatch):
    viewer.add_image(noisy((64, 64)))
    dock.keep.value = True
    for number, column in enumerate((20, 40, 41), start=1):
        show(30, column)
        until(lambda number=number: bool(_pins(viewer)) and len(_pins(viewer)[0].data) == number)
    close_dock(dock)
    again, held, several = _docked(viewer), threading.Event(), FilterMaking.several

    def late(*arguments):
        assert held.wait(60)
        yield from several(*arguments)

    monkeypatch.setattr(FilterMaking, "several", late)
    again.pins.draw.value = "together"
    again.pins.write(tmp_path / "pins.npy")
    viewer.layers.selection.active = _pins(viewer)[0]
    _pins(viewer)[0].selected_data = {0, 1}
    held.set()
    until(lambda: again.pair.isVisibleTo(again.native))
    until(lambda: "filters of pins" in viewer.layers)
    until(lambda: again.message.value == "Saved pins.npy.")
    assert len(np.load(tmp_path / "pins.npy")) == 3


def test_features_have_units(viewer, dock, show, noisy, until):
    viewer.add_image(noisy((64, 64)), scale=(0.2, 0.2), units=("um", "um"))
    dock.keep.value = True
    show(6, 7)
    until(lambda: bool(_pins(viewer)))
    (pins,) = _pins(viewer)
    wanted = ["sum of weights", "output", "Σ w·y", "pixels averaged", "width (px)", "orientation (°)", "residual noise", "width (µm)"]
    assert list(pins.features.columns) == wanted
    assert pins.features["width (µm)"][0] == pytest.approx(0.2 * pins.features["width (px)"][0])


def test_pins_can_be_saved(viewer, dock, show, noisy, until, tmp_path, monkeypatch):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    dock.pins.write(tmp_path / "none.tif")
    assert "no pins" in dock.message.value
    dock.keep.value = True
    show(30, 31)
    until(lambda: bool(_pins(viewer)))
    for name in ("pins.tif", "pins.npy", "pins.png"):
        dock.pins.write(tmp_path / name)
        until(lambda name=name: dock.message.value == f"Saved {name}.")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "pins"), "Weights (*.npy)"))
    dock.pins.save.native.click()
    assert "pins.npy: exists already" in dock.message.value
    record = read_provenance(tmp_path / "pins.tif")["filters"][0]
    assert record["position"] == [30, 31]
    assert record["output"] == pytest.approx(adaptive_filter(image, (30, 31)).output)


def test_a_grid_of_filters_over_what_is_visible(make_napari_viewer_proxy, noisy, until, tmp_path, drawn):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((2, 96, 120))
    viewer.add_image(image, scale=(3, 0.5, 0.5))
    dock = _docked(viewer)
    viewer.dims.set_point(0, 3)
    drawn(viewer)
    dock.grid.count.value = 4
    dock.side.value = 21
    dock.grid.button.native.click()
    assert dock.grid.button.text == "Cancel"
    until(lambda: dock.grid.button.text == "Draw")
    (drawn,) = [layer for layer in viewer.layers if layer.name == "filters on a grid"]
    weights = np.asarray(drawn.data)
    assert weights.shape[0] == 2
    assert not weights[0].any()
    assert np.abs(weights[1]).max() == pytest.approx(1)
    positions = [each.pixel.position for each in dock.grid.found]
    rows, columns = ({position[axis] for position in positions} for axis in (1, 2))
    assert len(positions) == len(rows) * len(columns)
    assert max(len(rows), len(columns)) == 4
    assert {position[0] for position in positions} == {1}
    dock.smooth.value = True
    (smooth,) = [layer for layer in viewer.layers if layer.name == "filters on a grid"]
    smooth_weights = np.asarray(smooth.data)[1]
    assert np.abs(np.diff(smooth_weights, axis=1)).max() < 0.8 * np.abs(np.diff(weights[1], axis=1)).max()
    viewer.layers.remove(smooth)
    dock.smooth.value = False
    assert not [layer for layer in viewer.layers if layer.name == "filters on a grid"]  # who took it away does not want it back
    dock.grid.write(tmp_path / "grid.png")
    until(lambda: dock.message.value == "Saved grid.png.")
    dock.grid.button.native.click()
    until(lambda: dock.grid.button.text == "Draw")
    assert [layer.name for layer in viewer.layers].count("filters on a grid") == 1


def test_a_grid_can_be_cancelled(viewer, dock, noisy, no_thread_left):
    viewer.add_image(noisy((64, 64)))
    dock.grid.count.value = 40
    dock.grid.button.native.click()
    dock.grid.button.native.click()
    assert dock.message.value == "Cancelled."
    no_thread_left()
    assert not [layer for layer in viewer.layers if layer.name == "filters on a grid"]


def test_only_a_whole_grid_can_be_saved(viewer, dock, noisy, until, tmp_path):
    viewer.add_image(noisy((64, 64)))
    dock.grid.count.value = 2
    for _ in range(2):
        dock.grid.button.native.click()
        assert not dock.grid.save.enabled
        until(lambda: dock.grid.button.text == "Draw")
        assert dock.grid.save.enabled
    dock.grid.button.native.click()
    dock.grid.button.native.click()
    assert dock.message.value == "Cancelled."
    assert not dock.grid.save.enabled


def test_a_drag_takes_the_filter_that_stays_along(make_napari_viewer_proxy, noisy, until, click, drawn, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    viewer.add_image(image)
    dock = _docked(viewer)
    drawn(viewer)
    click(viewer, 0, 0)
    until(lambda: dock.message.value == PINNED)
    dock._rest.setInterval(10**6)  # however late the threads are
    centre = viewer.scene.camera.center
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    for step in range(1, 7):
        mouse.move(canvas, middle + QPoint(8 * step, 4 * step), mouse.LEFT)
    until(lambda: dock.current.pixel.is_live)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(48, 24))
    dock._rest.start(0)
    until(lambda: not dock.current.pixel.is_live)
    assert dock.current.pixel.position == tuple(int(at) for at in np.rint(viewer.cursor.position))
    assert dock.current.pixel.position != (48, 60)
    assert viewer.scene.camera.center == centre
    assert not dock.follow.value


def test_the_dock_fits_into_300_pixels(viewer, dock):
    content = dock.column.parentWidget()
    assert content.minimumSizeHint().width() <= 285  # beside a scroll bar
    dock.pair.show()
    for fold in dock.native.findChildren(Fold):
        fold.head.setChecked(True)
    assert content.minimumSizeHint().width() <= 285
