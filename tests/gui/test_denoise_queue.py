import threading

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ne_denoise import denoise
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.docks import NO_IMAGE
from napari_ne_denoise.gui.denoise import denoising, scope
from napari_ne_denoise.gui.denoise.blend import Blend
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.denoise.quality_button import CHANGED
from napari_ne_denoise.gui.denoise.scope import PLANE
from napari_ne_denoise.gui.layers import layer_data


def _names(viewer):
    return [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("lazy", [False, True])
def test_what_was_finished_can_be_kept_after_cancel(viewer, dock, run_a_tile, gate, until, noisy, lazy):
    image = noisy((64, 64))
    viewer.add_image(da.from_array(image, chunks=32) if lazy else image, name="cells", scale=(0.5, 0.5))
    run_a_tile()
    done = viewer.layers["cells denoised"].data.copy()
    dock.button.native.click()
    assert _names(viewer) == ["cells"]
    assert dock.keep.text == "Keep the finished 25 %"
    assert not dock.keep.native.isHidden()
    gate.open_wide()
    dock.keep.native.click()
    until(lambda: len(viewer.layers) == 2)
    assert dock.keep.native.isHidden()
    kept = viewer.layers["cells denoised (25 % done)"]
    assert tuple(kept.scale) == (0.5, 0.5)
    changed = kept.data != image
    assert changed.reshape(2, 32, 2, 32).any(axis=(1, 3)).sum() == 1
    assert np.array_equal(kept.data[changed], done[changed])
    record = kept.metadata[KEY]
    assert record["finished_share"] == 0.25
    assert record["source_layer"] == "cells"
    assert "the rest is the noisy image" in dock.message.value


@pytest.mark.parametrize("strength", [100, 50])
def test_a_tile_that_is_late_when_what_was_finished_is_kept_is_noisy(
    viewer, dock, run_a_tile, gate, until, noisy, two_threads, no_thread_left, monkeypatch, strength
):
    image, put, late, held = noisy((64, 64)), Blend.put, threading.Event(), threading.Event()
    viewer.add_image(image, name="cells")
    dock.form.strength.slider.setValue(strength)
    run_a_tile()

    def put_late(*arguments):
        late.set()
        assert held.wait(60)
        put(*arguments)

    monkeypatch.setattr(Blend, "put", put_late)
    gate.let_pass()
    until(late.is_set)
    dock.button.native.click()
    dock.keep.native.click()
    until(lambda: len(viewer.layers) == 2)
    held.set()
    no_thread_left()
    changed = viewer.layers["cells denoised (25 % done)"].data != image
    assert changed.reshape(2, 32, 2, 32).any(axis=(1, 3)).sum() == 1


def test_a_kept_part_follows_the_strength_and_the_rest_stays_noisy(viewer, dock, run_a_tile, gate, until, noisy):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    run_a_tile()
    dock.button.native.click()
    gate.open_wide()
    dock.keep.native.click()
    until(lambda: len(viewer.layers) == 2)
    kept = viewer.layers["cells denoised (25 % done)"]
    full = kept.data.copy()
    dock.form.strength.slider.setValue(50)
    np.testing.assert_allclose(kept.data, (image + full) / 2, rtol=1e-6)
    dock.form.strength.slider.setValue(0)
    assert np.array_equal(kept.data, image)


def test_the_next_run_forgets_what_was_cancelled(viewer, dock, run_a_tile, gate, until, noisy):
    viewer.add_image(noisy((64, 64)), name="cells")
    run_a_tile()
    dock.button.native.click()
    gate.open_wide()
    dock.button.native.click()
    assert dock.keep.native.isHidden()
    until(lambda: not dock.queue.is_busy)
    assert _names(viewer) == ["cells", "cells denoised"]


def test_nothing_to_keep_before_the_first_tile(viewer, dock, gate, noisy):
    viewer.add_image(noisy((64, 64)), name="cells")
    dock.button.native.click()
    dock.button.native.click()
    gate.open_wide()
    assert dock.keep.native.isHidden()
    assert "Cancelled" in dock.message.value


@pytest.fixture
def three(viewer, dock, noisy):
    """Three layers, all selected."""
    for seed, name in enumerate(("first", "second", "third")):
        viewer.add_image(noisy((64, 64), seed), name=name)
    viewer.layers.selection = set(viewer.layers)
    return viewer


def test_layers_are_done_one_after_another(three, dock, gate, until):
    dock.button.native.click()
    gate.let_pass(5)
    until(lambda: dock.message.value == "2 of 3: Denoising second…")
    assert three.layers["first denoised"].metadata[KEY]["source_layer"] == "first"
    gate.open_wide()
    until(lambda: not dock.queue.is_busy)
    assert dock.message.value.startswith("3 layers, 0.012 MPix in ")
    for name in ("first", "second", "third"):
        assert np.array_equal(three.layers[f"{name} denoised"].data, denoise(three.layers[name].data))


def test_the_strength_of_the_last_image_does_not_act_on_the_next_unnoticed(viewer, dock, run, noisy):
    viewer.add_image(noisy((64, 64)), name="first")
    run()
    assert "Strength" not in dock.message.value
    dock.form.strength.slider.setValue(70)
    viewer.add_image(noisy((64, 64), 1), name="second")
    run()
    assert viewer.layers["second denoised"].metadata[KEY]["settings"]["strength"] == 0.7
    assert dock.message.value.endswith(" Strength: 70 %.")
    dock.form.strength.slider.setValue(40)
    assert "70" not in dock.message.value  # what is no longer so


def test_cancel_stops_them_all_and_leaves_what_is_done(three, dock, gate, until, no_thread_left):
    dock.button.native.click()
    gate.let_pass(5)
    until(lambda: "second denoised" in _names(three))
    dock.button.native.click()
    assert dock.message.value == "Cancelled. 1 of 3 layers is done. The unfinished result was removed."
    gate.open_wide()
    no_thread_left()
    assert set(_names(three)) == {"first", "second", "third", "first denoised"}
    assert {layer.name for layer in three.layers.selection} == {"second", "third"}
    assert dock.form.scope.current_choice == "all 2 selected layers"  # what is left


def test_a_layer_that_fails_does_not_stop_the_others(viewer, dock, run, noisy):
    viewer.add_image(noisy((32, 32)), name="good")
    viewer.add_image(np.zeros((32, 32), bool), name="mask", contrast_limits=(0, 1))
    viewer.layers.selection = set(viewer.layers)
    run()
    assert "good denoised" in viewer.layers
    assert dock.message.is_error
    assert dock.message.value.startswith("1 of 2 layers was denoised.\nmask: dtype=bool: a mask has no noise")


def test_a_result_that_is_taken_away_is_only_skipped(three, dock, gate, until):
    dock.button.native.click()
    gate.let_pass(1)
    until(lambda: "first denoised" in _names(three))
    three.layers.remove("first denoised")
    gate.open_wide()
    until(lambda: not dock.queue.is_busy)
    assert "first denoised" not in three.layers
    assert {"second denoised", "third denoised"} <= set(_names(three))


def test_a_layer_that_goes_before_its_turn_is_skipped(three, dock, gate, until):
    dock.button.native.click()
    gate.let_pass(1)
    until(lambda: "first denoised" in _names(three))
    three.layers.remove("second")
    gate.open_wide()
    until(lambda: not dock.queue.is_busy)
    assert set(_names(three)) == {"first", "third", "first denoised", "third denoised"}


def test_closing_the_dock_ends_the_queue(three, dock, gate, until, close_dock, no_thread_left, qtbot):
    dock.button.native.click()
    gate.let_pass(5)
    until(lambda: "second denoised" in _names(three))
    close_dock(dock)
    gate.open_wide()
    no_thread_left()
    qtbot.wait(50)
    assert set(_names(three)) == {"first", "second", "third", "first denoised"}


def test_a_large_result_begins_dark_and_its_rest_is_filled_when_kept(viewer, dock, run_a_tile, gate, until, noisy, monkeypatch):
    monkeypatch.setattr(denoising, "MOST_PREFILLED", 100)
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    run_a_tile()
    assert (viewer.layers["cells denoised"].data == 0).mean() == 0.75
    dock.button.native.click()
    gate.open_wide()
    dock.keep.native.click()
    until(lambda: len(viewer.layers) == 2)
    assert (viewer.layers["cells denoised (25 % done)"].data == image).mean() >= 0.75


def test_a_key_shows_before_and_after_in_turn(make_napari_viewer_proxy, noisy, until, close_dock):
    viewer = make_napari_viewer_proxy(show=True)
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="under test")
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    cells = viewer.add_image(noisy((48, 48)), name="cells")
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert "no result yet" in viewer.status
    dock.button.native.click()
    until(lambda: not dock.queue.is_busy)
    result = viewer.layers["cells denoised"]
    seen = []
    for _ in range(3):
        QTest.keyClick(canvas, Qt.Key.Key_N)
        seen.append((cells.visible, result.visible))
    assert seen == [(True, False), (True, True), (True, False)]
    assert "Key N" in dock.button.tooltip
    close_dock(dock)
    assert (cells.visible, result.visible) == (True, True)
    QTest.keyClick(canvas, Qt.Key.Key_N)
    assert (cells.visible, result.visible) == (True, True)


