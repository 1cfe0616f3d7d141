"""What is found of the noise of an image, and what is made of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.curve import OF_WHITE_NOISE
from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.model import NoiseModel

SIDE = 384


@pytest.fixture(scope="module")
def scene():
    """Cells of several brightnesses on a dark ground, 0 to 1."""
    rng = np.random.default_rng(3)
    seeds = np.zeros((SIDE, SIDE))
    seeds[tuple(rng.integers(0, SIDE, (2, 25)))] = rng.uniform(0.3, 1, 25)
    cells = ndimage.grey_dilation(seeds, footprint=np.hypot(*np.mgrid[-24:25, -24:25]) < 24)
    smooth = ndimage.gaussian_filter(cells, 2)
    return smooth / smooth.max()


def correlated(rng, width):
    noise = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), width, mode="wrap")
    return noise / noise.std()


def std_ratio(noise, clean, variance):
    """Predicted over true standard deviation, over the image."""
    return np.sqrt(noise.variance(clean).mean() / np.mean(variance))


@pytest.mark.parametrize("photons", [1, 10, 300])
@pytest.mark.parametrize("read", [0.0, 1.0])
def test_photons_and_read_noise_are_found(scene, photons, read):
    rng = np.random.default_rng(photons)
    light = photons * (scene + 0.02)
    gain, offset = 2.5, 100.0
    found = estimate_noise(gain * (rng.poisson(light) + read * rng.standard_normal(scene.shape)) + offset)
    assert found.kind == "poisson-gaussian"
    assert std_ratio(found, gain * light + offset, gain**2 * (light + read**2)) == pytest.approx(1, abs=0.08)
    if photons > 1:  # at one photon, read noise hides how the variance rises
        assert found.gain == pytest.approx(gain, rel=0.15)
        assert found.confidence == "high"
    assert not found.is_correlated


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.5])
def test_gaussian_noise_is_found(scene, sigma):
    found = estimate_noise(scene + sigma * np.random.default_rng(1).standard_normal(scene.shape))
    assert std_ratio(found, scene, sigma**2) == pytest.approx(1, abs=0.08)


def test_a_negative_variance_at_zero_is_kept(scene):
    """Photons over a pedestal: the line of variance meets zero at the pedestal, not at zero."""
    found = estimate_noise(np.random.default_rng(0).poisson(50 * scene) * 3.0 + 40)
    assert found.variance_at_zero < 0
    assert found.offset == pytest.approx(40, abs=1)


def test_white_noise_of_variance_one_is_one():
    found = estimate_noise(np.random.default_rng(5).standard_normal((1024, 1024)))
    assert found.gain == 0
    assert found.read_noise == pytest.approx(1, rel=0.01)
    assert 0.95 < OF_WHITE_NOISE < 1


@pytest.mark.parametrize("width", [0.55, 0.7, 1.0])
def test_correlation_is_flagged_and_measured_and_does_not_hide_noise(scene, width):
    rng = np.random.default_rng(2)
    noise = correlated(rng, width)
    true = float(np.mean(noise[1:] * noise[:-1]))
    assert true > 0.25
    found = estimate_noise(scene + 0.1 * noise)
    assert found.is_correlated
    for along in found.correlation:
        assert along[0] == pytest.approx(true, abs=0.08)
    assert std_ratio(found, scene, 0.01) == pytest.approx(1, abs=0.2)


def test_correlation_along_one_axis_is_told_from_the_other(scene):
    white = np.random.default_rng(2).standard_normal(scene.shape)
    found = estimate_noise(scene + 0.1 * (white + np.roll(white, 1, 1)) / np.sqrt(2))
    along_y, along_x = found.correlation
    assert along_x[0] == pytest.approx(0.5, abs=0.08)
    assert along_y[0] < 0.08


def of_kernel(rng, kernel):
    """Noise of variance one, and its correlation one to three pixels farther along X."""
    kernel = np.atleast_2d(kernel) / np.sqrt(np.square(kernel).sum())
    noise = ndimage.convolve(rng.standard_normal((SIDE, SIDE)), kernel, mode="wrap")
    return noise, [float((kernel[:, lag:] * kernel[:, :-lag]).sum()) for lag in (1, 2, 3)]


def test_correlation_below_zero_is_measured_and_its_noise_too(scene):
    """Sharpened images have it."""
    noise, true = of_kernel(np.random.default_rng(2), [[0, -0.1, 0], [-0.1, 1.4, -0.1], [0, -0.1, 0]])
    assert true[0] < -0.1
    found = estimate_noise(scene + 0.1 * noise)
    for along in found.correlation:
        assert along[0] == pytest.approx(true[0], abs=0.03)
    assert not found.is_correlated
    assert std_ratio(found, scene, 0.01) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kernel", [[1, 0.5, 0, 0], [0.6**i for i in range(8)], [-0.25, 0.4, 1, 0.4, -0.25]])
def test_correlation_two_and_three_pixels_farther_is_measured(scene, kernel):
    """A shift by half a pixel, a slow detector, and a filter that overshoots, whose correlation changes its sign."""
    noise, true = of_kernel(np.random.default_rng(2), kernel)
    found = estimate_noise(scene + 0.1 * noise)
    assert found.correlation[1] == pytest.approx(true, abs=0.09)
    assert np.abs(found.correlation[0]).max() < 0.08


def test_texture_is_not_taken_for_shared_noise():
    """White noise on a texture that is stronger everywhere than the noise between neighbours."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = np.inf
    texture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * frequency**-1.75)
    noisy = texture / np.diff(texture).std() + rng.standard_normal((SIDE, SIDE))
    found = estimate_noise(noisy)
    assert not found.is_correlated
    assert found.read_noise == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("width", [0.3, 0.43])
