"""A result that is computed when it is shown: the window never waits, and nobody ever sees a pixel that is not computed."""

import errno
import gc
import pickle
import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from weakref import ref

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

from napari_ne_denoise import denoise
from napari_ne_denoise.core import lazy, memory
from napari_ne_denoise.core.errors import ComputationError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.io import read_image
from napari_ne_denoise.core.lazy import LazyResult
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.gui.base import redrawing
from napari_ne_denoise.gui.denoise import lazy_planes, lazy_view
from napari_ne_denoise.gui.denoise.lazy_planes import planes_of_all

PLANES = 20


class Parts:
    """Which parts were computed, where, and a gate in each."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, ...]] = []
        self.computed: list[tuple[int, ...]] = []
        self.threads: set[threading.Thread] = set()
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def parts(monkeypatch) -> Iterator[Parts]:
    """What is computed from now on, a part at a time."""
    parts, compute = Parts(), LazyResult._part

    def part(self: LazyResult, where: Any) -> np.ndarray:
        planes = tuple(start for start, stop in where if stop == start + 1)
        parts.begun.append(planes)
        parts.threads.add(threading.current_thread())
        while threading.current_thread() is not threading.main_thread() and not parts.gate.wait(0.01):
            check_if_wanted()
        if parts.errors:
            raise parts.errors[0]
        values = compute(self, where)
        parts.computed.append(planes)
        return values

    monkeypatch.setattr(LazyResult, "_part", part)
    yield parts
    parts.gate.set()


@pytest.fixture
def lazily(viewer, dock, run, noisy):
    """A result that is computed when it is shown, of which the first plane is there."""

    def make(image: Any = None, name: str = "cells", **look: Any) -> tuple[Any, Any]:
        image = noisy((PLANES, 48, 40)) if image is None else image
        plane = image.shape[-3:] if look.get("rgb") else image.shape[-2:]
        chunks = (*(1,) * (image.ndim - len(plane)), *plane)
        viewer.add_image(image if isinstance(image, da.Array) else da.from_array(image, chunks=chunks), name=name, **look)
        go_to(viewer, 0)
        dock.form.store.native.setCurrentText("computed when shown")
        run()
        return viewer.layers[f"{name} denoised"].__wrapped__, image

    return make


def shown(layer: Any) -> np.ndarray:
    """The picture that napari shows of a layer."""
    return layer._slice.image.raw


def is_empty(layer: Any) -> bool:
    return bool(np.isnan(shown(layer)).all())


@pytest.fixture
def rest(until, parts):
    """Wait until nothing is computed any more, and no thread is left that did."""

    def wait() -> None:
        until(lambda: planes_of_all().is_at_rest and not computing_threads())

    yield wait
    parts.gate.set()
    wait()


def computing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == lazy_planes.TITLE]


def note(viewer: Any) -> str:
    overlay = viewer.canvas.overlays[KEY]
    return overlay.text if overlay.visible else ""


def go_to(viewer: Any, plane: int) -> None:
    viewer.dims.set_current_step(0, plane)


def test_the_slider_waits_for_nothing_and_the_plane_comes(viewer, lazily, parts, until, rest):
    result, image = lazily(scale=(2, 0.5, 0.5), rotate=(0, 0, 10), translate=(3, 1, 1))
    expected = denoise(image)
    assert np.array_equal(shown(result), expected[0])
    parts.gate.clear()
    go_to(viewer, 7)
    assert is_empty(result)
    assert result.get_value(result.data_to_world((7, 20, 20)), world=True) is None
    assert note(viewer) == "cells denoised, plane 7: computing…"
    parts.gate.set()
    until(lambda: not is_empty(result))
    assert np.array_equal(shown(result), expected[7])
    assert note(viewer) == ""
    go_to(viewer, 0)
    assert np.array_equal(shown(result), expected[0])  # at once: it was kept
    rest()
    assert parts.computed == [(0,), (7,)]
    assert threading.main_thread() not in parts.threads


def test_whoever_is_not_the_canvas_gets_pixels(viewer, make_napari_viewer_proxy, lazily, parts, rest, tmp_path):
    result, image = lazily()
    expected = denoise(image)
    parts.gate.clear()
    go_to(viewer, 7)
    assert is_empty(result)
    assert isinstance(result.data[7], da.Array)
    parts.gate.set()  # one part is computed at a time, whoever asks
    assert np.array_equal(np.asarray(result.data[7]), expected[7])
    assert np.array_equal(np.asarray(result.data[5:9, ::2]), expected[5:9, ::2])
    assert np.array_equal(np.asarray(result.data + 1), expected + 1)
    np.testing.assert_allclose(np.asarray(np.mean(result.data, axis=0)), expected.mean(axis=0), rtol=1e-5)
    assert np.array_equal(pickle.loads(cloudpickle.dumps(result.data[9])).compute(), expected[9])
    twin = viewer.add_image(deepcopy(result.data), name="twin", contrast_limits=(0, 900)).__wrapped__
    twin.data.result._kept.clear()
    parts.gate.clear()
    go_to(viewer, 12)
    assert is_empty(twin)
    assert is_empty(result)
    other = make_napari_viewer_proxy()
    there = other.add_image(expected[:4], name="there").__wrapped__
    parts.gate.set()
    there.data = result.data
    other.dims.set_current_step(0, 4)  # nobody would tell this viewer when the plane is there
    assert np.array_equal(shown(there), expected[4])
    (path,) = result.save(str(tmp_path / "all.ome.tif"))
    assert np.array_equal(np.asarray(read_image(path).pixels), expected)
    rest()
    assert np.array_equal(shown(twin), expected[12])
    assert np.array_equal(shown(result), expected[12])


def test_scrubbing_computes_what_is_looked_at_in_the_end(viewer, lazily, parts, until, rest, monkeypatch):
    monkeypatch.setattr(lazy_planes, "REST", 10**6)  # however late the threads are
    result, image = lazily()
    expected = denoise(image)
    parts.gate.clear()
    for plane in range(1, PLANES):
        go_to(viewer, plane)
        assert is_empty(result)
        if plane == 3:
            until(lambda: len(parts.begun) == 2)
    parts.gate.set()
    rest()
    assert np.array_equal(shown(result), expected[-1])
    assert parts.computed == [(0,), (3,), (PLANES - 1,)]  # what was begun is finished: it is soon done, and there the next time
    monkeypatch.setattr(lazy_planes, "REST", 50)
    parts.gate.clear()
    go_to(viewer, 7)
    until(lambda: parts.begun[-1] == (7,))
    go_to(viewer, 9)
    until(lambda: parts.begun[-1] == (9,))  # but not where it takes long
    until(lambda: len(computing_threads()) == 1)
    parts.gate.set()
    rest()
    assert np.array_equal(shown(result), expected[9])
    assert (7,) not in parts.computed


def test_a_volume_comes_plane_by_plane_if_memory_holds_it(viewer, lazily, parts, until, rest, noisy, monkeypatch):
    result, image = lazily(noisy((6, 48, 40)))
    expected = denoise(image)
    with monkeypatch.context() as scarce:
        scarce.setattr(memory, "free_memory_of_machine", lambda: 100)
        scarce.setattr(lazy_view, "MOST_AT_ONCE", 0)
        viewer.dims.ndisplay = 3
        rest()
        assert is_empty(result)
        assert note(viewer) == "cells denoised: could not be computed"
        viewer.dims.ndisplay = 2
        assert np.array_equal(shown(result), expected[0])
        assert note(viewer) == ""
    monkeypatch.setattr(redrawing, "SHORTEST_PAUSE", 0)
    parts.gate.clear()
    viewer.dims.ndisplay = 3
    assert np.array_equal(shown(result)[0], expected[0])  # which was there
    assert np.isnan(shown(result)[1:]).all()
    assert note(viewer) == "cells denoised: computing… 17 %"
    parts.gate.set()
    rest()
    assert np.array_equal(shown(result), expected)
    assert threading.main_thread() not in parts.threads
    assert len(parts.computed) == 6


def test_a_large_plane_comes_part_by_part(viewer, lazily, rest, noisy, monkeypatch):
    monkeypatch.setattr(lazy, "SIDE", 64)
    monkeypatch.setattr(redrawing, "SHORTEST_PAUSE", 0)
    result, image = lazily(noisy((3, 150, 190)))
    missing = []
    result.events.set_data.connect(lambda _: missing.append(np.isnan(shown(result))))
    go_to(viewer, 2)
    rest()
    assert np.array_equal(shown(result), denoise(image)[2])
    assert missing[0].shape == (1, 1)
    first = next(picture for picture in missing if 0 < picture.mean() < 1)
    assert not first[64:128, 64:128].any()  # what is in the middle of the view


def test_a_large_plane_is_shown_as_soon_as_the_first_part_of_it_is_there(viewer, lazily, parts, rest, noisy, monkeypatch):
    monkeypatch.setattr(lazy, "SIDE", 64)
    computed = []
    viewer.layers.events.inserted.connect(lambda _: computed.append(len(parts.computed)))
    result, image = lazily(noisy((3, 150, 190)))
    assert computed == [0, 1]  # the image, and its result
    rest()
    assert np.array_equal(shown(result), denoise(image)[0])


def test_time_and_depth_and_planes_across(viewer, lazily, parts, rest, noisy):
    result, image = lazily(noisy((3, 4, 32, 40)), axis_labels=("t", "z", "y", "x"))
    expected = denoise(image, axes="TZYX")
    parts.gate.clear()
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 1)
    assert note(viewer) == "cells denoised, t 2, z 1: computing…"
    viewer.dims.order = (2, 1, 0, 3)
    viewer.dims.set_current_step(2, 5)
    assert note(viewer) == "cells denoised: computing… 33 %"  # of one time the plane is there
    parts.gate.set()
    rest()
    assert np.array_equal(shown(result), expected[:, 1, 5])
    viewer.dims.order = (1, 0, 2, 3)
    rest()
    assert np.array_equal(shown(result), expected[2, 1])
    assert threading.main_thread() not in parts.threads


def test_colours_and_integers_have_no_pixel_until_they_are_there(viewer, dock, lazily, parts, rest, noisy):
    colours = (np.stack([noisy((4, 48, 40), seed) for seed in range(3)], -1) / 4).astype(np.uint8)
    coloured, _ = lazily(colours, "colours", rgb=True)
    dock.form.advanced.output.value = "input"
    counted, _ = lazily(noisy((4, 48, 40)), "counts")
    parts.gate.clear()
    go_to(viewer, 2)
    assert not shown(coloured)[..., 3].any()
    assert is_empty(counted)
    parts.gate.set()
    rest()
    for layer, dtype in ((coloured, np.uint8), (counted, np.uint16)):
        assert shown(layer).dtype == layer.dtype == dtype
        assert np.array_equal(shown(layer), layer.data[2].compute())


def test_a_layer_or_viewer_that_goes_leaves_nothing(viewer, lazily, parts, until, rest):
    result, _ = lazily()
    there = ref(result.data.result)
    parts.gate.clear()
    go_to(viewer, 7)
    until(lambda: parts.begun[-1] == (7,))
    viewer.layers.remove(result)
    assert note(viewer) == ""
    rest()  # although the gate is closed
    assert parts.computed == [(0,)]
    del result
    until(lambda: gc.collect() >= 0 and there() is None)
    parts.gate.set()
    lazily(name="others")
    parts.gate.clear()
    viewer.dims.ndisplay = 3
    until(lambda: len(parts.begun) == 4)
    viewer.close()
    rest()
    assert len(parts.computed) == 2


def test_an_error_is_told_once_and_tried_again_when_asked_again(viewer, lazily, parts, rest):
    result, image = lazily()
    told = []
    notification_manager.notification_ready.connect(told.append)
    try:
        parts.errors.append(ComputationError("The device is lost."))
        for plane in (7, 8, 7):
            go_to(viewer, plane)
            rest()
        result.refresh()
        rest()
        assert is_empty(result)
        assert len(parts.begun) == 4  # not again for a redraw
        assert [notification.message for notification in told] == [
            "cells denoised: what it shows could not be computed. The device is lost."
        ]
        assert note(viewer) == "cells denoised, plane 7: could not be computed"
        parts.errors.clear()
        result.visible = False
        assert note(viewer) == ""
        result.visible = True
        rest()
        assert np.array_equal(shown(result), denoise(image)[7])
        assert note(viewer) == ""
    finally:
        notification_manager.notification_ready.disconnect(told.append)


class Broken:
    """A stack of files, of which some plane cannot be read."""

    def __init__(self, image: np.ndarray, read: Any) -> None:
        self.image, self.read, self.shape, self.dtype, self.ndim = image, read, image.shape, image.dtype, image.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        """What was asked for, but of plane 7."""
        return self.read(self.image[index]) if index[0] in (7, slice(7, 8)) else self.image[index]


def _gone(_: Any) -> np.ndarray:
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/7.tif")


def _too_much(_: Any) -> np.ndarray:
    raise MemoryError


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (
            _gone,
            "image: its plane 7 could not be read (No such file or directory: /data/7.tif); see whether its files are all there and whole",
        ),
        (lambda plane: plane[..., ::2], "plane 7 could not be read (it has the shape (48, 20), not (48, 40)); see whether its files"),
        (_too_much, "There is not enough memory for this; close other programs"),
    ],
)
def test_a_plane_that_cannot_be_read_is_tried_again_when_the_user_says_so(viewer, lazily, rest, noisy, told, read, said):
    image = noisy((PLANES, 48, 40))
    broken = Broken(image, read)
    result, _ = lazily(da.from_array(broken, chunks=(1, 48, 40), asarray=False))
    viewer.layers["cells"].visible = False  # napari itself would fail, and say so
    go_to(viewer, 7)
    rest()
    assert [notice.startswith("cells denoised: what it shows could not be computed. ") for notice in told] == [True]
    assert said in told[0]
    assert told[0].endswith(". To try again, hide this layer and show it.")
    broken.read = lambda plane: plane
    result.visible = False
    result.visible = True
    rest()
    assert np.array_equal(shown(result), denoise(image)[7])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no kernel"), "fast failed on cpu: no kernel; denoise the image again with another model."),
        (MemoryError(), "cpu: out of memory even for the smallest tile of 8 pixels; close other programs. To try again, hide"),
        (
            ComputationError("fast failed on cuda:0: no kernel.", mend="failing_device", python="try device='cpu'"),
            'no kernel; denoise the image again with the CPU at "Device", under "Advanced".',
        ),
    ],
)
def test_what_fails_says_what_helps_a_layer_that_exists(viewer, lazily, rest, told, monkeypatch, error, said):
    lazily()

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(DenoisingRun, "_run_network", fail)
    go_to(viewer, 7)
    rest()
    assert said in told[0]


def test_of_channels_that_are_added_up_the_noisy_one_is_seen_meanwhile(viewer, dock, lazily, parts, rest):
    result, _ = lazily(blending="additive")
    noisy = viewer.layers["cells"]
    assert not noisy.visible
    parts.gate.clear()
    go_to(viewer, 7)
    assert planes_of_all().view_of(result).is_wanted
    QApplication.processEvents()
    assert noisy.visible
    parts.gate.set()
    rest()
    assert not noisy.visible
    parts.gate.clear()
    go_to(viewer, 8)
    QApplication.processEvents()
    viewer.layers.remove(result)
    assert noisy.visible
    rest()
    assert noisy.visible


def test_contrast_is_never_that_of_nothing(viewer, lazily, parts, rest, noisy):
    result, image = lazily(noisy((PLANES, 48, 40)) + 5000, contrast_limits=(5000, 5900))
    parts.gate.clear()
    go_to(viewer, 7)
    result.reset_contrast_limits()
    parts.gate.set()
    rest()
    plane = denoise(image)[7]
    np.testing.assert_allclose(result.contrast_limits, (plane.min(), plane.max()), rtol=1e-5)
    assert result.contrast_limits_range[0] > 4000
    result.auto_contrast = True
    for at in (8, 7):
        go_to(viewer, at)
        rest()
        plane = denoise(image)[at]
        np.testing.assert_allclose(result.contrast_limits, (plane.min(), plane.max()), rtol=1e-5)
    assert result.contrast_limits_range[0] > 4000
    result.auto_contrast = False
    parts.gate.clear()
    go_to(viewer, 11)
    result.reset_contrast_limits()
    QApplication.processEvents()
    result.visible = False  # while the plane is computed
    parts.gate.set()
    rest()
    result.visible = True
    rest()
    plane = denoise(image)[11]
    np.testing.assert_allclose(result.contrast_limits, (plane.min(), plane.max()), rtol=1e-5)


class Late:
    """Threads that are held up after each part of a result that they have, until it is their turn."""

    def __init__(self) -> None:
        self.of: LazyResult | None = None
        self.turns: list[threading.Event] = []

    def wait(self, result: LazyResult) -> None:
        """What a thread does that has a part."""
        if result is self.of and threading.current_thread() is not threading.main_thread():
            turn = threading.Event()
            self.turns.append(turn)
            assert turn.wait(60)


@pytest.fixture
def late(monkeypatch) -> Iterator[Late]:
    late, part = Late(), LazyResult.part

    def held_up(self: LazyResult, where: Any) -> np.ndarray:
        values = part(self, where)
        late.wait(self)
        return values

    monkeypatch.setattr(LazyResult, "part", held_up)
    yield late
    late.of = None
    for turn in late.turns:
        turn.set()


@pytest.fixture
def two(viewer, lazily, late, noisy, monkeypatch) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Two results with what they show of plane 7; the first one's thread is held up there as soon as it is looked at."""
    monkeypatch.setattr(lazy_planes, "REST", 0)
    (first, image), (second, other) = lazily(name="first"), lazily(noisy((PLANES, 48, 40), 1), "second")
    second.visible = False
    late.of = first.data.result
    return first, second, denoise(image)[7], denoise(other)[7]


def test_a_thread_that_was_given_up_and_is_late_is_done_again(viewer, two, late, parts, until, rest):
    first, second, in_first, in_second = two
    go_to(viewer, 7)
    until(lambda: len(late.turns) == 1)
    parts.gate.clear()
    begun = len(parts.begun)
    second.visible = True  # asked for last: it is computed in place of the first
    until(lambda: len(parts.begun) > begun)
    late.of = None
    late.turns[0].set()
    until(lambda: len(computing_threads()) == 1)
    parts.gate.set()
    rest()
    assert np.array_equal(shown(second), in_second)
    assert np.array_equal(shown(first), in_first)


def test_a_thread_that_was_given_up_and_is_late_does_not_disturb_the_next_one(viewer, two, late, until, rest):
    first, second, in_first, in_second = two
    go_to(viewer, 7)
    until(lambda: len(late.turns) == 1)
    second.visible = True
    until(lambda: len(late.turns) == 2)  # the first one's turn again, while its old thread has not ended
    late.turns[0].set()
    until(lambda: len(computing_threads()) == 1)
    late.turns[1].set()
    rest()
    assert np.array_equal(shown(second), in_second)
    assert np.array_equal(shown(first), in_first)
