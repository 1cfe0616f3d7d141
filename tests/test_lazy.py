import pickle
import threading

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback

from napari_ne_denoise import Denoiser, NoiseModel, denoise, estimate_noise, load_denoiser
from napari_ne_denoise.core import lazy, precision
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.lazy import LazyResult, denoise_lazy
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.settings import DEFAULTS


def _stack(shape, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return (400 + 200 * np.sin(rows / 9) * np.cos(columns / 7) + rng.normal(0, 40, shape)).astype(np.uint16)


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize(
    ("shape", "chunks", "settings"),
    [
        ((83, 91), (17, 38), {}),
        ((3, 83, 91), (2, 29, 91), {"axes": "TYX"}),
        ((2, 61, 3, 53), (1, 20, 2, 53), {"axes": "TXCY"}),
        ((2, 3, 2, 40, 45), (2, 2, 1, 13, 44), {"axes": "TCZYX", "hot_pixels": "repair"}),
        ((61, 53, 3), (61, 9, 1), {"channel_axis": -1}),
        ((5, 40, 45), (3, 40, 45), {"noise": "poisson-gaussian", "axes": "CYX"}),
    ],
)
def test_arrays_of_dask_give_the_bits_of_arrays_in_memory(shape, chunks, settings, precision):
    """Whatever their chunks: small planes are computed together in the one case, and one by one in the other."""
    image = np.random.default_rng(1).poisson(60, shape).astype(np.uint16)
    expected = denoise(image, precision=precision, **settings)
    lazily = da.from_array(image, chunks=chunks)
    np.testing.assert_array_equal(denoise(lazily, precision=precision, **settings), expected)
    np.testing.assert_array_equal(denoise_lazy(lazily, precision=precision, **settings).compute(), expected)


def test_planes_of_several_tiles_and_parts_give_the_bits_of_the_whole(monkeypatch):
    monkeypatch.setattr(lazy, "SIDE", 64)
    image = _stack((2, 150, 200))
    found = denoise_lazy(da.from_array(image, chunks=(2, 33, 71)), tile_size=40, precision="float32")
    np.testing.assert_array_equal(found.compute(), denoise(image, precision="float32"))


@pytest.mark.parametrize(
    "compute",
    [denoise, estimate_noise, lambda image: LazyResult(image, DEFAULTS).part(((0, 1), (0, 96), (0, 100)))],
    ids=["whole", "noise", "lazy"],
)
def test_who_listens_to_dask_hears_nothing_of_what_is_read(compute):
    """napari's cache, one for all threads, fails where two compute at once."""
    heard, image = [], _stack((2, 96, 100))
    with Callback(pretask=lambda *told: heard.append(told)):
        compute(da.from_array(image, chunks=(1, 96, 100)))
    assert heard == []


def test_masked_pixels_that_show_when_they_are_computed_are_refused_or_kept_as_nan():
    """Dask tells only then; the pixels below the mask were taken for the image."""
    image = _stack((2, 40, 50)).astype(np.float32)
    masked = da.from_array(image, chunks=(1, 40, 50)).map_blocks(lambda block: np.ma.masked_less(block, 300), dtype=image.dtype)
    for compute in (denoise, estimate_noise, lambda array: denoise_lazy(array).compute()):
        with pytest.raises(NEDenoiseError, match=r"masked pixels.*dask\.array\.ma\.filled"):
            compute(masked)
    filled = np.where(image < 300, np.nan, image)
    remedied = da.ma.filled(masked.astype(float), np.nan)
    np.testing.assert_array_equal(denoise(remedied, nonfinite="keep"), denoise(filled.astype(float), nonfinite="keep"))


def test_a_mask_of_dask_that_masks_nothing_is_no_obstacle():
    image = _stack((40, 50))
    np.testing.assert_array_equal(denoise(da.ma.masked_less(da.from_array(image, chunks=20), 0)), denoise(image))


@pytest.mark.parametrize("settings", [{}, {"strength": 0.4}, {"output_dtype": "input"}, {"axes": "XZY"}, {"noise": "poisson-gaussian"}])
def test_lazy_is_eager(settings):
    image = _stack((3, 70, 90)) if settings.get("axes") is None else np.ascontiguousarray(_stack((3, 70, 90)).transpose(2, 0, 1))
    found = denoise_lazy(image, precision="float32", **settings)
    expected = denoise(image, precision="float32", **settings)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(found.compute(), expected)


def test_large_planes_are_cut_and_the_parts_fit(monkeypatch):
    monkeypatch.setattr(lazy, "SIDE", 64)
    image = _stack((150, 200))
    found = denoise_lazy(da.from_array(image, chunks=50), precision="float32")
    assert found.chunks == ((64, 64, 22), (64, 64, 64, 8))
    assert np.array_equal(found.compute(), denoise(image, precision="float32"))


def test_only_what_is_asked_for_is_read_and_it_is_computed_once():
    read = []

    def plane(block_info=None):
        at = block_info[None]["array-location"][0][0]
        read.append(at)
        return _stack((1, 48, 40), at)

    image = da.map_blocks(plane, chunks=((1,) * 5, 48, 40), dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16))
    found = denoise_lazy(image)
    assert read == []
    first = found[3].compute()
    assert set(read) == {3}
    count = len(read)
    assert np.array_equal(found[3, 10:20].compute(), first[10:20])
    assert len(read) == count


