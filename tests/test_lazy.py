import pickle

import dask.array as da
import numpy as np
import pytest

from napari_ne_denoise import denoise
from napari_ne_denoise.core import lazy
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.lazy import LazyResult, denoise_lazy
from napari_ne_denoise.core.settings import DEFAULTS


def _stack(shape, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return (400 + 200 * np.sin(rows / 9) * np.cos(columns / 7) + rng.normal(0, 40, shape)).astype(np.uint16)


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


def test_it_travels_to_other_processes():
    image = _stack((2, 40, 48))
    travelled = pickle.loads(pickle.dumps(LazyResult(image, DEFAULTS.changed(precision="float32"))))
    assert np.array_equal(travelled.array.compute(), denoise(image, precision="float32"))


def test_errors_come_at_once():
    with pytest.raises(NEDenoiseError, match="no such model"):
        denoise_lazy(_stack((40, 48)), model="nothing")
    with pytest.raises(NEDenoiseError, match="strength"):
        denoise_lazy(_stack((40, 48)), strength=2)
