import gc
import threading
import time
from weakref import ref

import dask
import dask.array as da
import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_ne_denoise import denoise
from napari_ne_denoise.core import inference, precision
from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import ImageError, ModelError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.gui.base import long_task, workers
from napari_ne_denoise.gui.base.long_task import LongTask
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.layers.kinship import is_helper
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.layers.view import visible_window
from napari_ne_denoise.gui.preview import preview_view
from napari_ne_denoise.gui.preview.preview import ONLY_MIDDLE
from napari_ne_denoise.gui.preview.preview_canvas import CELL, Canvas, in_cells, on_layer_axes
from napari_ne_denoise.gui.preview.preview_painting import Desk, Subject, Wish, paint_previews
from napari_ne_denoise.gui.preview.preview_view import IN_3D, OTHER_AXES, Seen, seen_part

FLOAT32 = {"precision": "float32"}


@pytest.fixture(autouse=True)
def only_float32(monkeypatch):
    """Where half precision is faster, a window may be repeated in float32 that the whole result holds in half."""
    monkeypatch.setattr(precision, "is_faster", lambda *_: False)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def dock(viewer, thread_ended):
    widget = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    yield widget
    widget.preview.let_go()
    thread_ended()


@pytest.fixture
def preview(dock):
    return dock.preview


@pytest.fixture
def thread_ended(until):
    """Wait until no thread of a preview is there any more."""
    return lambda: until(lambda: not any(thread.name == "denoising a preview" for thread in threading.enumerate()))


@pytest.fixture
def switch_on(preview, until):
    """Click the box, and wait until what is seen is shown."""

    def click():
        preview.box.native.click()
        until(lambda: preview.is_complete)
        return preview.layer

    return click


@pytest.fixture
def settled(preview, until, qtbot):
    """Wait until a change of the view has been noticed and its preview is complete."""

    def wait():
        qtbot.wait(20)
        until(lambda: preview.is_complete)
        return preview.layer

    return wait


def window_of(layer, source):
    """Rows and columns of a source that a preview covers, found from its place in the world."""
    origin = np.rint(source.world_to_data(layer.data_to_world([0] * layer.ndim))).astype(int)[-2:]
    rows, columns = (slice(start, start + length) for start, length in zip(origin, layer.data.shape[-2:], strict=True))
    return rows, columns


def seen_rows_and_columns(source):
    """What the viewer shows, as napari found when it drew."""
    (top, left), (bottom, right) = source.corner_pixels[:, -2:]
    return slice(top + 1, bottom - 1), slice(left + 1, right - 1)


def covers(outer, part):
    return all(o.start <= p.start and p.stop <= o.stop for o, p in zip(outer, part, strict=True))


def test_it_is_what_denoise_gives_wherever_one_looks(viewer, switch_on, settled, noisy, qtbot):
    image = noisy((300, 280))
    source = viewer.add_image(image, name="cells", scale=(0.5, 0.5), translate=(3, -2))
    whole = denoise(image, **FLOAT32)
    layer = switch_on()
    assert np.array_equal(layer.data, whole[window_of(layer, source)])
    for zoom, centre in ((12, (40, 30)), (12, (70, 35)), (30, (140, 130)), (12, (140, 130)), (4, (80, 70))):
        viewer.scene.camera.zoom, viewer.scene.camera.center = zoom, centre
        layer = settled()
        qtbot.wait(50)
        window = window_of(layer, source)
        assert np.array_equal(layer.data, whole[window])
        assert covers(window, seen_rows_and_columns(source))


