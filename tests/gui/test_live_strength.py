import threading

import dask
import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ne_denoise import adaptive_filter, denoise
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise import live_strength
from napari_ne_denoise.gui.denoise.blend import Blend
from napari_ne_denoise.gui.inside.filter_widget import FilterWidget
from napari_ne_denoise.gui.layers.layer_data import BLEND_KEY


@pytest.fixture
def settle(dock, until):
    return lambda: until(lambda: dock.live.is_at_rest)


def _mixed(image, share):
    return image + share * (denoise(image).astype(float) - image)


def test_a_finished_result_follows_the_slider_and_comes_back_to_the_bit(viewer, dock, run, noisy, settle):
    image = noisy((64, 80))
    viewer.add_image(image, name="cells")
    run()
    result = viewer.layers["cells denoised"]
    shown, full = result.data, denoise(image)
    for percent in (70, 0, 35):
        dock.form.strength.slider.setValue(percent)
        np.testing.assert_allclose(shown, _mixed(image, percent / 100), rtol=1e-6)
        assert result.data is shown
        assert result.metadata[KEY]["settings"]["strength"] == percent / 100
    settle()
    dock.form.strength.slider.setValue(100)
    settle()
    assert np.array_equal(shown, full)
    assert viewer.layers["cells"].data is image


def test_the_keyboard_moves_it(viewer, dock, run, noisy):
    viewer.add_image(noisy((32, 32)), name="cells")
    run()
    QTest.keyClick(dock.form.strength.slider, Qt.Key.Key_PageDown)
    QTest.keyClick(dock.form.strength.slider, Qt.Key.Key_Left)
    assert dock.form.strength.share == 0.89
    assert dock.form.strength.number.text() == "89 %"
    assert viewer.layers["cells denoised"].metadata[KEY]["settings"]["strength"] == 0.89


def test_what_is_not_seen_follows_too(viewer, dock, run, noisy, settle):
    image = noisy((6, 48, 40))
    viewer.add_image(image, name="stack")
    run()
    shown = viewer.layers["stack denoised"].data
    viewer.dims.set_current_step(0, 2)
    dock.form.strength.slider.setValue(50)
    np.testing.assert_allclose(shown[2], _mixed(image, 0.5)[2], rtol=1e-6)
    assert np.array_equal(shown[4], denoise(image)[4])
    settle()
    np.testing.assert_allclose(shown, _mixed(image, 0.5), rtol=1e-6)


def test_the_latest_of_many_strengths_wins_everywhere(viewer, dock, run, noisy, settle, monkeypatch):
    monkeypatch.setattr(live_strength, "REST", 0)
    image = noisy((20, 48, 40))
    viewer.add_image(image, name="stack")
    run()
    dock.live._timer.setInterval(0)
    for percent in range(99, 30, -3):
        dock.form.strength.slider.setValue(percent)
        QTest.qWait(2)
    settle()
    np.testing.assert_allclose(viewer.layers["stack denoised"].data, _mixed(image, percent / 100), rtol=1e-6)


def test_a_strength_chosen_before_counts_from_the_first_tile(viewer, dock, run_a_tile, gate, until, noisy):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    dock.form.strength.slider.setValue(40)
    run_a_tile()
    shown = viewer.layers["cells denoised"].data
    begun = shown.copy()
    gate.open_wide()
    until(lambda: not dock.queue.is_busy)
    done = begun != image
    assert 0 < done.sum() <= 32 * 32
    np.testing.assert_allclose(begun[done], _mixed(image, 0.4)[done], rtol=1e-6)
    np.testing.assert_allclose(shown, _mixed(image, 0.4), rtol=1e-6)
    assert viewer.layers["cells denoised"].metadata[KEY]["settings"]["strength"] == 0.4
    dock.form.strength.slider.setValue(100)
    assert np.array_equal(shown, denoise(image))


def test_the_active_result_of_several_is_meant(viewer, dock, run, noisy):
    viewer.add_image(noisy((32, 32)), name="cells")
    run()
    run()
    first, second = viewer.layers["cells denoised"], viewer.layers["cells denoised [1]"]
    viewer.layers.selection.active = first
    dock.form.strength.slider.setValue(30)
    assert first.metadata[KEY]["settings"]["strength"] == 0.3
    assert second.metadata[KEY]["settings"]["strength"] == 1
    viewer.layers.selection.active = second
    assert dock.form.strength.share == 1
    viewer.layers.selection.active = first
    assert dock.form.strength.share == 0.3


