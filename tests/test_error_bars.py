"""Error bars: how far each pixel is from the truth, which it does not know."""

import numpy as np
import pytest

from napari_ne_denoise import NoiseModel, adaptive_maps, denoise, denoise_lazy, load_denoiser
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.jacobian import maps
from napari_ne_denoise.core.jacobian.error import Loss, NoiseKept
from napari_ne_denoise.core.jacobian.probes import RADIUS, noise_fields, shared
from napari_ne_denoise.core.networks import FDnCNN

PHOTONS = NoiseModel(gain=1.0, offset=0.0, read_noise=3.0)
WHITE = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
SHARED = ((0.5, 0.1, 0.0), (0.3, 0.05, 0.0))


def clean(rows=128, columns=120):
    y, x = np.mgrid[:rows, :columns]
    return 200 + 150 * np.sin(x / 7) * np.cos(y / 11)


def noisy(seed=0, truth=None):
    rng, truth = np.random.default_rng(seed), clean() if truth is None else truth
    return rng.poisson(truth) + PHOTONS.read_noise * rng.standard_normal(truth.shape)


@pytest.mark.parametrize("noise", ["none", "poisson-gaussian", PHOTONS])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_truth_lies_within_two_error_bars_as_often_as_it_should(noise, strength):
    result, std = denoise(noisy(), return_std=True, noise_model=PHOTONS, noise=noise, strength=strength)
    assert std.shape == result.shape
    assert std.dtype == np.float32
    assert 0.9 < np.mean(np.abs(result - clean()) <= 1.96 * std) < 0.99
    assert np.sqrt(np.square(result - clean()).mean() / np.square(std).mean()) == pytest.approx(1, abs=0.3)


def test_the_noise_is_found_where_nobody_gives_it():
    result, std = denoise(noisy(), return_std=True)
    assert 0.85 < np.mean(np.abs(result - clean()) <= 1.96 * std) <= 1


def test_the_result_is_the_same_with_error_bars_and_without():
    assert np.array_equal(denoise(noisy(), return_std=True, noise_model=PHOTONS)[0], denoise(noisy()))


def test_error_bars_follow_a_change_of_unit_and_offset():
    image = noisy()[:64, :64]
    _, std = denoise(image, return_std=True, noise_model=PHOTONS)
    _, other = denoise(7 * image - 3000, return_std=True, noise_model=PHOTONS.mapped(7, -3000))
    np.testing.assert_allclose(other, 7 * std, rtol=1e-3)


def test_without_any_denoising_they_are_the_noise_itself():
    image = noisy()[:64, :64]
    _, std = denoise(image, return_std=True, noise_model=PHOTONS, strength=0)
    expected = PHOTONS.std(denoise(image))
    assert np.median(std / expected) == pytest.approx(1, abs=0.05)


def test_they_are_the_map_of_the_error_whatever_the_tiles(monkeypatch):
    stack = np.stack([noisy(), noisy(1)])
    _, std = denoise(stack, return_std=True, noise_model=PHOTONS)
    whole = adaptive_maps(stack, ["error"], noise_model=PHOTONS)["error"]
    assert np.array_equal(std, whole)
    monkeypatch.setattr(maps, "SIDE", 48)
    tiled = adaptive_maps(stack, ["error"], noise_model=PHOTONS)["error"]
    np.testing.assert_allclose(tiled, whole, rtol=5e-3)
    region = adaptive_maps(stack, ["error"], noise_model=PHOTONS, region=(slice(30, 60), slice(20, 90)), position=(1, 0, 0))["error"]
    np.testing.assert_allclose(region[1, 30:60, 20:90], whole[1, 30:60, 20:90], rtol=5e-3)
    assert np.isnan(region[0]).all()


def test_an_image_without_noise_is_wrong_by_what_was_changed():
    image = clean()
    result, std = denoise(image, return_std=True, noise_model=NoiseModel(gain=0.0, offset=0.0, read_noise=0.0))
    assert np.sqrt(np.square(std).mean()) == pytest.approx(np.sqrt(np.square(result - image).mean()), rel=0.2)


def test_pixels_that_are_no_numbers_have_no_error_bar():
    image = noisy()[:64, :64]
    image[10, 12] = np.nan
    result, std = denoise(image, return_std=True, noise_model=PHOTONS, nonfinite="keep")
    assert np.isnan(result[10, 12])
    assert np.isnan(std[10, 12])
    assert np.isfinite(std).sum() == std.size - 1


def test_noise_that_neighbours_share_is_followed_as_such():
    truth, rng = clean(), np.random.default_rng(5)
    wide = [length + 2 * RADIUS for length in truth.shape]
    images = np.stack([truth + 8 * shared(rng.standard_normal(wide), SHARED) for _ in range(12)])
    noise = NoiseModel(gain=0.0, offset=0.0, read_noise=8.0, correlation=SHARED)
    results, std = denoise(images, return_std=True, noise_model=noise)
    assert 0.88 < np.mean(np.abs(results - truth) <= 1.96 * std) < 1
    spread = np.sqrt(results.var(0, ddof=1).mean())
    left = adaptive_maps(images[0], ["residual_noise"], noise_model=noise)["residual_noise"]
    assert np.sqrt(np.square(left).mean()) / spread == pytest.approx(1, abs=0.15)