@pytest.mark.parametrize(
    "place", [{}, {"rotate": 30, "shear": [0.3], "scale": (2, 1)}, {"affine": [[0, 2, 5], [1, 0, 3], [0, 0, 1]], "units": ("um", "um")}]
)
def test_it_lies_exactly_over_its_source(viewer, switch_on, noisy, drawn, place):
    image = noisy((200, 220))
    source = viewer.add_image(image, name="cells", **place)
    viewer.scene.camera.zoom *= 4
    drawn(viewer)
    layer = switch_on()
    assert layer.data.size < image.size
    rows, columns = window_of(layer, source)
    assert np.array_equal(layer.data, denoise(image, **FLOAT32)[rows, columns])
    last = np.array(layer.data.shape) - 1
    np.testing.assert_allclose(layer.data_to_world(last), source.data_to_world((rows.stop - 1, columns.stop - 1)), rtol=1e-9)
    assert layer.units == source.units
    assert covers((rows, columns), seen_rows_and_columns(source))


def test_the_slider_and_only_the_plane_that_is_seen(viewer, preview, switch_on, settled, noisy):
    image = noisy((3, 4, 80, 64))
    viewer.add_image(image, name="series", scale=(1, 2, 1, 1))
    viewer.dims.current_step = (1, 2, 0, 0)
    layer = switch_on()
    assert np.array_equal(np.squeeze(layer.data), denoise(image[1, 2], **FLOAT32))
    steps = viewer.dims.nsteps
    viewer.dims.current_step = (2, 0, 0, 0)
    assert np.rint(layer.world_to_data(viewer.dims.point)).astype(int)[0] == 1  # the old one lies in another plane: it is not seen
    layer = settled()
    assert np.array_equal(np.squeeze(layer.data), denoise(image[2, 0], **FLOAT32))
    assert np.rint(layer.world_to_data(viewer.dims.point)).astype(int)[:2].tolist() == [0, 0]
    assert viewer.dims.nsteps == steps


def test_another_model_and_another_layer(viewer, dock, switch_on, settled, noisy, until):
    first, second = (viewer.add_image(noisy((64, 48), seed), name=name) for seed, name in ((1, "first"), (2, "second")))
    switch_on()
    dock.model.value = "ordinary-twin"
    assert np.array_equal(settled().data, denoise(second.data, model="ordinary-twin", **FLOAT32))
    viewer.layers.selection.active = first
    layer = settled()
    assert layer.name == "first preview"
    assert np.array_equal(layer.data, denoise(first.data, model="ordinary-twin", **FLOAT32))
    until(lambda: len(viewer.layers) == 3)
    assert [layer.name for layer in viewer.layers] == ["first", "first preview", "second"]


def test_a_thread_that_is_late_goes_on_with_another_layer(viewer, preview, switch_on, settled, noisy, monkeypatch):
    def late(*arguments, **how):
        for finding in workers.guarded(*arguments, **how):
            yield finding
            time.sleep(0.3)  # the window is ahead: what was just found is obsolete before its thread has noticed that it is done

    monkeypatch.setattr(long_task, "guarded", late)
    first, _ = (viewer.add_image(noisy((64, 48), seed), name=name) for seed, name in ((1, "first"), (2, "second")))
    switch_on()
    viewer.layers.selection.active = first
    assert np.array_equal(settled().data, denoise(first.data, **FLOAT32))


def test_strength_blends_and_computes_nothing(viewer, dock, switch_on, settled, noisy, monkeypatch):
    image = noisy((64, 48))
    viewer.add_image(image, name="cells")
    switch_on()
    monkeypatch.setattr(Regions, "compute", None)
    for strength in (0.4, 0, 1):
        dock.form.strength.slider.setValue(int(100 * strength))
        assert np.array_equal(settled().data, denoise(image, strength=strength, **FLOAT32))


def test_it_follows_the_look_of_its_source(viewer, switch_on, noisy):
    source = viewer.add_image(noisy((64, 48)), name="cells", colormap="magenta", contrast_limits=(150, 640), gamma=0.7)
    layer = switch_on()
    source.contrast_limits, source.gamma, source.colormap, source.opacity = (200, 500), 1.2, "green", 0.5
    source.interpolation2d, source.name = "linear", "other"
    for name in ("contrast_limits", "contrast_limits_range", "gamma", "opacity", "blending", "interpolation2d"):
        assert getattr(layer, name) == getattr(source, name), name
    assert layer.colormap.name == "green"
    assert layer.name == "other preview"
    source.visible = False
    assert not layer.visible


