"""What `denoise` does about noise before the network, and why."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import ndimage

from napari_ne_denoise import Denoiser, denoise, iter_denoise, load_denoiser
from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.registry import list_models
from napari_ne_denoise.core.networks import FDnCNN, NormalizedDenoiser
from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.profile import read_profile, write_profile
from napari_ne_denoise.core.noise.whitening import Whitener, whitener_for
from napari_ne_denoise.core.regions import Regions


@pytest.fixture(scope="module")
def photons():
    """Few photons on a slope, with a gain of 4 and an offset of 100."""
    light = np.linspace(1, 60, 160)[None, :] * np.ones((144, 1))
    return np.random.default_rng(0).poisson(light) * 4.0 + 100


@pytest.fixture(scope="module")
def gaussian_only():
    fast = load_denoiser("fast")
    return Denoiser(fast.network, dataclasses.replace(fast.card, name="of Gaussian noise", gaussian_only=True))


@pytest.fixture(scope="module")
def told():
    return Denoiser(FDnCNN("norm-equiv", blind=False, channels=8, depth=4).eval().requires_grad_(False), ModelCard("told"))


def decided(image, **settings):
    run = prepare_denoising(image, **settings)
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    return result, run.provenance["decided"]["noise"]


def test_ours_take_images_as_they_are(photons):
    result, (noise,) = decided(photons)
    assert not noise["stabilised"]
    assert noise["reason"] == "fast takes images as they are"
    np.testing.assert_array_equal(result, denoise(photons, noise="none"))


def test_published_models_are_known_to_be_of_gaussian_noise():
    assert {row.gaussian_only for row in list_models() if not row.packaged} == {True}
    assert {row.gaussian_only for row in list_models() if row.packaged} == {False}


def test_models_of_gaussian_noise_see_it_the_same_everywhere(photons, gaussian_only):
    result, (noise,) = decided(photons, model=gaussian_only, precision="float32")
    assert noise["stabilised"]
    assert noise["found"]["gain"] == pytest.approx(4, rel=0.15)
    there = VarianceStabilizer(estimate_noise(photons))
    by_hand = there.back(denoise(there.forward(photons), model=gaussian_only, noise="none", precision="float32"))
    np.testing.assert_allclose(result, by_hand, atol=1e-3)
    flat = photons[:, 60:100] * 0 + np.random.default_rng(1).normal(100, 5, (144, 40))
    assert not decided(flat, model=gaussian_only)[1][0]["stabilised"]


@pytest.mark.parametrize("noise", ["auto", "poisson-gaussian"])
def test_the_law_holds_with_stabilised_noise(photons, gaussian_only, noise):
    expected = denoise(photons, model=gaussian_only, noise=noise, precision="float32")
    found = denoise(1e-3 * photons - 7, model=gaussian_only, noise=noise, precision="float32")
    np.testing.assert_allclose((found + 7) * 1e3, expected, atol=0.02 * 4)


def test_tiles_give_the_bits_of_the_whole(photons, gaussian_only):
    settings = {"model": gaussian_only, "precision": "float32"}
    np.testing.assert_array_equal(denoise(photons, tile_size=48, **settings), denoise(photons, tile_size=512, **settings))


def test_models_that_must_be_told_are_told(photons, told):
    flat = np.random.default_rng(1).normal(100, 5, (144, 160))
    _, (noise,) = decided(flat, model=told)
    assert noise["sigma"] == pytest.approx(5, rel=0.05)
    np.testing.assert_allclose(denoise(flat, model=told), denoise(flat, model=told, sigma=noise["sigma"]), rtol=1e-6)
    _, (noise,) = decided(photons, model=told)
    assert noise["stabilised"]
    assert noise["sigma"] == 1
    np.testing.assert_allclose(denoise(np.full((40, 40), 3.0), model=told), 3, atol=1e-5)  # no noise is a level too
    with pytest.raises(SettingsError, match="too small"):
        denoise(photons[:16, :16], model=told)
    with pytest.raises(SettingsError, match="leave one of them out"):
        denoise(photons, model=told, sigma=3, noise="poisson-gaussian")


def test_each_channel_has_noise_of_its_own(photons, gaussian_only):
    flat = np.random.default_rng(1).normal(100, 5, photons.shape)
    _, (first, second) = decided(np.stack([photons, flat]), model=gaussian_only, axes="CYX")
    assert (first["channel"], first["stabilised"]) == ([0], True)
    assert (second["channel"], second["stabilised"]) == ([1], False)


def test_a_known_noise_is_used_for_all_images_of_a_microscope(photons, tmp_path):
    noise = NoiseModel(gain=4.0, offset=100.0, read_noise=1.0)
    expected = denoise(photons, noise=noise)
    assert np.abs(expected - denoise(photons)).max() > 1e-3
    profile = write_profile(tmp_path / "confocal.json", "confocal, 488 nm", noise)
    assert read_profile(tmp_path / "confocal.json") == profile
    np.testing.assert_array_equal(denoise(photons, noise=tmp_path / "confocal.json"), expected)
    np.testing.assert_array_equal(denoise(photons, noise=str(tmp_path / "confocal.json")), expected)
    # what a record says repeats the run
    record = json.loads(json.dumps(prepare_denoising(photons, noise=noise).provenance))
    np.testing.assert_array_equal(denoise(photons, **record["settings"]), expected)


def test_a_profile_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path):
    (tmp_path / "m.json").mkdir()
    with pytest.raises(FileError, match="cannot be written"):
        write_profile(tmp_path / "m.json", "m", NoiseModel(gain=1.0, offset=0.0, read_noise=0.0))
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), ("{", "is no JSON"), ("[]", "no microscope profile"), ('{"program": "other"}', "no microscope profile")],
)
def test_what_is_no_profile_is_refused(photons, tmp_path, text, message):
    path = tmp_path / "microscope.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileError, match=message):
        denoise(photons, noise=path)


def test_a_damaged_profile_is_refused(photons, tmp_path):
    path = tmp_path / "microscope.json"
    write_profile(path, "m", NoiseModel(gain=1.0, offset=0.0, read_noise=0.0))
    path.write_text(path.read_text().replace('"gain"', '"pain"'))
    with pytest.raises(FileError, match="damaged"):
        denoise(photons, noise=path)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("gaussian", "must be one of"),
        (3, "must be one of"),
        (None, "must be one of"),
        (np.zeros(3), "must be one of"),
        ({"gain": 1}, "no record of noise"),
        (NoiseModel, "is no noise"),
    ],
)
def test_what_is_no_noise_is_refused_before_any_work(photons, noise, message):
    with pytest.raises(SettingsError, match=message):
        iter_denoise(photons, noise=noise)


def test_a_plane_of_one_value_stays_as_it_is_behind_a_wrapper():
    wrapped = Denoiser(NormalizedDenoiser(FDnCNN("ordinary", channels=8, depth=4)).eval().requires_grad_(False), ModelCard("wrapped"))
    noise = NoiseModel(gain=4.0, offset=100.0, read_noise=2.0)
    np.testing.assert_array_equal(denoise(np.full((40, 40), 180.0), model=wrapped, noise=noise), 180)


def test_lost_digits_are_said_with_stabilised_noise_too(photons, gaussian_only):
    with pytest.warns(UserWarning, match="float32 can tell only steps"):
        denoise((photons + 3e8).astype(np.float32), model=gaussian_only, noise="poisson-gaussian")


def test_floats_of_few_digits_keep_the_law(photons, gaussian_only):
    few = photons.astype(np.float32)
    expected = denoise(few, model=gaussian_only, precision="float32")
    found = denoise(np.float32(1 / 3) * few + np.float32(11), model=gaussian_only, precision="float32")
    np.testing.assert_allclose((found - 11) * 3, expected, atol=0.01)


@pytest.fixture(scope="module")
def shared():
    """Gaussian noise that neighbours share, with a standard deviation of 5, on a smooth image."""
    rng = np.random.default_rng(4)
    noise = ndimage.gaussian_filter(rng.standard_normal((200, 240)), 0.7, mode="wrap")
    return 100 + 40 * np.sin(np.arange(240) / 25) + 5 * noise / noise.std()


def test_noise_that_neighbours_share_is_made_white_for_models_that_saw_no_other(shared, gaussian_only, told):
    result, (noise,) = decided(shared, model=gaussian_only)
    assert noise["whitened"]
    assert "neighbours share noise (r = 0." in noise["reason"]
    assert noise["reason"].endswith("has seen no other")
    assert not np.array_equal(result, denoise(shared, model=gaussian_only, noise="none"))
    white = 5 * np.random.default_rng(0).standard_normal(shared.shape)
    assert not decided(white, model=gaussian_only)[1][0]["whitened"]
    # our own models have seen such noise, and take images as they are; what is asked for is said
    assert not decided(shared)[1][0]["whitened"]
    _, (noise,) = decided(shared, noise="poisson-gaussian")
    assert not noise["whitened"]
    assert noise["reason"].endswith("and fast was trained with such noise too")
    of_gaussian = Denoiser(told.network, ModelCard("told of Gaussian noise", gaussian_only=True))
    _, (noise,) = decided(shared, model=of_gaussian)
    whitener = whitener_for(estimate_noise(shared).correlation)
    assert noise["sigma"] == pytest.approx(whitener.gain * noise["found"]["read_noise"])


@pytest.mark.parametrize("along", [0.25, 0.5, 0.75])
def test_filters_make_noise_white_and_undo_that(along):
    one_axis = (along, along**4, along**9)
    whitener = Whitener((one_axis, one_axis))
    rng = np.random.default_rng(0)
    width = np.sqrt(-1 / (4 * np.log(along)))
    noise = ndimage.gaussian_filter(rng.standard_normal((512, 512)), width, mode="wrap")
    white = whitener.forward(noise)
    # the noise is that of a sampled kernel, and the filters are for a continuous one
    assert white.std() / noise.std() == pytest.approx(whitener.gain, rel=0.2)
    neighbours = np.array([np.mean(white[1:] * white[:-1]), np.mean(white[:, 1:] * white[:, :-1])]) / white.var()
    assert np.abs(neighbours).max() < 0.65 * along
    smooth = 3 + ndimage.gaussian_filter(noise, 3)
    assert np.abs(whitener.back(whitener.forward(smooth)) - smooth)[16:-16, 16:-16].max() < 0.02 * np.ptp(smooth)
    np.testing.assert_allclose(whitener.forward(np.full((20, 3), 7.0)), 7)
    assert whitener_for(((0.04, 0.0, 0.0), (0.02, 0.0, 0.0))) is None


def test_the_law_holds_and_tiles_are_exact_where_noise_is_made_white(shared, gaussian_only):
    settings = {"model": gaussian_only, "precision": "float32"}
    expected = denoise(shared, **settings)
    found = denoise(1e-3 * shared - 7, **settings)
    np.testing.assert_allclose((found + 7) * 1e3, expected, atol=0.01)
    np.testing.assert_array_equal(denoise(shared, tile_size=48, **settings), expected)
    run = prepare_denoising(shared, **settings)
    (plane,), window = run.layout.planes(), (slice(31, 90), slice(100, 230))
    np.testing.assert_array_equal(Regions(run).compute(plane, window).at(1), expected[window])


def test_photons_that_neighbours_share_are_stabilised_and_made_white(gaussian_only):
    """A camera's image that was resampled."""
    light = np.linspace(5, 200, 256)[None, :] * np.ones((200, 1))
    counts = np.random.default_rng(0).poisson(light).astype(float)
    image = ndimage.gaussian_filter(counts, 0.6, mode="nearest")
    result, (noise,) = decided(image, model=gaussian_only)
    assert noise["stabilised"]
    assert noise["whitened"]
    assert np.sqrt(np.mean((result - light)[8:-8, 8:-8] ** 2)) < 0.4 * np.sqrt(np.mean((image - light)[8:-8, 8:-8] ** 2))


def test_channels_of_different_noise_are_denoised_together(shared, gaussian_only):
    white = 100 + 5 * np.random.default_rng(0).standard_normal(shared.shape)
    both = denoise(np.stack([shared, white]), axes="CYX", model=gaussian_only, precision="float32")
    for alone, together in zip((shared, white), both, strict=True):
        np.testing.assert_array_equal(denoise(alone, model=gaussian_only, precision="float32"), together)