def test_little_correlation_is_not_flagged(scene, width):
    assert not estimate_noise(scene + 0.1 * correlated(np.random.default_rng(2), width)).is_correlated


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (37.5, -1e4), (1e-3, 2.5)])
def test_the_estimate_is_equivariant(scene, scale, shift):
    noisy = np.random.default_rng(0).poisson(30 * scene + 1).astype(np.float64)
    before, after = estimate_noise(noisy).mapped(scale, shift), estimate_noise(scale * noisy + shift)
    assert after.gain == pytest.approx(before.gain, rel=1e-4)
    assert after.offset == pytest.approx(before.offset, rel=1e-4, abs=1e-4 * scale)
    assert after.read_noise == pytest.approx(before.read_noise, rel=1e-3, abs=1e-3 * scale)
    assert after.step == pytest.approx(before.step, rel=1e-3)
    assert np.allclose(after.correlation, before.correlation, atol=1e-3)
    assert after.is_correlated == before.is_correlated


def test_the_dtype_does_not_matter(scene):
    noisy = np.random.default_rng(0).poisson(30 * scene + 1)
    assert estimate_noise(noisy.astype(np.uint8)) == estimate_noise(noisy.astype(np.float64))


def test_nothing_is_said_of_what_cannot_be_known():
    assert estimate_noise(np.full((64, 64), 7.0)).kind == "none"
    tiny = estimate_noise(np.random.default_rng(0).standard_normal((9, 9)))
    assert tiny.uncertainty is None
    assert tiny.confidence == "low"


def test_a_clean_image_has_next_to_no_noise(scene):
    assert estimate_noise(scene).std(0.5) < 0.01


def test_saturation_rounding_and_hot_pixels_are_seen(scene):
    rng = np.random.default_rng(0)
    noisy = np.rint(np.clip(200 * (scene + 0.1) + 6 * rng.standard_normal(scene.shape), 0, 150))
    hot = tuple(rng.integers(8, SIDE - 8, (2, 40)))
    noisy[hot] = 150
    found = estimate_noise(noisy)
    assert found.step == pytest.approx(1)
    assert found.saturation == pytest.approx(150)
    assert found.saturated_share == pytest.approx(np.mean(noisy == 150), rel=0.2)
    assert 0.2 < found.isolated_share / (40 / SIDE**2) < 2
    clear = noisy < 140
    assert np.sqrt(found.variance(200 * (scene + 0.1))[clear].mean()) == pytest.approx(6, rel=0.15)


def test_frames_tell_noise_from_texture():
    """A fine texture looks like noise in one image; in the difference of two it is gone."""
    rng = np.random.default_rng(4)
    texture = 0.3 * rng.standard_normal((SIDE, SIDE))
    frames = texture + 0.05 * rng.standard_normal((4, SIDE, SIDE))
    assert estimate_noise(frames).read_noise > 0.2
    found = estimate_noise(frames, axes="TYX")
    assert found.source == "frame differences"
    assert found.read_noise == pytest.approx(0.05, rel=0.05)


