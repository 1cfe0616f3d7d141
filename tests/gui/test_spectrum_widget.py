import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint

from napari_ne_denoise import denoise
from napari_ne_denoise.core.jacobian import spectrum as spectra
from napari_ne_denoise.core.jacobian.spectrum import patch_spectrum
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import NO_IMAGE
from napari_ne_denoise.gui.inside import spectrum_widget
from napari_ne_denoise.gui.inside.spectrum_view import describe_spectrum, headline
from napari_ne_denoise.gui.inside.spectrum_widget import ELSEWHERE, INSTRUCTION, REST, SpectrumWidget
from napari_ne_denoise.gui.layers.kinship import is_helper
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, read_layer
from tests.gui import mouse

SPECTRUM = ("Layers", "Visualize", "Spectrum (NE Denoise)")
SIDES = (4, 8)  # which take no time


@pytest.fixture(autouse=True)
def _small_patches(monkeypatch):
    monkeypatch.setattr(spectrum_widget, "SIDES", SIDES)
    monkeypatch.setattr(spectrum_widget, "SIDE", 4)


def docked(viewer):
    widget = SpectrumWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    return widget


@pytest.fixture
def dock(viewer):
    return docked(viewer)


@pytest.fixture
def compute(until):
    def press(dock):
        dock.button.native.click()
        until(lambda: dock.button.text == "Compute")
        return dock.current

    return press


def squares(viewer):
    return [layer for layer in viewer.layers if layer.name == "patch"]


@pytest.fixture
def gated(monkeypatch):
    """Columns come one by one, each with a permit."""
    permits, steps = threading.Semaphore(0), spectra.iter_patch_spectrum

    def wait(*arguments, **settings):
        for step in steps(*arguments, **settings):
            assert permits.acquire(timeout=60)
            yield step

    monkeypatch.setattr(spectra, "iter_patch_spectrum", wait)
    yield permits
    permits.release(10_000)


def test_the_dock_opens_from_both_menus(make_napari_viewer_proxy, menu_entry):
    viewer = make_napari_viewer_proxy()
    menu_entry(viewer, *SPECTRUM).trigger()
    assert viewer.window.dock_widgets[SPECTRUM[-1]].message.value == NO_IMAGE
    assert menu_entry(viewer, "Plugins", "NE Denoise", SPECTRUM[-1]).isEnabled()


def test_of_the_patch_under_the_square_everything_is_told(viewer, dock, noisy, compute):
    image = noisy((40, 48))
    layer = viewer.add_image(image, name="cells")
    (square,) = squares(viewer)
    assert is_helper(square)
    assert viewer.layers.selection.active == layer
    assert dock.view.isHidden()
    found = compute(dock)
    expected = patch_spectrum(image, dock.square.window)
    np.testing.assert_array_equal(found.values, expected.values)
    assert dock.headline.value == headline(expected)
    assert dock.headline.value.startswith("Keeps ")
    for name, value in describe_spectrum(expected).items():
        assert dock.readout.value(name) == value
    (curve,) = dock.view.getPlotItem().listDataItems()
    assert len(curve.xData) == 16
    assert [len(row.pictures) for row in dock.pictures.rows] == [3, 5, 5, 5]
    assert not dock.view.isHidden()
    assert np.array_equal(layer.data, image)


