"""What is said of a result without its truth agrees with the truth, where that is known."""

from __future__ import annotations

import json
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from napari_ne_denoise import NEDenoiseError, NoiseModel, denoise, iter_quality, quality_without_truth
from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.quality.assessment import settings_of
from napari_ne_denoise.core.quality.blocks import Looked, cut, draw_noise, noise_power, transform
from napari_ne_denoise.core.quality.error import estimate_error
from napari_ne_denoise.core.quality.residual import find_structure
from napari_ne_denoise.core.quality.windows import windows_to_look_at

GAIN = 4.0
PHOTONS = NoiseModel(gain=GAIN, offset=0.0, read_noise=0.0)
WHITE = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def hills(side=160):
    rows, columns = np.mgrid[:side, :side]
    return 300 + 200 * np.sin(rows / 15) * np.cos(columns / 11)


def with_photons(clean, seed=0):
    return GAIN * np.random.default_rng(seed).poisson(clean / GAIN)


@pytest.fixture(scope="module")
def noisy():
    return with_photons(hills())


@pytest.fixture(scope="module")
def result(noisy):
    return denoise(noisy, precision="float32")


@pytest.fixture(scope="module")
def quality(noisy, result):
    return quality_without_truth(noisy, result, noise_model=PHOTONS)


def test_the_error_is_that_from_the_truth(quality, result):
    true = float(np.sqrt(np.mean((result - hills()) ** 2)))
    assert quality.error == pytest.approx(true, rel=0.2)
    low, high = quality.error_interval
    assert low < true < high
    assert quality.psnr == pytest.approx(20 * np.log10(quality.peak / true), abs=1.5)
    assert quality.noise_before == pytest.approx(np.sqrt(GAIN * 300), rel=0.02)
    assert quality.noise_after < quality.error * 1.2
    assert quality.residual_std == pytest.approx(1, abs=0.03)
    assert not quality.structured


@pytest.mark.parametrize("seed", range(3))
def test_a_result_that_is_not_given_is_computed(seed):
    noisy = with_photons(hills(), seed + 1)
    found = quality_without_truth(noisy, noise_model=PHOTONS, peak=100)
    true = 20 * np.log10(100 / np.sqrt(np.mean((denoise(noisy) - hills()) ** 2)))
    low, high = found.psnr_interval
    assert low - 0.5 < true < high + 0.5


def test_everything_follows_the_unit_and_the_offset(noisy, quality):
    scale, shift = 0.01, 77.0
    moved = quality_without_truth(scale * noisy + shift, noise_model=PHOTONS.mapped(scale, shift))
    for name in ("noise_before", "noise_after", "error", "peak"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(quality, name), rel=2e-3)
    assert moved.psnr == pytest.approx(quality.psnr, abs=0.02)
    assert moved.structured == quality.structured
    assert moved.residual_correlation == tuple(pytest.approx(lags, abs=1e-3) for lags in quality.residual_correlation)


def test_found_noise_is_known_less_well_than_given_noise(noisy, quality):
    found = quality_without_truth(noisy, denoise(noisy, precision="float32"))
    assert found.noise.is_measured
    assert found.error_interval[1] > quality.error_interval[1]
    assert not found.structured


def test_smoothing_too_much_is_seen(noisy, result):
    found = quality_without_truth(noisy, ndimage.gaussian_filter(result, 5), noise_model=PHOTONS)
    assert found.structured
    assert found.structured_share > 0.1
    assert found.psnr is None
    assert "not what this model makes" in found.reason
    assert "structure was removed" in found.describe()


def test_a_filament_that_was_removed_is_found_where_it_was(noisy, result):
    filament = np.zeros_like(noisy)
    filament[83:86, 40:120] = 40  # a little more than the noise
    found = quality_without_truth(noisy + filament, result, noise_model=PHOTONS)
    assert found.structured
    row, column = found.places[0]
    assert abs(row - 84) <= 8
    assert 32 <= column <= 128
    assert found.structured_share < 0.15