@pytest.mark.parametrize(("blending", "shown"), [("translucent_no_depth", [True, True, True]), ("additive", [False, False, True])])
def test_the_newest_result_is_what_one_sees(viewer, dock, run, noisy, blending, shown):
    viewer.add_image(noisy((32, 32)), name="cells", blending=blending)
    run()
    run()
    assert [layer.name for layer in viewer.layers] == ["cells", "cells denoised", "cells denoised [1]"]
    assert [layer.visible for layer in viewer.layers] == shown


def test_the_key_leaves_no_image_hidden(viewer, dock, run, noisy):
    cells = viewer.add_image(noisy((32, 32)), name="cells")
    run()
    for _ in range(2):
        QTest.keyClick(dock.native, Qt.Key.Key_N)
    viewer.layers.remove("cells denoised")
    assert cells.visible


def test_more_axes_than_there_can_be_are_told(viewer, dock, noisy):
    viewer.add_image(noisy((2, 1, 1, 1, 1, 16, 16)), name="many")
    dock.form.scope.value = PLANE
    dock.button.native.click()
    assert "2 to 6 axes" in dock.message.value
    assert not dock.queue.is_busy


def test_the_key_is_given_back(viewer, noisy, close_dock):
    pressed = []
    viewer.bind_key("N", lambda _: pressed.append(1))
    before = dict(viewer.keymap)
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="under test")
    assert dict(viewer.keymap) != before
    close_dock(dock)
    assert dict(viewer.keymap) == before