def test_it_follows_its_source_when_that_is_moved(viewer, switch_on, settled, noisy):
    source = viewer.add_image(noisy((64, 48)), name="cells")
    layer = switch_on()
    source.scale, source.translate, source.rotate = (0.5, 0.5), (3, 4), 20
    np.testing.assert_allclose(layer.extent.world, source.extent.world)
    np.testing.assert_allclose(settled().extent.world, source.extent.world)


def test_over_a_layer_that_adds_it_does_not_add(viewer, switch_on, noisy):
    viewer.add_image(noisy((64, 48)), name="dna", blending="additive")
    assert switch_on().blending == "translucent_no_depth"


def test_new_data_of_the_layer_are_denoised(viewer, switch_on, settled, noisy):
    source = viewer.add_image(noisy((64, 48)), name="cells")
    switch_on()
    source.data = noisy((50, 70), seed=5)
    layer = settled()
    assert np.array_equal(layer.data, denoise(source.data, **FLOAT32)[window_of(layer, source)])


def test_it_is_no_layer_to_work_on_and_steals_no_selection(viewer, dock, switch_on, noisy):
    one, other = (viewer.add_image(noisy((48, 48)), name=name) for name in ("one", "other"))
    viewer.layers.selection = {one, other}
    layer = switch_on()
    assert set(viewer.layers.selection) == {one, other}
    assert is_helper(layer)
    assert layer not in dock.layer.choices
    viewer.layers.selection.active = layer
    assert dock.layer.value in (one, other)
    viewer.layers.selection.active = other
    dock.preview.box.native.click()
    assert viewer.layers.selection.active == other
    assert list(viewer.layers) == [one, other]