def test_closing_the_dock_leaves_no_result_half_at_another_strength(viewer, dock, run, noisy, close_dock):
    image = noisy((6, 48, 40))
    viewer.add_image(image, name="stack")
    run()
    dock.form.strength.slider.setValue(50)
    close_dock(dock)
    np.testing.assert_allclose(viewer.layers["stack denoised"].data, _mixed(image, 0.5), rtol=1e-6)


def test_an_image_that_has_to_be_read_keeps_nobody_waiting(viewer, dock, run, noisy, close_dock, until):
    image, readers = noisy((6, 48, 40)), set()

    def read(block):
        readers.add(threading.current_thread().name)
        return block

    viewer.add_image(da.from_array(image, chunks=(1, 48, 40)).map_blocks(read, dtype=image.dtype), name="stack")
    run()
    readers.clear()
    with dask.config.set(scheduler="synchronous"):
        dock.form.strength.slider.setValue(50)
        close_dock(dock)
        until(lambda: np.allclose(viewer.layers["stack denoised"].data, _mixed(image, 0.5), rtol=1e-6))
    assert "finishing the strength" in readers
    assert threading.main_thread().name not in readers


class _Slow:
    """An image that is read plane by plane as slowly as it is told, or not at all."""

    def __init__(self, image):
        self.image, self.open, self.broken, self.readers = image, threading.Event(), False, []
        self.open.set()

    def __call__(self, block, block_info=None):
        self.readers.append((block_info[0]["chunk-location"][0], threading.current_thread() is threading.main_thread()))
        assert self.open.wait(60)
        if self.broken:
            raise ImageError("the disk is gone")
        return block

    @property
    def array(self):
        chunks = (1, *self.image.shape[1:])
        return da.from_array(self.image, chunks=chunks).map_blocks(self, dtype=self.image.dtype, meta=np.zeros((0, 0, 0), self.image.dtype))


@pytest.fixture
def slow(viewer, dock, run, noisy, monkeypatch):
    """A stack on a slow disk, and its result, at whose third plane one looks."""
    slow = _Slow(noisy((5, 48, 40)))
    layer = viewer.add_image(slow.array, name="stack", contrast_limits=(0, 800), visible=False)
    assert layer in viewer.layers
    with dask.config.set(scheduler="synchronous"):
        run()
        viewer.dims.set_current_step(0, 2)
        slow.readers.clear()
        yield slow


def test_a_slow_disk_keeps_nobody_waiting_and_the_latest_strength_wins(viewer, dock, slow, settle, until):
    shown = viewer.layers["stack denoised"].data
    slow.open.clear()
    for percent in (90, 80, 70, 40, 50):
        dock.form.strength.slider.setValue(percent)
    assert np.array_equal(shown[2], denoise(slow.image)[2])
    dock.live._timer.stop()  # what is seen is the matter here
    slow.open.set()
    until(lambda: np.allclose(shown[2], _mixed(slow.image, 0.5)[2], rtol=1e-6))
    assert slow.readers == [(2, False)]  # once, and in a thread
    dock.live._timer.start()
    settle()
    np.testing.assert_allclose(shown, _mixed(slow.image, 0.5), rtol=1e-6)
    assert not any(in_main_thread for _, in_main_thread in slow.readers)


def test_a_disk_that_fails_is_told_and_the_next_change_begins_anew(viewer, dock, slow, settle):
    slow.broken = True
    dock.form.strength.slider.setValue(50)
    settle()
    assert dock.message.value == "The strength could not be changed everywhere: the disk is gone"
    assert dock.message.is_error
    slow.broken = False
    dock.form.strength.slider.setValue(60)
    settle()
    np.testing.assert_allclose(viewer.layers["stack denoised"].data, _mixed(slow.image, 0.6), rtol=1e-6)


def test_a_disk_that_fails_after_the_dock_has_gone_is_told(viewer, dock, slow, close_dock, until, told):
    slow.broken = True
    dock.form.strength.slider.setValue(50)
    close_dock(dock)
    until(lambda: "The strength of stack denoised could not be changed everywhere: the disk is gone" in told)


def test_what_comes_late_of_a_result_that_was_left_is_drawn(viewer, dock, run, noisy, slow, until):
    viewer.add_image(noisy((48, 40)), name="other")
    run()
    result, drawn = viewer.layers["stack denoised"], []
    viewer.layers.selection.active = result
    slow.open.clear()
    dock.form.strength.slider.setValue(50)
    viewer.layers.selection.active = viewer.layers["other denoised"]
    dock.form.strength.slider.setValue(30)
    result.events.set_data.connect(lambda _: drawn.append(result.data[2].copy()))
    slow.open.set()
    until(lambda: bool(drawn) and np.allclose(drawn[-1], _mixed(slow.image, 0.5)[2], rtol=1e-6))