def test_colours_are_planes_of_their_own():
    image = np.moveaxis(_stack((3, 40, 48)), 0, -1)
    found = denoise_lazy(image, channel_axis=-1, precision="float32")
    assert np.array_equal(found.compute(), denoise(image, channel_axis=-1, precision="float32"))


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(lazy, "KEPT", 2 * 40 * 48 * 4)
    result = LazyResult(_stack((5, 40, 48)), DEFAULTS)
    result.array.compute()
    assert len(result._kept) == 2
    parts = result.parts_in((slice(0, 5), slice(7, 9), slice(0, 48)))
    assert parts == [((plane, plane + 1), (0, 40), (0, 48)) for plane in range(5)]
    assert sum(result.kept(part) is not None for part in parts) == 2
    result.most_kept = 4 * 40 * 48 * 4
    for part in parts:
        result.part(part)
    assert [result.kept(part) is None for part in parts] == [True, False, False, False, False]


def test_what_is_there_is_given_while_something_else_is_computed(monkeypatch):
    result = LazyResult(_stack((2, 40, 48)), DEFAULTS)
    there, other = result.parts_in((slice(0, 2), slice(0, 40), slice(0, 48)))
    values, compute = result.part(there), LazyResult._part
    seen = []

    def part(self, where):
        thread = threading.Thread(target=lambda: seen.extend([result.kept(there), result.part(there), result.kept(other)]))
        thread.start()
        thread.join(10)
        return compute(self, where)

    monkeypatch.setattr(LazyResult, "_part", part)
    result.part(other)
    assert [id(one) for one in seen] == [id(values), id(values), id(None)]


def test_it_travels_to_other_processes():
    image = _stack((2, 40, 48))
    travelled = pickle.loads(pickle.dumps(LazyResult(image, DEFAULTS.changed(precision="float32"))))
    assert np.array_equal(travelled.array.compute(), denoise(image, precision="float32"))


def test_tasks_carry_neither_the_image_nor_the_model():
    """One task holds both, and all others need it: it travels to each process once."""
    image = _stack((4, 60, 70))
    (optimized,) = dask.optimize(denoise_lazy(image))
    sizes = sorted(len(cloudpickle.dumps(task)) for task in dict(optimized.__dask_graph__()).values())
    assert sizes[-1] > image.nbytes
    assert sizes[-2] < 2000


def test_what_another_process_decided_holds(monkeypatch):
    there = pickle.dumps(LazyResult(_stack((40, 48)), DEFAULTS.changed(device="cpu", tile_size=None)))
    decided = LazyResult(_stack((40, 48)), DEFAULTS.changed(device="cpu")).run
    monkeypatch.setattr(precision, "is_faster", lambda *_: not decided.precisions.halves)
    here = LazyResult(_stack((40, 48)), DEFAULTS.changed(device="cpu"))
    assert dict(here.run.precisions.halves) != dict(decided.precisions.halves)
    travelled = pickle.loads(there)
    assert dict(travelled.run.precisions.halves) == dict(decided.precisions.halves)
    assert travelled.run.tile_size == decided.tile_size
    assert pickle.loads(there) is travelled


def test_models_travel_by_name_or_with_their_weights():
    fast = load_denoiser("fast")
    assert len(pickle.dumps(fast)) < 200
    assert pickle.loads(pickle.dumps(fast)) is fast
    own = Denoiser(FDnCNN("norm-equiv", channels=4, depth=3).eval(), ModelCard("own"))
    image = _stack((40, 48))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(own))(image), own(image))


def test_errors_come_at_once():
    with pytest.raises(NEDenoiseError, match="no such model"):
        denoise_lazy(_stack((40, 48)), model="nothing")
    with pytest.raises(NEDenoiseError, match="strength"):
        denoise_lazy(_stack((40, 48)), strength=2)
    with pytest.raises(NEDenoiseError, match="is for error bars"):
        denoise_lazy(_stack((40, 48)), noise_model=NoiseModel(gain=1.0, offset=0.0, read_noise=1.0))