def test_colours(viewer, switch_on, settled, noisy):
    image = (np.moveaxis(noisy((3, 96, 80)), 0, -1) // 4).astype(np.uint8)
    viewer.add_image(image, name="stained")
    layer = switch_on()
    assert layer.rgb
    whole = denoise(image, channel_axis=-1, output_dtype="input", **FLOAT32)
    assert np.array_equal(layer.data, whole)
    viewer.scene.camera.zoom *= 6
    layer = settled()
    assert np.array_equal(layer.data, whole)  # what is there already is kept


def test_of_a_multiscale_layer_the_finest_level(viewer, switch_on, settled, noisy):
    image = noisy((256, 240))
    source = viewer.add_image([image, image[::2, ::2], image[::4, ::4]], name="pyramid", multiscale=True, scale=(2, 2))
    viewer.scene.camera.zoom *= 5
    layer = switch_on()
    window = window_of(layer, source)
    assert layer.data.size < image.size
    assert np.array_equal(layer.data, denoise(image, **FLOAT32)[window])


def test_a_lazy_layer_is_read_in_the_thread(viewer, switch_on, settled, noisy):
    image, readers = noisy((3, 64, 48)), set()

    def read(block):
        readers.add(threading.current_thread().name)
        return block

    lazy = da.from_array(image, chunks=(1, 64, 48)).map_blocks(read, meta=np.empty((0, 0, 0), image.dtype))
    viewer.add_image(lazy, name="lazy", contrast_limits=(0, 1000))
    readers.clear()
    with dask.config.set(scheduler="synchronous"):  # in the thread that asks
        assert np.array_equal(np.squeeze(switch_on().data), denoise(image[viewer.dims.current_step[0]], **FLOAT32))
        assert readers == {"denoising a preview"}
    viewer.dims.set_current_step(0, 2)
    assert np.array_equal(np.squeeze(settled().data), denoise(image[2], **FLOAT32))


def test_pixels_that_are_no_numbers_stay(viewer, switch_on, noisy):
    image = noisy((64, 64)).astype(np.float32)
    image[10:12, 20] = np.nan
    viewer.add_image(image, name="holes", contrast_limits=(200, 600))
    np.testing.assert_array_equal(switch_on().data, denoise(image, nonfinite="keep", **FLOAT32))


def test_it_pauses_in_3d_and_where_other_axes_are_shown(viewer, preview, switch_on, settled, noisy, until):
    image = noisy((5, 40, 48))
    viewer.add_image(image, name="stack")
    switch_on()
    viewer.dims.ndisplay = 3
    assert preview.layer is None
    assert preview.note.value == IN_3D
    viewer.dims.ndisplay = 2
    settled()
    assert preview.note.value == ""
    viewer.dims.order = (1, 0, 2)
    until(lambda: preview.note.value == OTHER_AXES)
    assert preview.layer is None
    viewer.dims.order = (0, 2, 1)  # only turned
    assert np.array_equal(settled().data[0], denoise(image[viewer.dims.current_step[0]], **FLOAT32))


def test_rows_behind_columns(viewer, switch_on, settled, noisy):
    image = np.ascontiguousarray(np.moveaxis(noisy((3, 60, 70)), 0, 1).transpose(2, 1, 0))  # x, z, y
    viewer.add_image(image, name="turned", axis_labels=("x", "z", "y"), rgb=False)
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_current_step(1, 2)
    layer = switch_on()
    assert np.array_equal(layer.data[:, 0], denoise(image, axes="XZY", **FLOAT32)[:, 2])


def test_nothing_where_the_layer_is_not_in_view(viewer, preview, switch_on, settled, noisy, until):
    viewer.add_image(noisy((64, 48)), name="cells")
    switch_on()
    centre = viewer.scene.camera.center
    viewer.scene.camera.center = (0, 5000, 5000)
    until(lambda: preview.layer is None)
    assert preview.note.value == "Preview pauses: cells is out of view."
    viewer.scene.camera.center = centre
    assert settled() is not None
    assert not preview.note.value


def test_far_out_the_middle_comes_and_it_says_so(viewer, preview, switch_on, noisy, monkeypatch):
    monkeypatch.setattr(preview_view, "MOST_PIXELS", 64 * 64)
    image = noisy((256, 240))
    source = viewer.add_image(image, name="cells")
    layer = switch_on()
    assert preview.note.value == ONLY_MIDDLE
    rows, columns = window_of(layer, source)
    assert layer.data.size <= 128 * 128
    assert rows.start < 128 < rows.stop
    assert columns.start < 120 < columns.stop
    assert np.array_equal(layer.data, denoise(image, **FLOAT32)[rows, columns])


@pytest.fixture
def held(monkeypatch, until):
    """Regions that are computed only when they are let, and that notice when they are not wanted any more."""
    compute, entered, go, computed = Regions.compute, threading.Semaphore(0), threading.Event(), []

    class Held:
        """What a test sees of it."""

        def __init__(self):
            self.computed = computed
            self.go = go

        def wait_for_one(self):
            until(lambda: entered.acquire(blocking=False))

    def held_compute(self, plane, window):
        entered.release()
        go.wait(60)
        region = compute(self, plane, window)
        computed.append(window)
        return region

    monkeypatch.setattr(Regions, "compute", held_compute)
    yield Held()
    go.set()


def test_the_latest_view_wins(viewer, preview, settled, held, noisy, until):
    image = noisy((400, 400))
    source = viewer.add_image(image, name="cells")
    viewer.scene.camera.zoom = 20
    for centre in ((50, 50), (200, 200)):
        viewer.scene.camera.center = centre
        if not preview.box.value:
            preview.box.native.click()
        held.wait_for_one() if centre == (50, 50) else until(lambda: not preview._timer.isActive())
    held.go.set()
    layer = settled()
    window = window_of(layer, source)
    assert window[0].start < 200 < window[0].stop
    assert np.array_equal(layer.data, denoise(image, **FLOAT32)[window])
    assert all(rows.start > 100 for rows, _ in held.computed)  # the first one was interrupted


@pytest.mark.parametrize("end", ["box", "dock", "source", "window"])
def test_it_ends_cleanly_in_the_middle_of_a_computation(
    viewer, dock, preview, held, noisy, close_dock, thread_ended, no_thread_left, qtbot, end
):
    source = viewer.add_image(noisy((64, 64)), name="cells")
    preview.box.native.click()
    held.wait_for_one()
    if end == "box":
        preview.box.native.click()
    elif end == "dock":
        close_dock(dock)
    elif end == "source":
        viewer.layers.remove(source)
    else:
        viewer.close()
    held.go.set()
    if end == "source":
        qtbot.wait(100)
        assert preview.box.value
        preview.box.native.click()
    thread_ended()
    no_thread_left()
    qtbot.wait(100)  # late slots would raise here
    assert held.computed == []
    if end != "window":
        assert [layer.name for layer in viewer.layers] == ([] if end == "source" else ["cells"])


@pytest.mark.parametrize("end", ["box", "dock", "source", "preview"])
def test_it_goes_and_takes_everything_along(viewer, dock, preview, switch_on, noisy, close_dock, thread_ended, until, qtbot, end):
    source = viewer.add_image(noisy((64, 64)), name="cells")
    layer = switch_on()
    if end == "box":
        preview.box.native.click()
    elif end == "dock":
        close_dock(dock)
    else:
        viewer.layers.remove(source if end == "source" else layer)
    until(lambda: not any(is_helper(other) for other in viewer.layers))
    qtbot.wait(100)
    if end != "dock":  # whose box has gone
        assert preview.box.value == (end == "source")
    if end == "source":
        preview.stop()
    thread_ended()
    del layer
    qtbot.wait(10)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) in (Canvas, Regions)]
    assert not [thing for thing in gc.get_objects() if type(thing) is Source and thing.data is source.data]
    source.contrast_limits = (0, 1)  # a preview that still follows would raise here
    viewer.scene.camera.zoom *= 2