def test_fields_have_the_correlation_they_are_asked_for():
    whole, cut = (
        list(noise_fields((slice(first, last), slice(left, right)), SHARED, 4, 3, 1))
        for first, last, left, right in ((0, 700, 0, 700), (50, 131, 70, 140))
    )
    np.testing.assert_allclose(cut, np.stack(whole)[:, 50:131, 70:140], atol=1e-12)
    np.testing.assert_allclose(sum(whole), 0, atol=1e-9)
    whole = whole[1]
    assert whole.var() == pytest.approx(1, abs=0.02)
    for axis, along in enumerate(SHARED):
        for lag, share in enumerate(along, 1):
            moved = np.roll(whole, lag, axis)
            assert np.mean(whole * moved) == pytest.approx(share, abs=0.02)


def test_what_was_lost_is_told_by_the_surroundings():
    """A result that is off by a constant, without any noise left: Stein's estimate says by how much."""
    rng, shape, off = np.random.default_rng(0), (256, 256), 2.0
    noise = rng.standard_normal(shape)
    probes = rng.standard_normal((4, *shape))
    kept = NoiseKept(probes, 0.05 * probes)  # a twentieth of the noise is left
    loss = Loss(noise, np.full(shape, off), np.ones(shape), WHITE, kept)
    # what is usual is far below, and the surroundings say otherwise
    assert np.median(loss.lost(1.0)) > 0.05**2 / 2


def test_lazy_error_bars_are_the_same():
    stack = np.stack([noisy()[:70, :64], noisy(1)[:70, :64]])
    result, std = denoise_lazy(stack, return_std=True, noise_model=PHOTONS)
    expected = denoise(stack, return_std=True, noise_model=PHOTONS)
    np.testing.assert_array_equal(np.asarray(result[1]), expected[0][1])
    np.testing.assert_allclose(np.asarray(std[1]), expected[1][1], rtol=1e-5)


def test_another_process_makes_the_same_error_bars():
    import cloudpickle

    image = noisy()[:48, :48]
    _, std = denoise_lazy(image, return_std=True, noise_model=PHOTONS)
    again = cloudpickle.loads(cloudpickle.dumps(std))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(std))


@pytest.mark.parametrize("mode", ["norm-equiv", "scale-equiv"])
def test_a_model_that_is_told_the_noise_has_error_bars_too(mode, told_model):
    model = told_model(mode)
    image = clean()[:48, :48] + 8 * np.random.default_rng(0).standard_normal((48, 48))
    result, std = denoise(image, model=model, sigma=8.0, return_std=True)
    assert result.shape == std.shape
    assert np.isfinite(std).all()


@pytest.mark.parametrize("mode", ["norm-equiv", "scale-equiv"])
def test_what_the_noise_level_adds_and_filter_times_image_make_the_output(mode, told_model):
    """f = J y + σ ∂f/∂σ, in the units of the network: its law."""
    from napari_ne_denoise.core.inference import prepare_denoising
    from napari_ne_denoise.core.jacobian.products import JacobianProducts

    model = told_model(mode)
    image, sigma = clean()[:32, :32], 9.0
    run = prepare_denoising(image, model=model, sigma=sigma, device="cpu")
    (opened,) = run.open_planes([next(run.layout.planes())])
    seen, level = opened.numerics.forward(image), float(opened.numerics.sigma)
    products = JacobianProducts(run.denoiser, run.device)
    whole = (slice(0, 32), slice(0, 32))
    (filtered,), (output,) = products.of(seen, level, [seen], whole), products.denoised([seen], level, whole)
    np.testing.assert_allclose(filtered + products.by_level(seen, level, whole), output, atol=1e-4)
    added = adaptive_maps(image, ["noise_level_part"], model=model, sigma=sigma)["noise_level_part"]
    np.testing.assert_allclose(added, opened.numerics.scale * products.by_level(seen, level, whole), atol=1e-3)


@pytest.fixture
def told_model():
    """A model that needs the noise level, of random weights."""
    import torch

    from napari_ne_denoise.core.inference import Denoiser
    from napari_ne_denoise.core.models.card import ModelCard

    def make(mode):
        torch.manual_seed(0)
        network = FDnCNN(mode, blind=False, channels=8, depth=4).eval()
        return Denoiser(network, ModelCard(name="told"))

    return make


def test_a_model_that_is_told_nothing_adds_nothing():
    assert not adaptive_maps(noisy()[:32, :32], ["noise_level_part"])["noise_level_part"].any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "ordinary-twin"}, "adds constants"),
        ({"noise_model": PHOTONS, "return_std": False}, "return_std=True"),
    ],
)
def test_what_is_refused_says_why(settings, said):
    with pytest.raises(SettingsError, match=said):
        denoise(noisy()[:48, :48], **{"return_std": True, **settings})


def test_an_image_too_small_to_find_its_noise_has_none():
    with pytest.raises(SettingsError, match="too small"):
        denoise(noisy()[:16, :16], return_std=True, model=load_denoiser("fast"))
