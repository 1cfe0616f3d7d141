"""Laws of strength: y + t · (f(y) − y)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise import NoiseModel, adaptive_filter, denoise
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.numerics import blend

shares = st.floats(0, 1)


def noisy(*shape, dtype=np.uint16):
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return np.rint(500 + 200 * np.sin(rows / 9) * np.cos(columns / 7) + rng.normal(0, 40, shape)).astype(dtype)


@given(strength=shares)
@settings(max_examples=15, deadline=None)
def test_it_is_the_weighted_mean_of_image_and_result(strength):
    y = noisy(60, 70)
    full = denoise(y, output_dtype="float64", precision="float32")
    found = denoise(y, output_dtype="float64", precision="float32", strength=strength)
    np.testing.assert_array_equal(found, full if strength == 1 else y + strength * (full - y))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", "uint32"])
def test_zero_gives_the_image_back_and_one_changes_nothing(dtype):
    y = np.clip(noisy(50, 40, dtype=np.float64), 0, 255).astype(dtype)
    for output_dtype in ("auto", "input"):
        np.testing.assert_array_equal(denoise(y, strength=0, output_dtype=output_dtype), y)
        np.testing.assert_array_equal(denoise(y, strength=1.0, output_dtype=output_dtype), denoise(y, output_dtype=output_dtype))


@given(strength=shares, exponent=st.floats(-6, 6), shift=st.floats(-1e6, 1e6))
@settings(max_examples=15, deadline=None)
def test_normalization_equivariance_holds_for_every_strength(strength, exponent, shift):
    y, scale = noisy(60, 70, dtype=np.float64), 10**exponent
    unit = y.std()
    expected = denoise(y, strength=strength) + shift * unit
    found = denoise(scale * (y + shift * unit), strength=strength) / scale
    assert np.abs(found - expected).max() <= 1e-4 * unit


@pytest.mark.parametrize("noise", ["none", NoiseModel(gain=3.0, offset=100.0, read_noise=2.0)])
def test_tiles_and_stacks_are_exact(noise):
    y = noisy(2, 150, 131)
    whole = denoise(y, strength=0.6, tile_size=512, noise=noise)
    np.testing.assert_array_equal(denoise(y, strength=0.6, tile_size=40, noise=noise), whole)
    np.testing.assert_array_equal(denoise(y[1], strength=0.6, noise=noise), whole[1])
    turned = denoise(y.transpose(2, 0, 1), strength=0.6, axes="XZY", noise=noise)
    np.testing.assert_array_equal(turned.transpose(1, 2, 0), whole)


def test_pixels_that_are_no_numbers_stay():
    y = noisy(50, 60, dtype=np.float32)
    y[3, 4], y[20, 30] = np.nan, np.inf
    found = denoise(y, strength=0.5, nonfinite="keep")
    np.testing.assert_array_equal(found[~np.isfinite(y)], y[~np.isfinite(y)])
    assert np.isfinite(found[np.isfinite(y)]).all()


def test_the_record_says_it_and_repeats_it():
    y = noisy(40, 40)
    record = prepare_denoising(y, strength=np.float32(0.25)).provenance["settings"]
    assert record["strength"] == 0.25
    np.testing.assert_array_equal(denoise(y, **record), denoise(y, strength=0.25))


@pytest.mark.parametrize("strength", [-0.1, 1.01, 70, float("nan"), "0.5", None])
def test_shares_that_are_none(strength):
    with pytest.raises(SettingsError, match="from 0, the image as it is, to 1"):
        denoise(noisy(20, 20), strength=strength)
    with pytest.raises(SettingsError, match="from 0, the image as it is, to 1"):
        adaptive_filter(noisy(20, 20), (3, 3), strength=strength)


@given(strength=shares)
@settings(max_examples=8, deadline=None)
def test_a_weakened_filter_still_makes_its_pixel_and_sums_to_one(strength):
    y, at = noisy(60, 70), (0, 33)
    found, full = adaptive_filter(y, at, strength=strength), adaptive_filter(y, at)
    identity = np.zeros_like(full.weights)
    identity[at[0] - full.origin[0], at[1] - full.origin[1]] = 1
    np.testing.assert_allclose(found.weights, (1 - strength) * identity + strength * full.weights, atol=1e-15)
    assert found.total == pytest.approx(1, abs=1e-9)
    assert found.weighted_sum == pytest.approx(found.output, rel=1e-9)
    assert found.output == pytest.approx(float(denoise(y, strength=strength, precision="float32")[at]), rel=1e-5)


@settings(deadline=None)
@given(strength=shares, low=st.floats(-1e9, 1e9), high=st.floats(-1e9, 1e9))
def test_a_blend_lies_between(strength, low, high):
    found = float(blend(np.float64(low), np.float64(high), strength))
    slack = 1e-9 * max(abs(low), abs(high), 1e-300)
    assert min(low, high) - slack <= found <= max(low, high) + slack
