from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_ne_denoise import adaptive_filter, adaptive_maps, denoise
from napari_ne_denoise.core.errors import ModelError
from napari_ne_denoise.core.jacobian import filters
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.inside import filtering
from napari_ne_denoise.gui.inside.filter_layer import is_filter
from napari_ne_denoise.gui.inside.filter_widget import INSTRUCTION, LIVE, PINNED, ROWS, FilterWidget
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, SOURCE_KEY, read_layer


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
        qtbot.mouseMove(canvas.native, middle)
        qtbot.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=middle)
        return viewer.cursor.position

    return press


def test_a_real_click_shows_the_filter_its_sum_and_the_output(make_napari_viewer_proxy, noisy, until, click, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    noisy_layer = viewer.add_image(image, name="cells", scale=(0.5, 0.5), units=("um", "um"))
    result = _result_of(viewer, noisy_layer)
    dock = _docked(viewer)
    qtbot.wait(200)  # the view settles
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
def hover(qtbot):
    """Move the mouse over the canvas for real, and return the place in the world."""

    def move(viewer, right, down):
        canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
        qtbot.mouseMove(canvas, QPoint(canvas.width() // 2 + right, canvas.height() // 2 + down))
        qtbot.wait(50)  # the window system brings the move
        return viewer.cursor.position

    return move


def test_the_filter_follows_the_mouse_and_is_exact_where_that_rests(make_napari_viewer_proxy, noisy, until, hover, click, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((96, 120))
    viewer.add_image(image)
    dock = _docked(viewer)
    qtbot.wait(200)  # the view settles
    hover(viewer, 0, 0)
    world = hover(viewer, 30, 20)
    until(lambda: dock.message.value == LIVE)
    until(lambda: dock.current is not None and not dock.current[0].is_live)
    position = tuple(int(at) for at in np.rint(world))
    assert dock.current[0].position == position
    assert np.array_equal(dock.current[1].weights, adaptive_filter(image, position).weights)
    pinned = click(viewer, -40, 10)
    until(lambda: dock.message.value == PINNED)
    assert not dock.follow.value
    hover(viewer, 50, 50)
    qtbot.wait(50)
    assert dock.current[0].position == tuple(int(at) for at in np.rint(pinned))
    dock.follow.value = True
    world = hover(viewer, 51, 52)
    until(lambda: dock.current[0].position == tuple(int(at) for at in np.rint(world)))


def test_while_the_mouse_moves_every_filter_that_is_ready_is_shown(viewer, dock, noisy, until, monkeypatch):
    shown = []
    monkeypatch.setattr(dock.readout, "show_values", lambda values: shown.append(values["Pixel"]))
    viewer.add_image(noisy((64, 64)))
    dock.hover((5, 10))
    dock.hover((5, 20))
    dock.hover((500, 20))
    dock.hover((5, 30))
    until(lambda: len(shown) == 3)
    # the first was computed already, the second was overtaken, the third came again in full precision
    assert shown == ["y 5, x 10", "y 5, x 30", "y 5, x 30"]


def test_where_the_mouse_passes_float32_is_enough(viewer, dock, noisy, until):
    image = noisy((64, 64))
    viewer.add_image(image)
    dock.hover((30, 31))
    until(lambda: dock.current is not None)
    pixel, found = dock.current
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
        assert said["sum"] == pytest.approx(1)
        assert said["output"] == pytest.approx(said["Σw·y"])
        assert said["output"] == pytest.approx(expected.output)
        assert said["pixels averaged"] == pytest.approx(1 / power)
        assert said["residual noise"] == pytest.approx(40 * np.sqrt(power), rel=0.25)
        region = {"region": (slice(at[1], at[1] + 1), slice(at[2], at[2] + 1)), "position": at, "axes": "ZYX"}
        of_map = adaptive_maps(image, ["width", "orientation"], **region)
        assert said["width"] == pytest.approx(of_map["width"][at], rel=0.01)
        assert (said["orientation"] - of_map["orientation"][at] + 90) % 180 - 90 == pytest.approx(0, abs=2)
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

    def note(pixel, compute=filtering.compute_filter):
        computed.append(pixel.position)
        yield from compute(pixel)

    monkeypatch.setattr("napari_ne_denoise.gui.inside.filter_widget.compute_filter", note)
    viewer.add_image(noisy((64, 64)))
    for column in (10, 20, 30):
        dock.show_at((5, column))
    until(lambda: dock.readout.value("Pixel") == "y 5, x 30")
    assert computed == [(5, 10), (5, 30)]


def test_near_the_border_the_share_of_the_mean_is_told(viewer, dock, noisy):
    found = SimpleNamespace(weights=np.full((2, 2), 0.2), origin=(0, 0), mean_weight=0.2, total=1.0, output=5.0, weighted_sum=5.0)
    viewer.add_image(noisy((64, 64)))
    pixel = filtering.pixel_at(viewer, viewer.layers[0], (0, 0))
    assert filtering.describe(pixel, found)["of these"] == "80.0 % pixels, 20.0 % image mean"
    dock.readout.show_values(filtering.describe(pixel, found))
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
        patch.setattr(filters, "adaptive_filter", fail)
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
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=modifiers, pos=np.array([50, 50]), position=world)
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
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
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


def test_a_result_behind_a_noise_transform_has_no_filter_of_the_image(viewer, dock, noisy):
    layer = viewer.add_image(noisy((64, 64)), name="cells")
    result = _result_of(viewer, layer)
    result.metadata = {**result.metadata, KEY: {"decided": {"noise": [{"stabilised": True}]}}}
    dock.layer.value = result
    dock.show_at((10, 10))
    assert dock.message.is_error
    assert 'Denoise again with "Noise" at "none"' in dock.message.value
    result.metadata = {**result.metadata, KEY: {"decided": {"noise": "anything"}, "settings": {"strength": "much"}}}
    dock.show_at((10, 10))
    assert not dock.message.is_error