def test_the_filter_of_a_result_is_that_at_its_strength(viewer, dock, run, noisy, until):
    image = noisy((60, 64))
    viewer.add_image(image, name="cells")
    run()
    filters = FilterWidget(viewer)
    viewer.window.add_dock_widget(filters, name="filters")
    filters.layer.value = viewer.layers["cells denoised"]
    filters.show_at((20, 30))
    until(lambda: filters.current is not None)
    full = adaptive_filter(image, (20, 30))
    assert filters.current.filter.weights == pytest.approx(full.weights)
    dock.form.strength.slider.setValue(25)
    until(lambda: filters.current.filter.weights.max() > 0.75)
    pixel, found = filters.current.pixel, filters.current.filter
    expected = 0.25 * full.weights
    expected[20 - full.origin[0], 30 - full.origin[1]] += 0.75
    np.testing.assert_allclose(found.weights, expected)
    assert found.weighted_sum == pytest.approx(float(viewer.layers["cells denoised"].data[20, 30]), rel=1e-3)
    assert pixel.value == pytest.approx(found.weighted_sum, rel=1e-3)


def test_a_copy_of_a_result_is_left_alone(viewer, dock, run, noisy):
    viewer.add_image(noisy((32, 32)), name="cells")
    run()
    result = viewer.layers["cells denoised"]
    copy = viewer.add_image(result.data.copy(), name="copy", metadata=result.metadata)
    before = copy.data.copy()
    dock.layer.value = viewer.layers["cells"]
    dock.form.strength.slider.setValue(10)
    assert np.array_equal(copy.data, before)
    assert copy.metadata[BLEND_KEY].belongs_to(result)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int16])
def test_a_blend_in_any_type(dtype):
    rng = np.random.default_rng(0)
    noisy, full = (rng.integers(0, 200, (3, 20, 30)).astype(dtype) for _ in range(2))
    blend = Blend(noisy, noisy.copy(), 0.5)
    for plane in range(3):
        blend.put((plane, slice(None), slice(None)), full[plane])
    assert np.abs(blend.shown - (noisy.astype(float) + full) / 2).max() <= 0.5
    blend.set_strength(0)
    for part in blend.parts():
        blend.update(part)
    assert np.array_equal(blend.shown, noisy)


def test_what_is_no_number_stays():
    noisy = np.array([[1.0, np.nan, np.inf, -np.inf]], np.float32)
    blend = Blend(noisy, noisy.copy())
    blend.put((slice(None), slice(None)), np.array([[3.0, np.nan, np.inf, -np.inf]], np.float32))
    blend.set_strength(0.5)
    blend.update((slice(None), slice(None)))
    np.testing.assert_array_equal(blend.shown, [[2.0, np.nan, np.inf, -np.inf]])


@pytest.fixture
def with_hot_pixel(noisy):
    image = noisy((96, 96))
    image[40, 50] = 9000
    return image


def test_strength_counts_from_the_repaired_image(viewer, dock, run, with_hot_pixel, settle):
    viewer.add_image(with_hot_pixel, name="cells")
    dock.form.advanced.hot_pixels.native.setCurrentText("repair")
    run()
    result = viewer.layers["cells denoised"]
    settings = {"hot_pixels": "repair"}
    assert np.array_equal(result.data, denoise(with_hot_pixel, **settings))
    for percent in (40, 0):
        dock.form.strength.slider.setValue(percent)
        settle()
        np.testing.assert_allclose(result.data, denoise(with_hot_pixel, strength=percent / 100, **settings), rtol=1e-6)
    assert result.data[40, 50] < 1000


def test_the_filter_of_a_repaired_image_makes_its_pixel(viewer, dock, run, with_hot_pixel, until):
    viewer.add_image(with_hot_pixel, name="cells")
    dock.form.advanced.hot_pixels.native.setCurrentText("repair")
    run()
    filters = FilterWidget(viewer)
    viewer.window.add_dock_widget(filters, name="filters")
    filters.layer.value = viewer.layers["cells denoised"]
    filters.show_at((41, 50))
    until(lambda: filters.current is not None)
    pixel, found = filters.current.pixel, filters.current.filter
    assert found.weighted_sum == pytest.approx(pixel.value, rel=1e-3)