def test_the_hint_stays_until_there_is_an_image(viewer, dock, noisy):
    assert dock.message.value == NO_IMAGE
    viewer.add_image(noisy((32, 32)))
    viewer.layers.clear()
    assert dock.message.value == NO_IMAGE
    assert not dock.sample.native.isHidden()


def test_a_lazy_layer_can_have_a_lazy_result(viewer, dock, run, noisy):
    image = noisy((6, 48, 40))
    layer = viewer.add_image(da.from_array(image, chunks=(1, 48, 40)), name="lazy", scale=(2, 1, 1))
    assert dock.form.store.current_choice == "in memory"
    dock.form.store.native.setCurrentText("computed when shown")
    dock.form.strength.slider.setValue(80)
    run()
    result = viewer.layers["lazy denoised"]
    assert isinstance(result.data, da.Array)
    QTest.keyClick(dock.native, Qt.Key.Key_N)
    assert not result.visible
    QTest.keyClick(dock.native, Qt.Key.Key_N)
    assert result.visible
    assert result.data.chunks == ((1,) * 6, (48,), (40,))
    np.testing.assert_allclose(result.data[4].compute(), denoise(image, strength=0.8)[4], rtol=1e-3)
    np.testing.assert_allclose(result.extent.world, layer.extent.world)
    record = result.metadata[KEY]
    assert (record["settings"]["strength"], record["source_layer"]) == (0.8, "lazy")
    assert dock.message.value == "Its planes are computed when they are shown. Strength: 80 %."
    dock.form.strength.slider.setValue(30)  # for the next run: nothing here can be blended
    assert result.metadata[KEY]["settings"]["strength"] == 0.8


def test_where_the_result_goes_is_asked_of_stacks_only(viewer, dock, noisy):
    viewer.add_image(da.from_array(noisy((3, 32, 32)), chunks=(1, 32, 32)), name="stack", contrast_limits=(0, 800))
    assert not dock.form.store.native.isHidden()
    dock.form.scope.value = PLANE
    assert dock.form.store.native.isHidden()
    dock.form.scope.value = "whole"
    assert not dock.form.store.native.isHidden()


def test_what_would_fill_the_memory_is_lazy_by_itself(viewer, dock, noisy, monkeypatch):
    monkeypatch.setattr(scope, "free_memory_of_machine", lambda: 100_000)
    small = viewer.add_image(noisy((3, 32, 32)), name="small")
    assert dock.form.store.native.isHidden()
    viewer.add_image(noisy((20, 48, 40)), name="large")
    assert dock.form.store.current_choice == "computed when shown"
    dock.layer.value = small
    assert dock.form.store.native.isHidden()
    assert not dock.form.is_lazy(small)
    assert dock.form.is_lazy(viewer.layers["large"])
    viewer.add_image(noisy((200, 300)), name="one plane")
    assert dock.form.store.choices == (scope.MEMORY, scope.DISK)  # which is never chosen by itself: it asks for a name


def test_an_error_of_a_lazy_result_is_shown(viewer, dock, run, noisy, monkeypatch):
    monkeypatch.setattr(layer_data, "LARGEST_PLANE_READ_FOR_WINDOW", 0)  # planes that are too large to be read whole, where NaN is refused
    image = noisy((4, 48, 40)).astype(np.float32)
    image[:, 3, 3] = np.nan
    viewer.add_image(da.from_array(image, chunks=(1, 48, 40)), name="holes", contrast_limits=(0, 1000))
    dock.form.store.native.setCurrentText("computed when shown")
    run()
    assert dock.message.is_error
    assert "NaN" in dock.message.value
    assert _names(viewer) == ["holes"]