def test_weaker_denoising_leaves_more_noise(noisy):
    half, none = (quality_without_truth(noisy, noise_model=PHOTONS, strength=strength) for strength in (0.5, 0))
    assert half.noise_after == pytest.approx(none.noise_before / 2, rel=0.15)
    assert none.noise_after == pytest.approx(none.noise_before, rel=0.05)
    assert none.error == pytest.approx(none.noise_before, rel=0.1)
    assert none.residual_std == 0
    assert not none.structured


@pytest.mark.parametrize("image", [np.full((64, 64), 5.0), hills(64).astype(np.uint8) * 0, np.zeros((5, 5))])
def test_nothing_is_said_of_an_image_without_noise(image):
    found = quality_without_truth(image)
    assert (found.psnr, found.error, found.structured) == (None, None, None)
    assert found.reason
    assert found.describe() == found.reason


def test_nothing_is_said_of_a_tiny_image():
    found = quality_without_truth(with_photons(hills(20)))
    assert found.psnr is None
    assert "too small" in found.describe()


def test_pixels_that_are_no_numbers_are_refused_or_left_out(noisy, quality):
    gappy = noisy.copy()
    gappy[30:40, 50:60] = np.nan
    with pytest.raises(NEDenoiseError, match="NaN"):
        quality_without_truth(gappy, noise_model=PHOTONS)
    kept = quality_without_truth(gappy, denoise(gappy, nonfinite="keep"), noise_model=PHOTONS, nonfinite="keep")
    assert kept.pixels < quality.pixels
    assert kept.psnr == pytest.approx(quality.psnr, abs=1)


def test_a_channel_of_a_lazy_stack_is_looked_at(noisy):
    stack = np.stack([[noisy, 5 * noisy]] * 2).astype(np.float32)  # T, C
    with pytest.raises(NEDenoiseError, match="channel"):
        quality_without_truth(stack, axes="TCYX")
    lazy = da.from_array(stack, chunks=(1, 1, 160, 160))
    first, second = (quality_without_truth(lazy, axes="TCYX", channel=number, noise_model=PHOTONS) for number in (0, 1))
    assert first.pixels == 2 * 160 * 160
    assert second.peak == pytest.approx(5 * first.peak, rel=1e-3)
    assert len(first.places) == 0


def test_a_single_plane_is_judged_as_if_it_were_all(noisy, quality, result):
    stack = np.stack([with_photons(3 * hills(), seed=1), noisy, with_photons(3 * hills(), seed=2)])
    plane = (slice(1, 2), slice(0, 160), slice(0, 160))
    (*_, last) = iter_quality(stack, result[None], noise_model=PHOTONS, axes="ZYX", part=plane)
    assert last.quality == replace(quality, places=last.quality.places)
    assert all(place == (1, *before) for place, before in zip(last.quality.places, quality.places, strict=True))
    with pytest.raises(NEDenoiseError, match=r"and the image \(1, 160, 160\)"):
        iter_quality(stack, stack, axes="ZYX", part=plane)


def test_integers_are_grey_levels_and_rounding_is_no_other_result(noisy):
    image = noisy.astype(np.uint16)
    found = quality_without_truth(image, denoise(image, output_dtype="input"), noise_model=PHOTONS)
    assert found.unit == "grey levels"
    assert found.psnr is not None
    assert found.describe().startswith("noise 35 grey levels → ")
    assert found.describe().endswith("nothing structured was removed")


def test_a_record_is_plain(quality):
    record = json.loads(json.dumps(quality.as_record(), allow_nan=False))
    assert record["psnr"] == quality.psnr
    assert record["description"] == quality.describe()
    assert NoiseModel.from_record(record["noise"]) == PHOTONS


def test_the_peak_may_be_a_pixel_of_the_image(noisy):
    grey = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[:64, :64]
    assert quality_without_truth(grey, peak=grey.max()) == quality_without_truth(grey, peak=float(grey.max()))


def test_progress_ends_at_its_total(noisy):
    steps = list(iter_quality(noisy, noise_model=PHOTONS))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total
    assert [step.quality is None for step in steps] == [True] * (len(steps) - 1) + [False]


def test_what_is_not_accepted_is_said_at_once(noisy):
    with pytest.raises(NEDenoiseError, match="shape"):
        iter_quality(noisy, noisy[:-1])
    with pytest.raises(NEDenoiseError, match="peak"):
        iter_quality(noisy, peak=0)
    with pytest.raises(NEDenoiseError, match="must be a NoiseModel"):
        iter_quality(noisy, noise_model={"gain": 1.0})
    with pytest.raises(NEDenoiseError, match="precision"):
        iter_quality(noisy, precision="float16")


