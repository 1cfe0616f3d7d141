"""Maps tell of all filters what each filter tells of itself."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from napari_ne_denoise import Denoiser, NoiseModel, adaptive_filter, adaptive_maps, denoise
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.jacobian import maps, measures
from napari_ne_denoise.core.jacobian.kinds import DIRECTIONS, FREQUENCIES, MAPS
from napari_ne_denoise.core.jacobian.maps import iter_adaptive_maps
from napari_ne_denoise.core.jacobian.probes import BLOCK, random_fields, signs
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import FDnCNN

EXACT = [name for name, kind in MAPS.items() if kind.exact]


def noisy(rows=120, columns=100, seed=0):
    y, x = np.mgrid[:rows, :columns]
    return 100 + 30 * np.sin(x / 4) * np.cos(y / 9) + 8 * np.random.default_rng(seed).standard_normal((rows, columns))


@pytest.fixture(scope="module")
def exact_maps():
    return adaptive_maps(noisy(), EXACT)


@pytest.mark.parametrize("at", [(60, 50), (3, 97), (119, 0), (70, 31)])
def test_exact_maps_are_what_the_filter_of_each_pixel_says(exact_maps, at):
    found = adaptive_filter(noisy(), at)
    w = found.weights
    y, x = (np.arange(length) + first for length, first in zip(w.shape, found.origin, strict=True))
    my, mx = w.sum(1) @ y, w.sum(0) @ x
    assert exact_maps["displacement"][at] == pytest.approx(np.hypot(my - at[0], mx - at[1]), abs=0.01)
    phases = [2 * np.pi * k * (np.cos(a) * x + np.sin(a) * y[:, None]) for k in FREQUENCIES for a in np.radians(DIRECTIONS)]
    contrasts = np.array([abs((w * np.exp(1j * phase)).sum()) for phase in phases]).reshape(len(FREQUENCIES), len(DIRECTIONS))
    expected = measures.shapes(measures.half_contrast(contrasts))
    for name in ("resolution", "width", "elongation"):
        assert exact_maps[name][at] == pytest.approx(float(expected[name]), rel=2e-3)
    assert (exact_maps["orientation"][at] - expected["orientation"] + 90) % 180 - 90 == pytest.approx(0, abs=1)


def test_measured_maps_are_what_filters_say_within_their_error():
    image, probes, at = noisy(64, 64), 400, (30, 33)
    found = adaptive_maps(
        image, ["pixels_averaged", "self_weight", "width", "elongation"], probes=probes, region=(slice(30, 34), slice(32, 36))
    )
    of_pixel = adaptive_filter(image, at)
    w = of_pixel.weights
    # less than half of what independent fields would have, √(2/400) = 7 %: most of the filter is nearer than 20 px
    assert found["pixels_averaged"][at] == pytest.approx(1 / np.square(w).sum(), rel=0.03)
    itself = w[at[0] - of_pixel.origin[0], at[1] - of_pixel.origin[1]]
    assert found["self_weight"][at] == pytest.approx(itself, abs=0.003)


@pytest.mark.parametrize("angle", [0, 45, 90])
def test_filters_of_a_filament_lie_along_it(angle):
    y, x = np.mgrid[:96, :96] - 48.0
    across = np.sin(np.radians(angle)) * x - np.cos(np.radians(angle)) * y
    filament = 60 * np.exp(-((across / 2) ** 2)) + 8 * np.random.default_rng(0).standard_normal(x.shape)
    found = adaptive_maps(filament, ["orientation", "elongation"], region=(slice(40, 56), slice(40, 56)))
    near = np.abs(across) < 1.5
    off = np.abs((found["orientation"][near] - angle + 90) % 180 - 90)
    assert np.nanmedian(off) < 15
    assert np.nanmedian(found["elongation"][near]) > 1.3


def test_a_gaussian_filter_has_the_shape_that_it_has():
    angles, squares = np.radians(DIRECTIONS), np.square(2 * np.pi * np.array(FREQUENCIES))
    for longer, shorter, at in ((4.0, 2.0, 0.0), (3.0, 1.5, np.radians(30)), (2.5, 2.5, 0.0)):
        variances = (longer * np.cos(angles - at)) ** 2 + (shorter * np.sin(angles - at)) ** 2
        found = measures.shapes(measures.half_contrast(np.exp(-squares[:, None] * variances / 2)))
        assert found["width"] == pytest.approx(np.sqrt(8 * np.log(2)) * (longer + shorter) / 2, rel=1e-6)
        assert found["elongation"] == pytest.approx(longer / shorter)
        if longer > shorter:
            assert found["orientation"] == pytest.approx(np.degrees(at), abs=1e-6)


@pytest.mark.parametrize(("contrast", "period"), [(0.99, 1 / 0.3), (0.01, 1 / 0.03)])
def test_what_is_finer_or_coarser_than_the_waves_is_not_told_apart(contrast, period):
    assert measures.half_contrast(np.full((3, 1), contrast)) == pytest.approx(period)


def test_maps_do_not_depend_on_tiles_regions_or_other_planes(monkeypatch):
    stack, names = np.stack([noisy(90, 80), noisy(90, 80, 1)]), ["width", "pixels_averaged", "resolution", "self_weight", "residual_noise"]
    known = {"noise_model": NoiseModel(gain=0.0, offset=0.0, read_noise=8.0)}
    whole = adaptive_maps(stack, names, **known)
    region = adaptive_maps(stack, names, region=(slice(21, 60), slice(5, 70)), position=(0, 0, 0), **known)
    monkeypatch.setattr(maps, "SIDE", 32)
    tiled = adaptive_maps(stack, names, **known)
    for name in names:
        for other in (tiled[name], region[name]):
            there = np.isfinite(other) & np.isfinite(whole[name])
            assert there.any()
            # where a variance is nearly zero, float32 leaves a width few digits
            off = np.abs(other[there] - whole[name][there]) / (0.1 + np.abs(whole[name][there]))
            assert np.quantile(off, 0.995) < 5e-3
    assert np.isnan(region["pixels_averaged"][1]).all()
    assert np.isfinite(region["pixels_averaged"]).sum() == 39 * 65
    steps = list(iter_adaptive_maps(stack, names, **known))
    assert steps[-1].done == steps[-1].total == stack.size


def test_what_is_looked_at_comes_first_and_is_the_same(monkeypatch):
    monkeypatch.setattr(maps, "SIDE_WATCHED", 32)
    stack = np.stack([noisy(64, 64), noisy(64, 64, 1), noisy(64, 64, 2)])
    steps = list(iter_adaptive_maps(stack, ["self_weight"], start_at=(1, 40, 60), probes=2))
    assert steps[0].index == (1, slice(32, 64), slice(32, 64))
    assert [step.index[0] for step in steps] == [1] * 4 + [0] * 4 + [2] * 4
    found = np.zeros(stack.shape)
    for step in steps:
        found[step.index] = step.values["self_weight"]
    assert np.array_equal(found, adaptive_maps(stack, ["self_weight"], probes=2)["self_weight"])


def test_maps_of_a_weakened_result_are_those_of_its_filters():
    image, at, strength = noisy(64, 64), (30, 33), 0.6
    settings = {"region": (slice(30, 34), slice(32, 36)), "probes": 60, "strength": strength}
    noise = NoiseModel(gain=0.0, offset=0.0, read_noise=8.0)
    found = adaptive_maps(image, ["pixels_averaged", "self_weight", "displacement", "residual_noise"], noise_model=noise, **settings)
    of_pixel = adaptive_filter(image, at, strength=strength)
    power = np.square(of_pixel.weights).sum()
    assert found["pixels_averaged"][at] == pytest.approx(1 / power, rel=0.4)
    assert found["residual_noise"][at] == pytest.approx(8 * np.sqrt(power), rel=0.3)
    itself = of_pixel.weights[at[0] - of_pixel.origin[0], at[1] - of_pixel.origin[1]]
    assert found["self_weight"][at] == pytest.approx(itself, abs=4 * np.sqrt(power / 60))
    full = adaptive_maps(image, ["displacement"], region=settings["region"])
    np.testing.assert_allclose(found["displacement"][30:34, 32:36], strength * full["displacement"][30:34, 32:36], atol=1e-4)


def test_maps_are_the_same_in_every_unit():
    image = noisy(64, 64)
    model = NoiseModel(gain=0.5, offset=20.0, read_noise=2.0)
    names = ["width", "pixels_averaged", "residual_noise"]
    plain = adaptive_maps(image, names, noise_model=model)
    other = adaptive_maps(7 * image - 3000, names, noise_model=model.mapped(7, -3000))
    for name, factor in zip(names, (1, 1, 7), strict=True):
        np.testing.assert_allclose(other[name], factor * plain[name], rtol=1e-3)


@pytest.mark.parametrize("treatment", ["none", NoiseModel(gain=1.0, offset=0.0, read_noise=3.0)])
def test_the_noise_that_is_left_is_that_of_repeated_images(treatment):
    """Also in its place: sixteen independent fields through the filters at the noisy image would reach a correlation of 0.76."""
    y, x = np.mgrid[:96, :96]
    clean = 200 + 150 * np.sin(x / 7) * np.cos(y / 11)
    noise, rng = NoiseModel(gain=1.0, offset=0.0, read_noise=3.0), np.random.default_rng(0)
    images = np.stack([rng.poisson(clean) + 3 * rng.standard_normal(clean.shape) for _ in range(61)])
    spread = denoise(images[:60], noise=treatment, axes="TYX").std(0)
    predicted = adaptive_maps(images[60], ["residual_noise"], noise_model=noise, noise=treatment)["residual_noise"]
    assert np.median(predicted / spread) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(predicted.ravel(), spread.ravel())[0, 1] > 0.79


def test_without_a_noise_model_it_is_found_in_the_image():
    image = noisy(128, 128)
    found = adaptive_maps(image, ["residual_noise", "pixels_averaged"])
    expected = 8 / np.sqrt(found["pixels_averaged"])
    assert np.median(found["residual_noise"] / expected) == pytest.approx(1, abs=0.1)


def test_pixels_that_are_no_numbers_have_no_map():
    image = noisy(64, 64)
    image[10, 12] = np.nan
    found = adaptive_maps(image, ["width", "pixels_averaged"])
    assert np.isnan(found["pixels_averaged"][10, 12])
    assert np.isfinite(found["pixels_averaged"]).sum() == image.size - 1


def test_random_fields_are_one_endless_plane():
    whole = np.stack(list(random_fields((slice(0, 200), slice(0, 150)), 24, 3, 1)))
    np.testing.assert_array_equal(list(random_fields((slice(50, 131), slice(BLOCK, 140)), 24, 3, 1)), whole[:, 50:131, BLOCK:140])
    assert not np.allclose(whole, list(random_fields((slice(0, 200), slice(0, 150)), 24, 3, 2)))
    assert set(np.unique(signs((slice(0, 9), slice(0, 9)), 0))) == {-1, 1}


@pytest.mark.parametrize(("number", "apart"), [(2, 1), (3, 2), (16, 17), (24, 25), (60, 61)])
def test_near_pixels_are_orthogonal_over_random_fields(number, apart):
    fields = np.stack(list(random_fields((slice(0, 64), slice(0, 64)), number, 1)))
    np.testing.assert_allclose(fields.sum(0), 0, atol=1e-9)
    np.testing.assert_allclose(np.square(fields).mean(0), 1)
    assert np.abs(fields.mean((1, 2))).max() < 0.05
    coherent = {
        down**2 + aside**2
        for down in range(9)
        for aside in range(-9, 9)
        if np.abs((fields[:, 9:50, 9:50] * fields[:, 9 + down : 50 + down, 9 + aside : 50 + aside]).mean(0)).max() > 1e-9
    }
    assert min(coherent - {0}) == apart


@pytest.mark.parametrize(("strength", "shared"), [(1.0, 0.0), (0.6, 0.0), (1.0, 0.4), (0.6, 0.4)])
def test_the_noise_that_a_linear_filter_leaves_is_what_its_weights_say(strength, shared):
    """Σ w² v: of a network that filters all images alike, and all pixels of its weights nearer than fields are orthogonal."""
    network, rng = FDnCNN("scale-equiv", channels=2, depth=2), np.random.default_rng(0)
    one, other = rng.uniform(0, 0.2, (2, 3, 3)).astype(np.float32)
    first, last = (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    with torch.no_grad():  # what one channel cuts off the other one has
        first.weight[:] = torch.from_numpy(np.stack([one, -one]))[:, None]
        last.weight[:] = torch.from_numpy(np.stack([other, -other]))[None]
    weights = strength * convolve2d(one, other)
    weights[2, 2] += 1 - strength
    correlation = ((shared, 0.0, 0.0), (0.0, 0.0, 0.0))
    model = Denoiser(network.eval(), ModelCard(name="linear"))
    noise = NoiseModel(gain=0.0, offset=0.0, read_noise=8.0, correlation=correlation)
    found = adaptive_maps(
        noisy(40, 40), ["residual_noise", "pixels_averaged"], model=model, noise_model=noise, strength=strength, probes=60
    )
    inner, power = (slice(10, -10), slice(10, -10)), np.square(weights).sum()
    left = power + 2 * shared * (weights[1:] * weights[:-1]).sum()
    np.testing.assert_allclose(found["residual_noise"][inner], 8 * np.sqrt(left), rtol=1e-2 if shared else 1e-4)
    np.testing.assert_allclose(found["pixels_averaged"][inner], 1 / power, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"names": ["sharpness"]}, "must be some of pixels_averaged"),
        ({"names": "width"}, "must be some of"),
        ({"names": ["width"], "probes": 1}, "at least 2"),
        ({"names": ["width"], "probes": 2.5}, "whole number of at least 2"),
        ({"names": ["width"], "seed": -1}, "not negative"),
        ({"names": ["width"], "channel_axis": "0"}, "number of an axis"),
        ({"names": ["error"], "noise_model": {"gain": 1.0}}, "must be a NoiseModel"),
        ({"names": []}, "must be some of"),
        ({"region": (slice(0, 200), slice(0, 10))}, "inside the plane.*two slices"),
        ({"region": 3}, "inside the plane.*two slices"),
        ({"region": (slice(0.0, 16.0), slice(0, 16))}, "inside the plane.*two slices"),
        ({"position": (500, 0)}, "outside the image"),
        ({"model": "ordinary-twin"}, "adds constants"),
    ],
)
def test_what_is_refused_says_why(settings, said):
    with pytest.raises(SettingsError, match=said):
        adaptive_maps(noisy(40, 40), **settings)


def test_what_no_gaussian_keeps_has_no_width_but_a_direction():
    """Of a thin fibre: stripes along it must be coarse, and all others may be fine."""
    found = measures.shapes(np.array([20.0, 4.0, 3.4, 8.0]))
    assert np.isnan(found["width"])
    assert np.isnan(found["elongation"])
    assert found["resolution"] > 0
    assert min(found["orientation"], 180 - found["orientation"]) < 15


def test_the_contrast_of_stripes_is_that_of_each_filter():
    image, at, period, direction = noisy(64, 64), (30, 33), 7.0, 30.0
    settings = {"region": (slice(30, 31), slice(33, 34)), "period": period}
    found = adaptive_maps(image, ["contrast"], direction=direction, **settings)["contrast"][at]
    each = adaptive_filter(image, at)
    y, x = (np.arange(length) + first for length, first in zip(each.weights.shape, each.origin, strict=True))
    angle = np.radians(direction)
    waves = np.exp(2j * np.pi / period * (np.cos(angle) * x + np.sin(angle) * y[:, None]))
    assert found == pytest.approx(abs((each.weights * waves).sum()), abs=1e-3)
    mean = adaptive_maps(image, ["contrast"], **settings)["contrast"][at]
    expected = [adaptive_maps(image, ["contrast"], direction=each, **settings)["contrast"][at] for each in DIRECTIONS]
    assert mean == pytest.approx(np.mean(expected), abs=1e-4)


def test_numbers_of_numpy_are_numbers():
    plain = {"period": 6, "direction": 30.0, "probes": 4, "position": (1, 0, 0)}
    of_numpy = {"period": np.int64(6), "direction": np.float32(30), "probes": np.int8(4), "position": np.array([1, 0, 0])}
    image, names = np.stack([noisy(40, 40)] * 2), ["contrast", "self_weight"]
    expected, found = (adaptive_maps(image, names, **settings) for settings in (plain, of_numpy))
    for name in names:
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize(("settings", "said"), [({"period": 1.5}, "nothing finer"), ({"direction": np.nan}, "must be degrees")])
def test_stripes_that_are_none_are_refused(settings, said):
    with pytest.raises(SettingsError, match=said):
        adaptive_maps(noisy(40, 40), ["contrast"], **settings)