def test_after_one_layer_has_gone_another_is_previewed(viewer, switch_on, settled, noisy, until):
    viewer.add_image(noisy((64, 48)), name="first")
    second = viewer.add_image(noisy((64, 48), 3), name="second")
    switch_on()
    viewer.layers.remove(second)
    assert settled().name == "first preview"
    until(lambda: len(viewer.layers) == 2)
    assert [layer.name for layer in viewer.layers] == ["first", "first preview"]


@pytest.mark.parametrize("blending", ["translucent_no_depth", "additive"])
def test_it_lies_over_a_result_that_is_there_already(viewer, dock, switch_on, noisy, until, blending):
    cells = viewer.add_image(noisy((64, 64)), name="cells", blending=blending)
    dock.button.native.click()
    until(lambda: not dock.queue.is_busy)
    was_shown = cells.visible, viewer.layers["cells denoised"].visible
    layer = switch_on()
    assert [other.name for other in viewer.layers] == ["cells", "cells denoised", "cells preview"]
    assert layer.visible
    dock.before_after.toggle()
    assert [other.visible for other in viewer.layers] == [True, False, False]
    dock.before_after.toggle()
    assert (cells.visible, viewer.layers["cells denoised"].visible, layer.visible) == (*was_shown, True)


def test_it_follows_when_axes_are_chosen(viewer, dock, preview, switch_on, noisy, until):
    viewer.add_image(noisy((3, 48, 40)), name="stack")
    switch_on()
    dock.form.axes.native.setCurrentText("TYX: 3 time points")
    assert preview._chosen.source.axes == "TYX"
    until(lambda: preview.is_complete)


def test_denoise_ends_it(viewer, dock, preview, switch_on, noisy, until):
    viewer.add_image(noisy((64, 48)), name="cells")
    switch_on()
    dock.button.native.click()
    assert not preview.box.value
    assert [layer.name for layer in viewer.layers] == ["cells"]
    until(lambda: dock.button.text == "Denoise")
    assert [layer.name for layer in viewer.layers] == ["cells", "cells denoised"]