def test_settings_come_from_the_record_of_a_result():
    record = {"settings": {"model": "quality", "noise": "none", "device": "cuda", "precision": "auto", "strength": 0.5}}
    assert settings_of(record) == {"model": "quality", "noise": "none", "strength": 0.5}
    assert settings_of(None) == {}


@pytest.mark.parametrize("correlation", [WHITE, ((0.6, 0.3, 0.1), (0.3, 0.1, 0.0))])
def test_drawn_noise_is_what_is_expected(correlation):
    noise = draw_noise(np.full((512, 512), 9.0), correlation, np.random.default_rng(0))
    assert noise.std() == pytest.approx(3, rel=0.02)
    assert (noise[1:] * noise[:-1]).mean() / 9 == pytest.approx(correlation[0][0], abs=0.02)
    assert (noise[:, 2:] * noise[:, :-2]).mean() / 9 == pytest.approx(correlation[1][1], abs=0.02)
    expected = noise_power(np.full((1, 16, 16), 9.0), correlation)[0]
    assert np.square(transform(cut(noise))).mean(0) == pytest.approx(expected, rel=0.25, abs=0.1)


@pytest.mark.parametrize("correlation", [WHITE, ((0.5, 0.1, 0.0), (0.5, 0.1, 0.0))])
@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
def test_the_error_of_a_blur_is_known(width, correlation):
    """The noise a blur leaves, and the structure it takes, without any network."""
    rng, clean = np.random.default_rng(1), hills(256)
    noise = NoiseModel(gain=0.0, offset=0.0, read_noise=20.0, correlation=correlation)

    def blur(image):
        return ndimage.gaussian_filter(image, width)

    variance = np.full(clean.shape, 400.0)
    noisy = clean + draw_noise(variance, correlation, rng)
    probes = [draw_noise(variance, correlation, rng) for _ in range(4)]
    looked = Looked(
        cut(noisy - blur(noisy)), cut(blur(noisy)), np.stack([cut(each) for each in probes]), np.stack([cut(blur(each)) for each in probes])
    )
    found, true = estimate_error(looked, noise), np.mean((blur(noisy) - clean) ** 2)
    assert abs(found.error - true) < 3 * found.standard_error
    assert found.error == pytest.approx(true, rel=0.25)
    left = np.mean((blur(noisy - clean)) ** 2)
    assert found.noise_left == pytest.approx(left, rel=0.1)


def test_noise_alone_holds_no_structure():
    """All of the noise was removed, and nothing else: the hardest case."""
    clean, held = hills(256), 0
    for seed in range(40):
        rest = cut(with_photons(clean / 100, seed) - clean / 100)
        looked = Looked(rest, cut(clean / 100), np.zeros((0, *rest.shape)), np.zeros((0, *rest.shape)))
        held += find_structure(looked, PHOTONS).held.any()
    assert held <= 2


def test_at_most_a_megapixel_is_looked_at():
    for shape in ((1, 1), (600, 700), (5000, 300), (4000, 4000), (50, 2000, 2000), (3, 100, 100)):
        layout = plan_planes(shape, axes="TYX"[-len(shape) :])
        windows = windows_to_look_at(layout, {})
        sizes = [(rows.stop - rows.start) * (columns.stop - columns.start) for _, (rows, columns) in windows]
        assert 0 < sum(sizes) <= 4 * 512**2
        assert all(
            0 <= part.start < part.stop <= length for _, window in windows for part, length in zip(window, layout.plane_shape, strict=True)
        )
        assert len({str(window) for window in windows}) == len(windows)


def test_hot_pixels_that_were_repaired_are_no_structure(noisy):
    hot = noisy.copy()
    hot[20::40, 20::40] += 2000
    settings = {"noise_model": PHOTONS, "hot_pixels": "repair"}
    found = quality_without_truth(hot, denoise(hot, hot_pixels="repair"), **settings)
    assert found.psnr is not None
    assert not found.structured
