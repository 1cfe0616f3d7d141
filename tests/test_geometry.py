"""Axes, tiles, statistics and numbers: what needs no network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.numerics import choose_numerics
from napari_ne_denoise.core.pixels import result_dtype, to_dtype
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings
from napari_ne_denoise.core.statistics import lattice, plane_statistics
from napari_ne_denoise.core.tiling import Grid, halve, nearest_first, tile_plane

lengths = st.integers(1, 300)
grids = st.builds(lambda reach, stride: Grid(reach, 2**stride), st.integers(0, 100), st.integers(0, 4))


@given(shape=st.tuples(lengths, lengths), tile_size=st.integers(1, 400), grid=grids)
@settings(deadline=None, max_examples=60)
def test_every_pixel_is_kept_once_and_read_with_its_halo(shape, tile_size, grid):
    if np.prod(shape) / tile_size**2 > 3000:
        tile_size += 20
    count = np.zeros(shape, int)
    for tile in tile_plane(shape, tile_size, grid):
        count[tile.keep] += 1
        for keep, read, length in zip(tile.keep, tile.read, shape, strict=True):
            assert read.start % grid.stride == 0
            assert read.start == 0 or read.start <= keep.start - grid.reach
            assert read.stop == length or (read.stop >= keep.stop + grid.reach and read.stop % grid.stride == 0)
        inner = np.zeros([r.stop - r.start for r in tile.read])[tile.inner]
        assert inner.shape == count[tile.keep].shape
        assert tile.pixels == inner.size
    assert (count == 1).all()


@given(shape=st.tuples(lengths, lengths), tile_size=st.integers(1, 400), grid=grids)
@settings(deadline=None, max_examples=30)
def test_halving_a_tile_keeps_the_same_pixels(shape, tile_size, grid):
    tile = tile_plane(shape, tile_size, grid)[-1]
    pieces = halve(tile, shape, grid)
    assert len(pieces) != 1
    if pieces:
        count = np.zeros(shape, int)
        for piece in pieces:
            count[piece.keep] += 1
        assert (count[tile.keep] == 1).all()
        assert count.sum() == tile.pixels


def test_halving_ends():
    grid, tiles = Grid(5, 8), tile_plane((100, 60), 100, Grid(5, 8))
    for _ in range(20):
        tiles = [piece for tile in tiles for piece in halve(tile, (100, 60), grid) or [tile]]
    assert max(max(k.stop - k.start for k in tile.keep) for tile in tiles) == grid.stride


def test_the_tile_under_the_point_comes_first():
    first = nearest_first(tile_plane((300, 300), 64, Grid(3, 1)), (200, 10))[0]
    assert first.keep[0].start <= 200 < first.keep[0].stop
    assert first.keep[1].start <= 10 < first.keep[1].stop


@pytest.mark.parametrize(
    ("shape", "axes", "channel_axis", "plane_shape", "count"),
    [
        ((5, 6), None, None, (5, 6), 1),
        ((2, 3, 4, 5, 6, 7), None, None, (6, 7), 120),
        ((40, 50, 3), None, -1, (40, 50), 3),
        ((40, 3, 50), None, 1, (40, 50), 3),
        ((40, 50, 3), "YXC", None, (40, 50), 3),
        ((40, 50, 3), "zyx", None, (50, 3), 40),
        ((7, 8), "XY", None, (8, 7), 1),
        ((4, 9, 8), "XZY", None, (8, 4), 9),
        ((10, 12, 3), None, None, (12, 3), 10),
    ],
)
def test_planes(shape, axes, channel_axis, plane_shape, count):
    layout = plan_planes(shape, axes, channel_axis)
    assert layout.plane_shape == plane_shape
    assert layout.plane_count == count == len(list(layout.planes()))
    seen = np.zeros(shape, int)
    for plane in layout.planes():
        window = layout.window(plane, slice(0, 2), slice(0, 3))
        assert layout.to_image(seen[window]).shape == (min(2, plane_shape[0]), min(3, plane_shape[1]))
        seen[plane] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("shape", "axes", "channel_axis", "error", "words"),
    [
        ((5,), None, None, ImageError, "2 to 6 axes"),
        ((1,) * 7, None, None, ImageError, "2 to 6 axes"),
        ((5, 0), None, None, ImageError, "empty"),
        ((64, 65, 3), None, None, ImageError, "channel_axis=-1.*axes="),
        ((9, 64, 65, 4), None, None, ImageError, "channel_axis=-1.*axes="),
        ((5, 6), "YZ", None, SettingsError, "Y and X"),
        ((5, 6), "YXZ", None, SettingsError, "2 different letters"),
        ((5, 6, 7), "YXX", None, SettingsError, "different letters"),
        ((5, 6), None, 2, SettingsError, "give -2 to 1"),
        ((5, 6), None, 0, SettingsError, "no two axes left"),
        ((5, 6, 7), "ZYX", 1, SettingsError, "calls that axis Y"),
    ],
)
def test_axes_that_cannot_be_are_refused(shape, axes, channel_axis, error, words):
    with pytest.raises(error, match=words):
        plan_planes(shape, axes, channel_axis)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tile_size": 0}, "positive number of pixels"),
        ({"tile_size": 2.5}, "positive number of pixels"),
        ({"tile_size": True}, "positive number of pixels"),
        ({"sigma": -1}, "positive number"),
        ({"sigma": float("nan")}, "positive number"),
        ({"sigma": "much"}, "positive number"),
        ({"sigma": 10**400}, "positive number"),
        ({"noise": np.array([1, 2])}, "'none'"),
        ({"precision": "double"}, "'float32'"),
        ({"output_dtype": "uint8"}, "'input'"),
        ({"nonfinite": "drop"}, "'keep'"),
        ({"noise": "gaussian"}, "'none'"),
        ({"channel_axis": "last"}, "number of an axis"),
        ({"device": 0}, "'cuda'"),
        ({"tilesize": 3}, "no such setting"),
    ],
)
def test_settings_say_what_is_accepted(changes, words):
    with pytest.raises(SettingsError, match=words):
        DEFAULTS.changed(**changes)


def test_settings_are_frozen_and_recorded():
    settings_ = DenoiseSettings(tile_size=np.int64(64), sigma=np.float32(2))
    with pytest.raises(AttributeError):
        settings_.tile_size = 3
    assert settings_.as_record()["tile_size"] == 64
    assert set(settings_.as_record()) == set(DenoiseSettings.__dataclass_fields__)


@given(shape=st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
@settings(deadline=None)
def test_the_lattice_lies_inside_and_reaches_the_corners(shape):
    blocks = lattice(shape)
    assert len(blocks) <= 64
    for axis, length in enumerate(shape):
        starts, stops = {block[axis].start for block in blocks}, {block[axis].stop for block in blocks}
        assert min(starts) == 0
        assert max(stops) == length
        assert all(block[axis].stop - block[axis].start == min(length, 128) for block in blocks)


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e6, 1e6))
@settings(deadline=None, max_examples=30)
def test_statistics_are_equivariant(scale, shift):
    y = np.random.default_rng(0).gamma(2, 3, (150, 90))
    before, after = (plane_statistics(lambda r, c, z=z: z[r, c], y.shape) for z in (y, scale * y + shift))
    digits = 1e-9 * (1 + abs(shift) / scale)
    assert after.mean == pytest.approx(scale * before.mean + shift, rel=1e-12, abs=scale * digits)
    assert after.std == pytest.approx(scale * before.std, rel=digits)
    assert after.noise == pytest.approx(scale * before.noise, rel=digits)


def test_statistics_are_those_of_the_plane_and_its_noise():
    rng = np.random.default_rng(1)
    y = np.linspace(0, 50, 256)[:, None] + 3 * rng.standard_normal((256, 256))
    found = plane_statistics(lambda r, c: y[r, c], y.shape)
    assert found.mean == pytest.approx(y.mean(), rel=1e-12)
    assert found.std == pytest.approx(y.std(), rel=1e-12)
    assert found.noise == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("value", [0.1, -3e300, 0.0, 5e-324, 2**64 - 1])
def test_statistics_of_a_constant_plane(value):
    y = np.full((130, 7), value)
    found = plane_statistics(lambda r, c: y[r, c], y.shape)
    assert (found.mean, found.std, found.noise) == (y.flat[0], 1, 0)


def test_statistics_at_the_ends_of_float64():
    y = np.random.default_rng(2).standard_normal((20, 20))
    for scale in (1e-300, 1e300):
        z = y * scale
        assert plane_statistics(lambda r, c, z=z: z[r, c], z.shape).std / scale == pytest.approx(y.std())


def test_numerics_follow_the_models_law():
    y = np.random.default_rng(3).integers(100, 200, (40, 40)).astype(np.uint16)
    read = lambda r, c: y[r, c]  # noqa: E731
    statistics = plane_statistics(read, y.shape)
    assert choose_numerics("norm-equiv", statistics, y.dtype, read).shift == statistics.mean
    scaled = choose_numerics("scale-equiv", statistics, y.dtype, read)
    assert (scaled.shift, scaled.scale) == (0, statistics.std)
    assert choose_numerics("ordinary", statistics, y.dtype, read).scale == 65535
    by_pixels = choose_numerics("ordinary", statistics, np.dtype(float), read)
    assert (by_pixels.shift, by_pixels.scale) == (y.min(), np.ptp(y))
    for numerics in (scaled, by_pixels):
        np.testing.assert_allclose(numerics.back(numerics.forward(y)), y, rtol=1e-14)


@pytest.mark.parametrize(
    ("given_", "auto"),
    [("u1", "f4"), ("i2", "f4"), ("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("u8", "f8"), (">f4", "f4"), (">u2", "f4")],
)
def test_result_dtype(given_, auto):
    assert result_dtype(np.dtype(given_), "auto") == np.dtype(auto)
    assert result_dtype(np.dtype(given_), "input") == np.dtype(given_)
    assert result_dtype(np.dtype(given_), "float64") == np.float64


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "i8"])
def test_integers_are_rounded_and_clipped(dtype):
    limits = np.iinfo(dtype)
    found = to_dtype(np.array([-1e30, -0.6, 0.4, 2.5001, 1e30]), np.dtype(dtype))
    assert found.dtype == dtype
    assert found[0] == limits.min
    assert found[1] == max(-1, limits.min)
    assert found[2:4].tolist() == [0, 3]
    assert found[4] == limits.max or found[4] > limits.max * 0.999999