def test_a_real_drag_of_the_square_computes_what_is_under_it(make_napari_viewer_proxy, noisy, until, drawn):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((60, 60))
    viewer.add_image(image, scale=(0.5, 0.5), units=("um", "um"))
    dock = docked(viewer)
    drawn(viewer)
    before, camera = dock.square.window, viewer.scene.camera.center
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    # the square is in the middle of what is seen
    start = QPoint(canvas.width() // 2, canvas.height() // 2)
    step = round(viewer.scene.camera.zoom * 0.5 * 6)  # six pixels of the image
    mouse.drag(canvas, start, start + QPoint(step, 0))
    after = dock.square.window
    assert after[0] == before[0]
    assert after[1].start - before[1].start == pytest.approx(6, abs=1)
    assert viewer.scene.camera.center == camera  # the view stays
    until(lambda: dock.current is not None)
    np.testing.assert_array_equal(dock.current.values, patch_spectrum(image, after).values)
    np.testing.assert_allclose(squares(viewer)[0].data[0][0], [after[0].start - 0.5, after[1].start - 0.5])
    # its line is as thin as it was, whatever the zoom
    for _ in range(2):
        (width,) = squares(viewer)[0].edge_width
        assert width * 0.5 * viewer.scene.camera.zoom == pytest.approx(2)
        viewer.scene.camera.zoom *= 1.25
    # elsewhere a drag moves the view as ever
    far = QPoint(canvas.width() // 2 - 100, canvas.height() // 2 - 60)
    mouse.drag(canvas, far, far + QPoint(30, 0))
    assert dock.square.window == after
    assert viewer.scene.camera.center != camera


def test_the_square_stays_within_the_plane_and_as_large_as_that_at_most(viewer, dock, noisy):
    viewer.add_image(noisy((6, 40)))
    dock.side.value = 8
    assert dock.square.window[0] == slice(0, 6)
    dock.square._put(np.array([-50, 500]))
    assert dock.square.window == (slice(0, 6), slice(32, 40))


def test_the_latest_place_wins(viewer, dock, noisy, gated, until, no_thread_left):
    image = noisy((40, 40))
    viewer.add_image(image)
    dock.button.native.click()
    gated.release()
    until(lambda: "left" in dock.bar.native.format() or "apart" in dock.bar.native.format())
    dock.square._put(np.array([3, 5]))
    gated.release(100)
    until(lambda: dock.current is not None and dock.current.window == (slice(3, 7), slice(5, 9)))
    assert dock.button.text == "Compute"
    no_thread_left()


def test_a_square_that_is_not_followed_is_computed_when_wanted(viewer, dock, noisy, compute, qtbot):
    viewer.add_image(noisy((40, 40)))
    first = compute(dock)
    dock.follow.value = False
    dock.square._put(np.array([3, 5]))
    assert dock.message.value == ELSEWHERE
    qtbot.wait(2 * REST)
    assert dock.current is first
    assert compute(dock).window == (slice(3, 7), slice(5, 9))


def test_cancel_stops_and_what_was_shown_stays(viewer, dock, noisy, gated, until, no_thread_left):
    viewer.add_image(noisy((40, 40)))
    gated.release(100)
    dock.button.native.click()
    until(lambda: dock.current is not None)
    before = dock.current
    while gated.acquire(blocking=False):
        pass
    dock.button.native.click()
    assert dock.button.text == "Cancel"
    dock.button.native.click()
    assert dock.message.value == "Cancelled."
    gated.release(100)
    no_thread_left()
    assert dock.current is before


def test_of_a_result_it_is_the_noisy_image_at_its_strength(viewer, dock, noisy, compute):
    image = noisy((40, 40))
    source = read_layer(viewer.add_image(image, name="cells"))
    look = source.result_look()
    look["metadata"] |= {SOURCE_KEY: source, KEY: {"settings": {"strength": 0.4}}}
    viewer.add_image(denoise(image, strength=0.4), **look)
    assert dock.layer.value.name == "cells denoised"
    found = compute(dock)
    np.testing.assert_allclose(found.values, patch_spectrum(image, found.window, strength=0.4).values)


def test_the_shown_plane_of_a_stack_is_meant(viewer, dock, noisy, compute, until):
    stack = noisy((3, 40, 40))
    viewer.add_image(stack, scale=(2, 0.5, 0.5))
    viewer.dims.set_current_step(0, 1)
    first = compute(dock)
    np.testing.assert_array_equal(first.values, patch_spectrum(stack[1], first.window).values)
    viewer.dims.set_current_step(0, 2)
    assert squares(viewer)[0].data[0][0][0] == 2
    until(lambda: dock.current is not first)
    np.testing.assert_array_equal(dock.current.values, patch_spectrum(stack[2], first.window).values)


def test_of_colours_it_is_the_green_one(viewer, dock, noisy, compute):
    image = np.stack([noisy((40, 40), seed).astype(np.uint8) for seed in range(3)], axis=-1)
    viewer.add_image(image, rgb=True)
    found = compute(dock)
    np.testing.assert_array_equal(found.values, patch_spectrum(image[..., 1], found.window).values)


def test_another_layer_gets_another_square_and_forgets(viewer, dock, noisy, compute):
    viewer.add_image(noisy((40, 40)), name="one")
    compute(dock)
    viewer.add_image(noisy((30, 20)), name="two")
    assert dock.layer.value.name == "two"
    assert dock.current is None
    assert dock.message.value == INSTRUCTION
    assert len(squares(viewer)) == 1
    viewer.layers.clear()
    assert dock.message.value == NO_IMAGE
    assert not dock.button.enabled


def test_a_square_that_was_deleted_comes_back_when_it_is_needed(viewer, dock, noisy, compute):
    viewer.add_image(noisy((40, 40)))
    viewer.layers.remove(squares(viewer)[0])
    compute(dock)
    assert len(squares(viewer)) == 1


def test_an_error_is_told(viewer, dock, noisy, until):
    image = noisy((40, 40)).astype(float)
    viewer.add_image(image, metadata={KEY: {"source_layer": "cells"}})
    assert "'cells'" in dock.message.value
    dock.button.native.click()
    assert "'cells'" in dock.message.value
    assert dock.button.text == "Compute"


def test_a_result_whose_noise_was_treated_has_no_such_patch(viewer, dock, noisy):
    image = noisy((40, 40))
    source = read_layer(viewer.add_image(image, name="cells"))
    look = source.result_look()
    look["metadata"] |= {SOURCE_KEY: source, KEY: {"decided": {"noise": [{"stabilised": True}]}}}
    viewer.add_image(denoise(image), **look)
    assert "before the network saw it" in dock.message.value
    assert not squares(viewer)
    dock.button.native.click()
    assert dock.button.text == "Compute"


def test_a_closed_dock_takes_its_square_along(viewer, dock, noisy, gated, close_dock, no_thread_left, qtbot):
    viewer.add_image(noisy((40, 40)))
    dock.button.native.click()
    close_dock(dock)
    assert not squares(viewer)
    gated.release(100)
    no_thread_left()
    qtbot.wait(50)  # late slots would raise here
    viewer.scene.camera.zoom = 3
    viewer.add_image(noisy((40, 40)))
    assert not squares(viewer)