def test_channels_are_refused_and_missing_values_left_out(scene):
    noisy = scene + 0.1 * np.random.default_rng(0).standard_normal(scene.shape)
    colours = np.stack([noisy, 2 * noisy, 3 * noisy])
    with pytest.raises(SettingsError, match="3 channels"):
        estimate_noise(colours, axes="CYX")
    with pytest.raises(SettingsError, match="numbered from 0"):
        estimate_noise(colours, axes="CYX", channel=3)
    with pytest.raises(SettingsError, match="channel='0'"):
        estimate_noise(colours, axes="CYX", channel="0")
    with pytest.raises(SettingsError, match="nonfinite='skip'"):
        estimate_noise(noisy, nonfinite="skip")
    assert estimate_noise(colours, axes="cyx", channel=1).read_noise == pytest.approx(0.2, rel=0.05)
    assert estimate_noise(colours, channel_axis=0, channel=2).read_noise == pytest.approx(0.3, rel=0.05)
    assert estimate_noise(colours[None], axes="TCYX", channel_axis=1, channel=0).read_noise == pytest.approx(0.1, rel=0.05)
    noisy[10, 10] = np.nan
    with pytest.raises(ImageError):
        estimate_noise(noisy)
    noisy[100:300, 200:] = np.nan
    found = estimate_noise(noisy, nonfinite="keep")
    assert found.read_noise == pytest.approx(0.1, rel=0.05)
    assert not found.is_correlated
    assert estimate_noise(np.full((64, 64), np.nan), nonfinite="keep").uncertainty is None


def test_a_record_of_the_noise_can_be_kept_as_json(scene):
    found = estimate_noise(np.random.default_rng(0).poisson(30 * scene + 1))
    assert NoiseModel.from_record(json.loads(json.dumps(found.as_record()))) == found


def test_numbers_of_numpy_are_numbers():
    plain = NoiseModel(gain=2.0, offset=100.0, read_noise=1.5, saturation=65535.0)
    of_numpy = NoiseModel(gain=np.float32(2), offset=np.int64(100), read_noise=np.float16(1.5), saturation=np.uint16(65535))
    assert of_numpy == plain
    assert json.dumps(of_numpy.as_record()) == json.dumps(plain.as_record())