def test_it_can_be_switched_on_again(viewer, preview, switch_on, noisy, thread_ended):
    viewer.add_image(noisy((64, 48)), name="cells")
    for _ in range(3):
        switch_on()
        preview.box.native.click()
    thread_ended()
    assert len(viewer.layers) == 1


@pytest.mark.parametrize(
    ("error", "shown"), [(ModelError("model='x': no such model."), "no such model"), (RuntimeError("on fire"), "on fire")]
)
def test_errors_are_shown(viewer, preview, noisy, until, monkeypatch, error, shown):
    def fail(*_, **__):
        raise error

    messages = []
    notification_manager.notification_ready.connect(messages.append)
    monkeypatch.setattr(inference, "prepare_denoising", fail)
    viewer.add_image(noisy((32, 32)), name="cells")
    preview.box.native.click()
    until(lambda: shown in preview.note.value)
    assert preview.note.is_error
    assert preview.layer is None
    preview.box.native.click()
    assert preview.note.value == ""
    notification_manager.notification_ready.disconnect(messages.append)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("on fire"), ImageError("this cannot be read")])
def test_after_an_error_it_goes_on_where_one_looks_next(viewer, preview, settled, noisy, until, monkeypatch, error):
    compute = Regions.compute

    def fail_once(self, *where):
        monkeypatch.setattr(Regions, "compute", compute)
        raise error

    monkeypatch.setattr(Regions, "compute", fail_once)
    image = noisy((2, 64, 48))
    viewer.add_image(image, name="cells")
    viewer.dims.current_step = (0, 0, 0)
    preview.box.native.click()
    until(lambda: preview.note.is_error)
    viewer.dims.current_step = (1, 0, 0)
    assert np.array_equal(settled().data[0], denoise(image[1], **FLOAT32))
    assert not preview.note.is_error


def test_switched_on_without_an_image_it_waits_for_one(viewer, preview, settled, noisy, qtbot):
    preview.box.native.click()
    qtbot.wait(100)
    assert preview.note.value == ""
    viewer.add_image(noisy((32, 32)), name="cells")
    assert settled().name == "cells preview"


def test_a_long_task_tells_what_it_finds_and_how_it_fails(qtbot, until):
    found, failed = [], []

    def work(last):
        yield 1
        raise last

    for error, words in ((ImageError("mend me"), "mend me"), (MemoryError(), "not enough memory")):
        task = LongTask("short", work, error, found=found.append, failed=failed.append)
        task.start()
        until(lambda words=words: any(words in text for text in failed))
        until(lambda task=task: not task.is_alive)
    assert found == [1, 1]


@pytest.mark.parametrize(("shape", "window"), [((500, 700), (slice(0, 500), slice(0, 700))), ((900, 640), (slice(70, 811), slice(3, 640)))])
def test_pieces_cover_what_is_seen_once_from_the_middle(shape, window):
    whole = in_cells(window, shape)
    canvas = Canvas([()], whole, np.zeros((1, *(part.stop - part.start for part in whole)), np.uint8))
    count, first = np.zeros(shape, int), None
    while (piece := canvas.next_piece(window)) is not None:
        first = first or piece
        count[piece] += 1
        canvas.note_done(piece)
    assert (count[whole] == 1).all()
    assert count.sum() == canvas.noisy.size
    middle = [(part.start + part.stop) / 2 for part in window]
    assert all(part.start - CELL <= at <= part.stop + CELL for part, at in zip(first, middle, strict=True))


def test_a_new_canvas_takes_over_what_is_done():
    shape = (512, 512)
    planes = [()]
    old = Canvas(planes, (slice(0, 256), slice(0, 256)), np.zeros((1, 256, 256), np.uint16))
    old.denoised[:] = np.arange(256)
    old.note_done((slice(64, 256), slice(0, 256)))
    new = Canvas(planes, (slice(128, 384), slice(32, 256)), np.ones((1, 256, 224), np.uint16))
    new.take_over(old)
    assert new.done[:4].all()
    assert not new.done[4:].any()
    assert np.array_equal(new.denoised[0, 0], np.arange(32, 256))
    assert (new.denoised[0, 200] == 1).all()
    assert in_cells((slice(1, 500), slice(40, 512)), shape) == (slice(0, 512), slice(32, 512))