def test_of_channels_that_are_added_up_the_noisy_one_is_hidden(viewer, dock, run, noisy):
    images = [viewer.add_image(noisy((32, 32), seed), name=name, blending="additive") for seed, name in enumerate(("dna", "actin"))]
    plain = viewer.add_image(noisy((32, 32)), name="plain")
    viewer.layers.selection = set(viewer.layers)
    run()
    assert [layer.visible for layer in images] == [False, False]
    assert plain.visible
    assert all(viewer.layers[f"{name} denoised"].visible for name in ("dna", "actin", "plain"))


def test_a_plane_takes_the_place_of_its_channel_only_where_it_stands(viewer, dock, run, noisy, close_dock):
    look = {"blending": "additive", "scale": (2, 0.5, 0.5), "translate": (10, 0, 0)}
    other = viewer.add_image(noisy((5, 32, 32), 1), name="actin", colormap="magenta", **look)
    dna = viewer.add_image(noisy((5, 32, 32)), name="dna", colormap="green", **look)
    dock.form.scope.value = PLANE
    for plane in (1, 3):
        viewer.dims.set_current_step(0, plane)
        run()

    def seen():
        planes = []
        for plane in range(5):
            viewer.dims.set_current_step(0, plane)
            planes.append(dna.visible)
        return planes

    assert seen() == [True, False, True, False, True]
    assert other.visible
    viewer.dims.set_current_step(0, 1)
    QTest.keyClick(dock.native, Qt.Key.Key_N)
    assert dna.visible
    assert not viewer.layers["dna denoised (plane 1)"].visible
    viewer.dims.set_current_step(0, 2)
    QTest.keyClick(dock.native, Qt.Key.Key_N)
    assert seen() == [True, False, True, False, True]
    close_dock(dock)
    assert seen() == [True, False, True, False, True]
    viewer.dims.ndisplay = 3
    assert dna.visible
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 3)
    viewer.layers.remove("dna denoised (plane 3)")
    assert seen() == [True, False, True, True, True]
    viewer.layers.remove("dna denoised (plane 1)")
    dna.visible = False
    assert not any(seen())


@pytest.mark.parametrize("visible", [True, False])
def test_a_hidden_layer_comes_back_with_cancel(viewer, dock, run_a_tile, gate, noisy, visible):
    cells = viewer.add_image(noisy((64, 64)), name="cells", blending="additive", visible=visible)
    run_a_tile()
    assert not cells.visible
    dock.button.native.click()
    gate.open_wide()
    assert cells.visible == visible


def test_a_hidden_layer_comes_back_when_its_result_is_deleted(viewer, dock, run, noisy):
    cells = viewer.add_image(noisy((32, 32)), name="cells", blending="additive")
    run()
    assert not cells.visible
    viewer.layers.remove("cells denoised")
    assert cells.visible


def test_how_good_a_result_is(viewer, dock, run, noisy, until, no_thread_left):
    viewer.add_image(noisy((96, 96)), name="cells")
    assert dock.quality.native.isHidden()
    run()
    assert not dock.quality.native.isHidden()
    dock.quality.native.click()
    assert dock.quality.text == "Cancel the estimate"
    until(lambda: dock.quality.text == "How good is it?")
    assert dock.message.value.startswith("cells denoised: noise ")
    dock.quality.native.click()
    dock.quality.native.click()
    assert dock.message.value == "The estimate was cancelled."
    for estimate_ended in (True, False):
        dock.quality.native.click()
        until(lambda ended=estimate_ended: not ended or dock.quality.text == "How good is it?")
        dock.form.strength.slider.setValue(dock.form.strength.slider.value() - 10)
        assert dock.message.value == CHANGED
        assert dock.quality.text == "How good is it?"
    dock.quality.native.click()
    run()  # something else is asked for
    assert dock.quality.text == "How good is it?"
    no_thread_left()
    assert "pixels in" in dock.message.value


def test_how_good_a_single_plane_of_a_stack_is(viewer, dock, run, noisy, until):
    viewer.add_image(noisy((3, 96, 96)), name="stack")
    viewer.dims.set_current_step(0, 2)
    dock.form.scope.native.setCurrentText("this plane")
    run()
    assert not dock.copying.native.isHidden()
    dock.quality.native.click()
    until(lambda: dock.quality.text == "How good is it?")
    assert dock.message.value.startswith("stack denoised (plane 2): noise ")
    assert "PSNR" in dock.message.value  # it is recognised as what the model makes