@pytest.mark.parametrize("read", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("photons", [1, 2, 5, 20, 90, 110, 1000])
def test_the_way_back_is_unbiased(photons, read):
    rng = np.random.default_rng(photons)
    noise = NoiseModel(gain=2.5, offset=100.0, read_noise=2.5 * read)
    there = VarianceStabilizer(noise)
    image = 2.5 * (rng.poisson(photons, 1_000_000) + read * rng.standard_normal(1_000_000)) + 100
    bias = there.back(there.forward(image).mean()) - (2.5 * photons + 100)
    # the mean of a million values is itself uncertain by a thousandth of the noise
    assert abs(bias) <= 0.01 * noise.std(2.5 * photons + 100)


@pytest.mark.parametrize("read", [0.0, 1.0])
def test_stabilised_noise_is_one_everywhere(read):
    rng = np.random.default_rng(0)
    there = VarianceStabilizer(NoiseModel(gain=0.1, offset=-3.0, read_noise=0.1 * read))
    for photons in (5, 50, 5000):
        image = 0.1 * (rng.poisson(photons, 200_000) + read * rng.standard_normal(200_000)) - 3
        assert there.forward(image).std() == pytest.approx(1, rel=0.03)


def test_without_gain_stabilising_is_only_a_change_of_units():
    image = np.random.default_rng(0).standard_normal((8, 8))
    for noise in (NoiseModel(gain=0.0, offset=2.0, read_noise=0.3), NoiseModel(gain=0.0, offset=2.0, read_noise=0.0)):
        there = VarianceStabilizer(noise)
        assert there.back(there.forward(image)) == pytest.approx(image)


def test_stabilised_values_do_not_depend_on_units():
    noise = NoiseModel(gain=2.0, offset=5.0, read_noise=1.0)
    image = np.linspace(0, 100, 50)
    mapped = VarianceStabilizer(noise.mapped(300.0, -70.0)).forward(300 * image - 70)
    assert mapped == pytest.approx(VarianceStabilizer(noise).forward(image))


@pytest.mark.parametrize("read", [0.0, 0.5, 2.0])
def test_the_way_back_goes_on_below_no_light(read):
    there = VarianceStabilizer(NoiseModel(gain=1.0, offset=0.0, read_noise=read))
    steps = np.diff(there.back(np.linspace(-30, 30, 6001)))
    assert (steps > 0).all()
    assert steps.max() < 0.2  # nowhere a leap


@pytest.mark.parametrize("share", [0.1, 0.6])
@pytest.mark.parametrize("offset", [100, 0])
def test_padding_with_zeros_has_no_noise_to_tell_of(scene, share, offset):
    """Registered and rotated images have it."""
    light = 50 * (scene + 0.1)
    noisy = np.random.default_rng(0).poisson(light) * 2.0 + offset
    noisy[:, : int(share * SIDE)] = 0
    rest = light[:, int(share * SIDE) :]
    found = estimate_noise(noisy)
    assert std_ratio(found, 2 * rest + offset, 4 * rest) == pytest.approx(1, abs=0.08)


def test_a_saturated_image_tells_its_noise_where_it_is_not(scene):
    noisy = np.clip(100 + 5 * np.random.default_rng(0).standard_normal((512, 512)), None, 250)
    noisy[:430] = 250
    assert estimate_noise(noisy).read_noise == pytest.approx(5, rel=0.1)


def test_the_estimate_is_equivariant_for_floats_of_few_digits(scene):
    noisy = np.random.default_rng(0).poisson(20 * scene + 1).astype(np.float32)
    scale, shift = np.float32(1 / 3), np.float32(11)
    before, after = estimate_noise(noisy).mapped(float(scale), float(shift)), estimate_noise(scale * noisy + shift)
    assert after.gain == pytest.approx(before.gain, rel=1e-4)
    assert after.offset == pytest.approx(before.offset, rel=1e-4)


def test_one_wild_pixel_costs_the_others_nothing(scene):
    noisy = scene + 0.1 * np.random.default_rng(0).standard_normal(scene.shape)
    for at in ((0, 0), (100, 100)):
        wild = noisy.copy()
        wild[at] = 1e9
        assert estimate_noise(wild).read_noise == pytest.approx(0.1, rel=0.05)
    assert estimate_noise(noisy * 1e160).read_noise == pytest.approx(1e159, rel=0.05)


def test_empty_ends_of_a_stack_are_not_what_is_looked_at(scene):
    stack = np.zeros((21, SIDE, SIDE))
    stack[2:-2] = 5 * np.random.default_rng(0).standard_normal((17, SIDE, SIDE)) + 100
    for axes in ("ZYX", None):
        assert estimate_noise(stack, axes=axes).read_noise == pytest.approx(5, rel=0.05)


def test_many_small_planes_are_enough_together():
    stack = np.random.default_rng(0).poisson(30, (500, 20, 20))
    assert np.sqrt(estimate_noise(stack).variance(30)) == pytest.approx(np.sqrt(30), rel=0.08)


def test_frames_that_are_copies_are_looked_at_one_by_one(scene):
    noisy = scene + 0.1 * np.random.default_rng(0).standard_normal(scene.shape)
    found = estimate_noise(np.stack([noisy, noisy]), axes="TYX")
    assert found.source == "one image"
    assert found.read_noise == pytest.approx(0.1, rel=0.05)


def test_hot_pixels_are_seen_in_frames_too(scene):
    rng = np.random.default_rng(0)
    frames = 200 * (scene + 0.1) + 5 * rng.standard_normal((6, SIDE, SIDE))
    frames[(slice(None), *rng.integers(8, SIDE - 8, (2, 60)))] += 500
    for axes in ("TYX", None):
        assert estimate_noise(frames, axes=axes).isolated_share == pytest.approx(60 / SIDE**2, rel=0.3)


def test_noise_cut_off_in_the_dark_does_not_bend_the_curve(scene):
    """A detector without offset: in the dark only the upper half of the noise is there."""
    noisy = np.maximum(scene + 0.05 * np.random.default_rng(0).standard_normal(scene.shape), 0)
    assert np.sqrt(estimate_noise(noisy).variance(0.7)) == pytest.approx(0.05, rel=0.12)


def test_the_uncertainty_is_about_what_repeated_images_scatter_by(scene):
    light = 20 * (scene + 0.1)
    found = [estimate_noise(np.random.default_rng(seed).poisson(light)) for seed in range(12)]
    scatter = np.std([float(each.std(np.median(light))) for each in found]) / np.mean([float(each.std(np.median(light))) for each in found])
    assert 0.4 < np.mean([each.uncertainty for each in found]) / scatter < 5


@pytest.mark.parametrize("values", [{"gain": -1.0}, {"gain": np.nan}, {"read_noise": -2.0}, {"offset": np.inf}, {"gain": "2"}])
def test_impossible_noise_is_refused(values):
    with pytest.raises(SettingsError, match="must be a finite number"):
        NoiseModel(**{"gain": 1.0, "offset": 0.0, "read_noise": 1.0, **values})


@pytest.mark.parametrize("read", [0.0, 0.5, 2.0])
def test_what_is_far_below_no_light_comes_back(read):
    there = VarianceStabilizer(NoiseModel(gain=4.0, offset=100.0, read_noise=4 * read))
    deep = np.array([0.0, 20.0])
    assert there.back(there.forward(deep)) == pytest.approx(deep, abs=1e-6)
