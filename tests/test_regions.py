"""Laws of windows: each holds what the whole result holds there."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise import NoiseModel, denoise
from napari_ne_denoise.core import precision, regions
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.core.run import DenoisingRun

SHAPE = (210, 230)
FLOAT32 = {"precision": "float32", "device": "cpu"}


def noisy(*shape, dtype=np.uint16):
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return np.rint(500 + 200 * np.sin(rows / 9) * np.cos(columns / 7) + rng.normal(0, 40, shape)).astype(dtype)


Y = noisy(*SHAPE)
WHOLE = denoise(Y, **FLOAT32)


def opened(image, **how):
    """Windows of an image, and a function that gives the plane at a position."""
    run = prepare_denoising(image, **how)
    return Regions(run), run.layout.plane_at


def part(length):
    """A slice with start and stop."""
    return (
        st.tuples(st.integers(0, length - 1), st.integers(1, length)).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: slice(*ends))
    )


@given(rows=part(SHAPE[0]), columns=part(SHAPE[1]), tile_size=st.sampled_from([40, 100, None]))
@settings(max_examples=15, deadline=None)
def test_a_window_holds_the_bits_of_the_whole_result(rows, columns, tile_size):
    windows, plane_at = opened(Y, tile_size=tile_size, **FLOAT32)
    region = windows.compute(plane_at((0, 0)), (rows, columns))
    np.testing.assert_array_equal(region.at(1), WHOLE[rows, columns])
    np.testing.assert_array_equal(region.noisy, Y[rows, columns])
    np.testing.assert_array_equal(windows.read(plane_at((0, 0)), (rows, columns)), Y[rows, columns])


@pytest.mark.parametrize("output_dtype", ["auto", "input", "float64"])
@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_every_strength_and_type_comes_from_one_computation(strength, output_dtype):
    windows, plane_at = opened(Y, output_dtype=output_dtype, **FLOAT32)
    found = windows.compute(plane_at((0, 0)), (slice(31, 90), slice(200, 230))).at(strength)
    expected = denoise(Y, output_dtype=output_dtype, strength=strength, **FLOAT32)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected[31:90, 200:])


@pytest.mark.parametrize(
    "how", [{"axes": "XCY"}, {"noise": NoiseModel(gain=3.0, offset=100.0, read_noise=2.0)}, {"model": "ordinary-twin"}]
)
def test_planes_of_every_kind(how):
    y = noisy(120, 3, 90)
    windows, plane_at = opened(y, **how, **FLOAT32)
    expected = denoise(y, **how, **FLOAT32)
    if "axes" in how:
        found = windows.compute(plane_at((0, 2, 0)), (slice(20, 70), slice(0, 50))).at(1)
        np.testing.assert_array_equal(found, expected[0:50, 2, 20:70].T)
    else:
        found = windows.compute(plane_at((7, 0, 0)), (slice(0, 2), slice(3, 60))).at(1)
        np.testing.assert_array_equal(found, expected[7, :2, 3:60])


def test_pixels_that_are_no_numbers_stay():
    y = noisy(*SHAPE, dtype=np.float32)
    y[40, 50], y[60, 70] = np.nan, np.inf
    window = slice(30, 80), slice(45, 75)
    windows, plane_at = opened(y, nonfinite="keep", **FLOAT32)
    region = windows.compute(plane_at((0, 0)), window)
    np.testing.assert_array_equal(windows.read(plane_at((0, 0)), window), y[window])
    for strength in (0, 0.4, 1):
        np.testing.assert_array_equal(region.at(strength), denoise(y, nonfinite="keep", strength=strength, **FLOAT32)[window])


def test_a_plane_is_computed_in_the_precision_it_will_have(monkeypatch):
    """With auto, where nothing has to be repeated."""
    monkeypatch.setattr(precision, "is_faster", lambda *_: True)
    monkeypatch.setattr(precision, "HARMLESS", 1.0)
    windows, plane_at = opened(Y, device="cpu")
    assert "16" in str(windows._open(plane_at((0, 0))).precision)
    found = windows.compute(plane_at((0, 0)), (slice(31, 90), slice(100, 230))).at(1)
    np.testing.assert_array_equal(found, denoise(Y, device="cpu")[31:90, 100:])


class Counted:
    """An array-like that counts what is read of it."""

    def __init__(self, pixels):
        self.pixels, self.reads = pixels, []
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, index):
        self.reads.append(index)
        return self.pixels[index]


def test_a_window_reads_itself_and_its_surroundings_only(monkeypatch):
    monkeypatch.setattr(regions, "LARGEST_PLANE_READ_FOR_WINDOW", 1000)
    image = Counted(noisy(2, 1500, 1400))
    windows, plane_at = opened(image, **FLOAT32)
    plane, window = plane_at((1, 0, 0)), (slice(700, 764), slice(0, 80))
    first = windows.compute(plane, window).at(1)
    image.reads.clear()
    np.testing.assert_array_equal(windows.compute(plane, window).at(1), first)
    ((_, rows, columns),) = image.reads
    assert rows.start >= 700 - 104
    assert rows.stop <= 768 + 96
    assert columns.stop <= 80 + 96


def test_a_small_plane_that_is_not_in_memory_is_read_once():
    image = Counted(noisy(2, *SHAPE))
    windows, plane_at = opened(image, **FLOAT32)
    for start in (0, 50, 100):
        found = windows.compute(plane_at((1, 0, 0)), (slice(start, start + 40), slice(0, 80))).at(1)
        np.testing.assert_array_equal(found, denoise(image.pixels[1], **FLOAT32)[start : start + 40, :80])
    assert sum(index[0] == 1 and index[1] == slice(None) for index in image.reads) == 1


def test_statistics_are_taken_once_a_plane_and_few_planes_stay_open(monkeypatch):
    counted, open_planes = [], DenoisingRun.open_planes
    monkeypatch.setattr(DenoisingRun, "open_planes", lambda self, planes: counted.extend(planes) or open_planes(self, planes))
    windows, plane_at = opened(noisy(6, 40, 40), **FLOAT32)
    for at in (0, 1, 0, 2, 1, 3, 3):
        windows.compute(plane_at((at, 0, 0)), (slice(0, 8), slice(0, 8)))
    assert [plane[0] for plane in counted] == [0, 1, 2, 3]
    windows.compute(plane_at((4, 0, 0)), (slice(0, 8), slice(0, 8)))
    windows.compute(plane_at((0, 0, 0)), (slice(0, 8), slice(0, 8)))
    assert [plane[0] for plane in counted] == [0, 1, 2, 3, 4, 0]


def test_it_ends_when_it_is_not_wanted():
    windows, plane_at = opened(Y, **FLOAT32)
    stop = threading.Event()
    with interruptible(stop):
        windows.compute(plane_at((0, 0)), (slice(0, 8), slice(0, 8)))
        stop.set()
        with pytest.raises(Interrupted):
            windows.compute(plane_at((0, 0)), (slice(0, 8), slice(0, 8)))


@pytest.mark.parametrize("window", [(slice(3, 3), slice(0, 9)), (slice(0, 9), slice(0, 231)), (slice(-1, 9), slice(0, 9))])
def test_windows_that_are_none(window):
    windows, plane_at = opened(Y)
    with pytest.raises(SettingsError, match="no part of a plane of 210×230"):
        windows.compute(plane_at((0, 0)), window)
