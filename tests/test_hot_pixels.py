"""Hot and dead pixels: which are found, what is put in their place, and what is left alone."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_ne_denoise import Denoiser, denoise, estimate_noise, load_denoiser
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.noise import repair
from napari_ne_denoise.core.noise.hot_pixels import LonelyPixels
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.regions import Regions

SIDE = 320
STEP = 16  # between simulated spots


@pytest.fixture(scope="module")
def cells():
    """Photons of smooth cells over a background, noise-free."""
    rng = np.random.default_rng(3)
    seeds = np.zeros((SIDE, SIDE))
    seeds[tuple(rng.integers(0, SIDE, (2, 20)))] = rng.uniform(0.3, 1, 20)
    grown = ndimage.grey_dilation(seeds, footprint=np.hypot(*np.mgrid[-24:25, -24:25]) < 24)
    return 5 + 100 * ndimage.gaussian_filter(grown, 2)


@pytest.fixture(scope="module")
def hot():
    """Places of 30 hot and 10 dead pixels, none beside another, some at the border."""
    rng = np.random.default_rng(8)
    lattice = np.stack(np.meshgrid(np.arange(0, SIDE, 9), np.arange(0, SIDE, 9), indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([[[0, 0], [0, 99], [SIDE - 1, 180]], rng.permutation(lattice[40:])[:37]])


def spoiled(image, hot):
    """Three of four places hot, the others dead where it is bright enough to tell."""
    image = image.astype(np.float64)
    image[tuple(hot[:30].T)] += 400
    image[tuple(hot[30:].T)] = 0
    return image


def photons(clean, seed=0):
    return np.random.default_rng(seed).poisson(clean).astype(np.float64)


def repaired(image, **settings):
    """The result, and what the record says of repairs."""
    run = prepare_denoising(image, hot_pixels="repair", **settings)
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    return result, run.provenance["decided"]["hot_pixels"]


def as_read(image, **settings):
    """What the network is given of a single plane."""
    run = prepare_denoising(image, hot_pixels="repair", **settings)
    (plane,) = run.layout.planes()
    return run.repairs.open_plane(plane)[0](slice(None), slice(None))


@pytest.fixture(scope="module")
def gaussian_only():
    fast = load_denoiser("fast")
    return Denoiser(fast.network, ModelCard("of Gaussian noise", gaussian_only=True))


def spots(width, height, background, seed=0):
    """Point sources of a Gaussian profile, at any place between pixels."""
    rng, count = np.random.default_rng(seed), SIDE // STEP
    clean, at = np.full((SIDE, SIDE), float(background)), np.arange(-6, 7)
    for row in range(count):
        for column in range(count):
            y, x = (np.exp(-((at - shift) ** 2) / (2 * width**2)) for shift in rng.uniform(-0.5, 0.5, 2))
            clean[row * STEP + 1 : row * STEP + 14, column * STEP + 1 : column * STEP + 14] += height * np.outer(y, x)
    return clean


def test_a_network_keeps_hot_pixels_and_repair_removes_them(cells, hot):
    noisy = photons(cells)
    places = tuple(hot[:30].T)
    without = denoise(noisy)
    kept = denoise(spoiled(noisy, hot))
    assert np.median((kept - without)[places]) > 200  # bright puncta
    result, (record,) = repaired(spoiled(noisy, hot))
    assert np.abs((result - without)[places]).max() < 12  # the noise of the image is 2 to 10
    assert 30 <= record["repaired"] <= 40
    assert record["per_megapixel"] == pytest.approx(1e6 * record["repaired"] / SIDE**2, abs=0.001)


def test_by_default_nothing_is_repaired(cells, hot):
    noisy = spoiled(photons(cells), hot)
    np.testing.assert_array_equal(denoise(noisy), denoise(noisy, hot_pixels="keep"))
    assert "hot_pixels" not in prepare_denoising(noisy).provenance["decided"]
    with pytest.raises(SettingsError, match="'keep', 'repair'"):
        denoise(noisy, hot_pixels="remove")


def test_what_is_put_in_their_place_is_the_median_of_good_neighbours(cells, hot):
    noisy = spoiled(photons(cells), hot)
    found = as_read(noisy)
    np.testing.assert_array_equal(as_read(noisy.astype(np.uint16)), found)
    changed = np.argwhere(found != noisy)
    assert {tuple(at) for at in changed.tolist()} <= {tuple(at) for at in hot.tolist()}
    for y, x in changed:
        around = noisy[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        others = np.delete(around.ravel(), np.flatnonzero(around == noisy[y, x])[0])
        assert found[y, x] == np.sort(others)[(len(others) - 1) // 2]


@pytest.mark.parametrize("light", [0.1, 1.0, 3.0, 10.0, 1000.0])
def test_photons_are_no_hot_pixels(cells, light):
    """At one photon a pixel, isolated bright pixels are natural: less than one in a megapixel may be repaired."""
    rng, count = np.random.default_rng(0), 0
    for clean in (np.full((1024, 1024), light), np.tile(cells / 100 * light, (3, 3))):
        noisy = rng.poisson(clean).astype(np.float64)
        count += len(LonelyPixels(estimate_noise(noisy)).find(noisy))
    assert count == 0


@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_gaussian_noise_is_no_hot_pixels_and_far_ones_are(sigma):
    noisy = sigma * np.random.default_rng(0).standard_normal((1024, 1024))
    lonely = LonelyPixels(estimate_noise(noisy))
    assert not len(lonely.find(noisy))
    noisy[7::32, 7::32] += 12 * sigma
    found = lonely.find(noisy)
    assert (found % 32 == 7).all()
    assert len(found) > 0.95 * 32**2


@pytest.mark.parametrize("background", [1, 10, 100])
@pytest.mark.parametrize("width", [0.8, 1.0, 1.5])
def test_point_sources_seen_through_a_lens_survive(width, background):
    noise = NoiseModel(gain=1.0, offset=0.0, read_noise=1.0)
    for height in (10, 30, 100, 300, 1000, 10_000):
        noisy = photons(spots(width, height, background)) + np.random.default_rng(1).standard_normal((SIDE, SIDE))
        assert not len(LonelyPixels(noise).find(noisy))


def test_sharp_lines_corners_and_ends_survive():
    image = np.full((64, 64), 10.0)
    image[20:40, 20:40] = 500  # corners
    image[50, 5:30] = 500  # a line of one pixel, and its ends
    image[np.arange(5, 18), np.arange(40, 53)] = 500
    noisy = image + np.random.default_rng(0).standard_normal(image.shape)
    assert not len(LonelyPixels(NoiseModel(gain=0.0, offset=0.0, read_noise=1.0)).find(noisy))


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0.0), (250.0, -4e4), (7.0, 1e5)])
def test_the_law_holds_with_repair(cells, hot, scale, shift):
    noisy = spoiled(photons(cells), hot)
    expected, before = repaired(noisy, precision="float32")
    found, after = repaired(scale * noisy + shift, precision="float32")
    assert after == before
    np.testing.assert_allclose((found - shift) / scale, expected, atol=0.01)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_windows_are_those_of_the_whole_and_strength_counts_from_the_repaired_image(cells, hot, dtype):
    noisy = spoiled(photons(cells), hot).astype(dtype)
    if dtype == np.float32:
        noisy[200:220, 40:60] = np.nan
    settings = {"nonfinite": "keep", "precision": "float32"}
    run = prepare_denoising(noisy, hot_pixels="repair", **settings)
    (plane,), window = run.layout.planes(), (slice(31, 300), slice(20, 200))
    region = Regions(run).compute(plane, window)
    for strength in (0, 0.4, 1):
        expected, _ = repaired(noisy, strength=strength, **settings)
        np.testing.assert_array_equal(region.at(strength), expected[window])
    if dtype == np.uint16:
        np.testing.assert_array_equal(repaired(noisy, strength=0, **settings)[0], as_read(noisy))


@pytest.mark.parametrize("noise", ["auto", "none"])
def test_tiles_give_the_bits_of_the_whole(cells, hot, gaussian_only, monkeypatch, noise):
    noisy = spoiled(photons(cells), hot)
    settings = {"model": gaussian_only, "noise": noise, "precision": "float32"}
    whole, record = repaired(noisy, tile_size=512, **settings)
    monkeypatch.setattr(repair, "SIDE", 37)  # nor does it depend on the squares that are searched
    tiled, again = repaired(noisy, tile_size=48, **settings)
    np.testing.assert_array_equal(tiled, whole)
    assert again == record


def test_pixels_of_a_detector_are_the_same_in_all_frames(cells, hot):
    """What lights up in one frame stays, and what is weak in one frame is still repaired there."""
    frames = np.stack([photons(cells, seed) for seed in range(7)])
    for frame in frames:
        frame[:] = spoiled(frame, hot)
    flash, weak = (2, 150, 151), (3, *hot[5])
    frames[flash] += 500
    frames[weak] = frames[4][tuple(hot[5])] - 395
    result, (record,) = repaired(frames, axes="TYX")
    kept = denoise(frames, axes="TYX")
    assert record["where"].startswith("the same in all frames, as found in 7")
    assert 30 <= record["repaired"] <= 40
    assert result[flash] > 200
    assert kept[2][tuple(hot[0])] - result[2][tuple(hot[0])] > 200
    # over an axis that nobody named, each plane has its own
    result, (record,) = repaired(frames)
    assert result[flash] < 200
    assert record["where"] == "in each plane its own"
    assert record["repaired"] > 7 * 29


def test_z_is_the_focus_of_one_detector_and_channels_are_other_detectors(cells, hot):
    """Structure changes over Z, hot pixels do not."""
    stack = np.stack([[spoiled(photons(np.roll(cells, 30 * z, 1), z), hot), photons(np.roll(cells, 30 * z, 0), 9 + z)] for z in range(3)])
    result, (first, second) = repaired(stack, axes="ZCYX")
    assert (first["channel"], second["channel"]) == ([0], [1])
    assert first["repaired"] >= 30
    assert second["repaired"] == 0
    assert result[:, 0][(slice(None), *hot[0])].max() < 100


def test_colours_are_repaired_one_by_one(cells, hot):
    colours = np.stack([spoiled(photons(cells), hot), photons(cells, 1), photons(cells, 2)], -1).clip(0, 255).astype(np.uint8)
    _, records = repaired(colours, channel_axis=-1)
    assert [record["repaired"] > 0 for record in records] == [True, False, False]


def test_dask_and_zarr_give_what_numpy_gives(cells, hot, tmp_path):
    frames = np.stack([spoiled(photons(cells, seed), hot) for seed in range(4)]).astype(np.float32)
    stored = zarr.create_array(tmp_path / "frames.zarr", shape=frames.shape, chunks=(1, 128, 128), dtype=frames.dtype)
    stored[:] = frames
    expected = repaired(frames, axes="TYX")
    for lazy in (da.from_array(frames, chunks=(2, 100, 320)), stored):
        found = repaired(lazy, axes="TYX")
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1] == expected[1]


def test_planes_that_are_too_large_to_read_whole_are_searched_piece_by_piece(cells, hot, monkeypatch):
    frames = np.stack([spoiled(photons(cells, seed), hot) for seed in range(3)])
    expected = repaired(frames, axes="TYX", tile_size=64, precision="float32")
    monkeypatch.setattr("napari_ne_denoise.core.pixels.LARGEST_PLANE_READ_ONCE", 0)
    monkeypatch.setattr(repair, "SIDE", 50)
    largest = 0

    class Watched:
        shape, dtype = frames.shape, frames.dtype

        def __getitem__(self, index):
            nonlocal largest
            largest = max(largest, frames[index].size)
            return frames[index]

    found = repaired(Watched(), axes="TYX", tile_size=64, precision="float32")
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert largest < SIDE**2


def test_missing_values_come_back_and_hot_pixels_do_not(cells, hot):
    noisy = spoiled(photons(cells), hot)
    noisy[200:220, 40:60] = np.nan
    result, (record,) = repaired(noisy, nonfinite="keep")
    assert np.isnan(result[200:220, 40:60]).all()
    assert np.isnan(result).sum() == 400
    assert record["repaired"] >= 28


def test_a_noise_that_was_given_is_the_one_that_counts(cells, hot):
    noisy = spoiled(photons(cells), hot)
    for noise in (NoiseModel(gain=1000.0, offset=0.0, read_noise=0.0), NoiseModel(gain=0.0, offset=0.0, read_noise=1e3)):
        assert repaired(noisy, noise=noise)[1][0]["repaired"] == 0
    told = Denoiser(FDnCNN("norm-equiv", blind=False, channels=8, depth=4).eval().requires_grad_(False), ModelCard("told"))
    assert repaired(noisy, model=told, sigma=1e3)[1][0]["repaired"] == 0
    assert repaired(noisy, model=told, sigma=10.0)[1][0]["repaired"] >= 30


@pytest.mark.parametrize("image", [np.full((40, 40), 7.0), np.zeros((1, 9)), np.arange(4.0).reshape(2, 2)])
def test_without_noise_nothing_stands_out(image):
    result, (record,) = repaired(image)
    np.testing.assert_allclose(result, denoise(image))
    assert record["repaired"] == 0
    assert record["where"].startswith("no noise was found")


def test_the_input_is_untouched_and_the_record_is_json(cells, hot):
    noisy = spoiled(photons(cells), hot).astype(np.uint16)
    before = noisy.copy()
    _, record = repaired(noisy)
    np.testing.assert_array_equal(noisy, before)
    assert json.loads(json.dumps(record)) == record


def test_the_estimate_counts_them_and_offers_repair(cells, hot):
    clear = estimate_noise(photons(np.tile(cells, (2, 2))))
    assert clear.hot_per_megapixel == 0
    assert not clear.has_hot_pixels
    found = estimate_noise(spoiled(photons(cells), hot))
    assert found.has_hot_pixels
    assert found.hot_per_megapixel == pytest.approx(30e6 / SIDE**2, rel=0.5)
    bright = photons(spots(0.8, 1000, 10))  # puncta are none
    assert not estimate_noise(bright).has_hot_pixels