@pytest.mark.parametrize(("axes", "rgb", "shape"), [("TYX", False, (3, 4, 5)), ("XTY", False, (5, 3, 4)), ("YXS", True, (4, 5, 3))])
def test_planes_on_the_axes_of_a_layer_share_memory(axes, rgb, shape):
    values = np.zeros((3 if rgb else 1, 4, 5))
    shown = on_layer_axes(values, plan_planes(shape, axes), rgb)
    assert shown.shape == tuple(length if letter in "YXS" else 1 for letter, length in zip(axes, shape, strict=True))
    values[0, 1, 2] = 7
    assert (shown == 7).sum() == 1


def test_a_view_of_a_layer_with_fewer_axes(viewer, noisy):
    viewer.add_image(noisy((5, 64, 64)))
    plane = viewer.add_image(noisy((48, 40)), name="plane")
    seen = seen_part(viewer, plane, plan_planes((48, 40)))
    assert seen.window == (slice(0, 48), slice(0, 40))


def test_all_docks_see_the_same_part_of_a_layer(viewer, noisy):
    image = noisy((200, 300))
    pyramid = viewer.add_image([image, image[::2, ::2], image[::4, ::4]], name="pyramid", multiscale=True, scale=(2, 2))
    layout = plan_planes((200, 300))
    viewer.scene.camera.center, viewer.scene.camera.zoom = (200, 320), 20
    rows, columns = visible_window(viewer, pyramid, layout)
    assert (rows, columns) == seen_part(viewer, pyramid, layout).window
    assert 0 < rows.start < 100 < rows.stop < 200
    assert 0 < columns.start < 160 < columns.stop < 300
    viewer.scene.camera.center = (2000, 320)
    assert seen_part(viewer, pyramid, layout) is None
    with pytest.raises(ImageError, match="Nothing of pyramid is visible"):
        visible_window(viewer, pyramid, layout)
    stack = viewer.add_image(noisy((5, 64, 64)))
    viewer.dims.order = (1, 0, 2)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (2, 10), 20
    rows, columns = visible_window(viewer, stack, plan_planes((5, 64, 64)))
    assert rows == slice(0, 64)  # along which the viewer does not look
    assert columns.stop < 64


def test_a_thread_that_is_stopped_ends_whatever_it_computes(until, noisy, monkeypatch, thread_ended):
    """Also where nobody has closed the desk where its next wish would come from."""
    begun = threading.Event()

    def compute(*_):
        begun.set()
        while True:
            check_if_wanted()
            time.sleep(0.01)

    monkeypatch.setattr(Regions, "compute", compute)
    image = noisy((64, 48))
    desk, layout = Desk(), plan_planes(image.shape, "YX", None)
    source = Source("cells", image, "YX", None, rgb=False)
    task = LongTask("denoising a preview", paint_previews, desk, found=print, failed=pytest.fail)
    task.start()
    desk.ask(Wish(Subject(source, layout, {}), Seen((0, 0), (slice(0, 64), slice(0, 48)), True), 1.0))
    until(begun.is_set)
    task.stop()
    thread_ended()


def test_a_desk_that_is_closed_keeps_no_image_in_memory(noisy):
    image = noisy((64, 48))
    layout = plan_planes(image.shape, "YX", None)
    source = Source("cells", image, "YX", None, rgb=False)
    desk, wish = Desk(), Wish(Subject(source, layout, {}), Seen((0, 0), (slice(0, 64), slice(0, 48)), True), 1.0)
    there = ref(wish)
    desk.ask(wish)
    assert desk.take() is not None  # by a thread that ends between two pieces, and comes for no further wish
    desk.close()
    del wish
    assert there() is None
