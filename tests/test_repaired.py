import threading
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest

from napari_ne_denoise import denoise
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.noise.repaired import RepairedImage

HOT = ((5, 7), (40, 90), (100, 33))


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :128]
    clean = 500 + 100 * np.sin(rows / 15) * np.cos(columns / 12)
    stack = (clean + rng.normal(0, 10, (3, 120, 128))).astype(np.float32)
    stack[:, *np.transpose(HOT)] += 2000
    return stack


def _repaired(image, **settings):
    run = prepare_denoising(image, hot_pixels="repair", **settings)
    return run, RepairedImage(run.repairs, run.layout, image.dtype)


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "QYX"])
def test_it_is_what_strength_counts_from(image, axes):
    _, repaired = _repaired(image, axes=axes)
    assert np.array_equal(repaired[:], denoise(image, hot_pixels="repair", axes=axes, strength=0))
    assert (repaired[:][:, *np.transpose(HOT)] < 1000).all()
    assert repaired.shape == image.shape
    assert repaired.dtype == image.dtype


@pytest.mark.parametrize("index", [(1,), (slice(0, 2), slice(3, 60)), (2, slice(30, 110), slice(20, 99)), (-1, 40, slice(None)), (0, 5, 7)])
def test_parts_are_those_of_the_whole(image, index):
    _, repaired = _repaired(image)
    assert np.array_equal(repaired[index], repaired[:][index])


def test_a_part_of_an_image_begins_elsewhere(image):
    run, whole = _repaired(image)
    part = RepairedImage(run.repairs, run.layout, image.dtype, (slice(1, 2), slice(0, 120), slice(0, 128)))
    assert part.shape == (1, 120, 128)
    assert np.array_equal(part[:], whole[1:2])
    assert np.array_equal(part[0, 30:50], whole[1, 30:50])


def test_axes_in_any_order_lazy_arrays_and_missing_values(image):
    turned = np.ascontiguousarray(image.transpose(2, 1, 0))
    turned[3, 4, 1] = np.nan
    _, expected = _repaired(turned, axes="XYT", nonfinite="keep")
    assert np.isnan(expected[3, 4, 1])
    assert np.array_equal(expected[2:90, 10:, 1], expected[:][2:90, 10:, 1], equal_nan=True)
    _, lazy = _repaired(da.from_array(image, chunks=50), axes="TYX")
    _, eager = _repaired(image, axes="TYX")
    assert np.array_equal(lazy[:, 3:], eager[:, 3:])


def test_two_threads_may_read_it(image):
    """One finds a plane open, and is late; the other one closes that for those that it opens."""
    _, repaired = _repaired(np.concatenate([image] * 3))
    expected = repaired[:]
    late, closed = threading.Event(), threading.Event()

    class Open(dict):
        def __contains__(self, place):
            found = super().__contains__(place)
            if threading.current_thread() is not threading.main_thread():
                late.set()
                closed.wait(0.5)  # for ever, where the other one has to wait
            return found

    repaired._open = Open(repaired._open)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(repaired.__getitem__, 8)
        assert late.wait(60)
        for plane in range(8):
            assert np.array_equal(repaired[plane], expected[plane])
        closed.set()
        assert np.array_equal(first.result(60), expected[8])
