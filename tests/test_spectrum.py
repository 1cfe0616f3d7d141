"""A patch's Jacobian is what its filters are, and its spectrum tells what they keep."""

import threading

import numpy as np
import pytest
import torch

from napari_ne_denoise import Denoiser, adaptive_filter, adaptive_maps, denoise
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.jacobian import patch as patches
from napari_ne_denoise.core.jacobian.spectrum import iter_patch_spectrum, patch_spectrum, spectrum_of
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import DRUNet, FDnCNN


def stripes(rows=24, columns=20, seed=0):
    y, x = np.mgrid[:rows, :columns]
    return 100 + 30 * np.sin(x / 2) * np.cos(y / 4) + 4 * np.random.default_rng(seed).standard_normal((rows, columns))


def noise(rows=24, columns=20, seed=0):
    return 100 + 4 * np.random.default_rng(seed).standard_normal((rows, columns))


def whole(image):
    return slice(0, image.shape[0]), slice(0, image.shape[1])


@pytest.fixture(scope="module")
def of_stripes():
    return patch_spectrum(stripes(), whole(stripes()))


def matrix_of(spectrum):
    """The Jacobian again, put together from what it was taken apart into."""
    n = spectrum.pixels
    return np.einsum("ki,k,kj->ij", spectrum.made.reshape(n, n), spectrum.values, spectrum.seen.reshape(n, n))


def rows_of(image, window, at, **settings):
    """Row of the Jacobian of a window, from the filter of one of its pixels."""
    found = adaptive_filter(image, at, **settings)
    weights = np.zeros(image.shape)
    weights[tuple(slice(first, first + length) for first, length in zip(found.origin, found.weights.shape, strict=True))] = found.weights
    return weights[window].ravel()


def place_in(window, at):
    rows, columns = window
    return (at[0] - rows.start) * (columns.stop - columns.start) + at[1] - columns.start


def untrained(kind, mode, **config):
    torch.manual_seed(0)
    return Denoiser(kind(mode, blind=True, **config).eval(), ModelCard(f"{kind.__name__} {mode}"))


@pytest.mark.parametrize("corner", [(70, 61), (0, 131), (133, 3)])
def test_rows_are_the_filters_of_the_pixels_inside_the_patch(corner):
    image = stripes(140, 138)
    window = tuple(slice(first, first + 7) for first in corner)
    matrix = matrix_of(patch_spectrum(image, window))
    for row, column in ((0, 0), (3, 6)):
        at = corner[0] + row, corner[1] + column
        np.testing.assert_allclose(matrix[place_in(window, at)], rows_of(image, window, at), atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "mode", "config"),
    [
        (FDnCNN, "norm-equiv", {"channels": 4, "depth": 4}),
        (FDnCNN, "scale-equiv", {"channels": 4, "depth": 4}),
        (DRUNet, "norm-equiv", {"channels": (4, 8, 8), "blocks": 1}),
        (DRUNet, "scale-equiv", {"channels": (4, 8, 8), "blocks": 1}),
    ],
)
@pytest.mark.parametrize("corner", [(40, 30), (93, 86)])
def test_so_they_are_in_other_networks(kind, mode, config, corner):
    image, model = stripes(100, 94), untrained(kind, mode, **config)
    window = tuple(slice(first, first + 6) for first in corner)
    matrix = matrix_of(patch_spectrum(image, window, model=model))
    at = corner[0] + 2, corner[1] + 5
    expected = rows_of(image, window, at, model=model)
    np.testing.assert_allclose(matrix[place_in(window, at)], expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_what_is_far_from_the_patch_need_not_be_followed(monkeypatch):
    image, window = stripes(220, 220), (slice(101, 107), slice(97, 103))
    near = patch_spectrum(image, window).values
    monkeypatch.setattr(patches, "_around", lambda patch, margin, stride, read: read)
    np.testing.assert_allclose(patch_spectrum(image, window).values, near, atol=1e-6)


def test_the_spectrum_is_the_same_in_every_unit(of_stripes):
    for scale, shift in ((7.0, -3000.0), (1e-3, 0.0), (1.0, 1e5)):
        other = patch_spectrum(scale * stripes() + shift, whole(stripes()))
        np.testing.assert_allclose(other.values, of_stripes.values, atol=1e-4)
        assert other.numbers_kept == pytest.approx(of_stripes.numbers_kept, rel=1e-3)
        np.testing.assert_allclose(other.denoised, scale * of_stripes.denoised + shift, rtol=1e-5)


def test_a_patch_that_is_the_whole_image_keeps_grey_levels(of_stripes):
    n = of_stripes.pixels
    np.testing.assert_allclose(matrix_of(of_stripes) @ np.ones(n), 1, atol=1e-4)
    assert of_stripes.own_share == pytest.approx(1, abs=1e-5)
    # and the matrix times the image is the result
    np.testing.assert_allclose(matrix_of(of_stripes) @ stripes().ravel(), denoise(stripes(), precision="float32").ravel(), rtol=1e-4)
    np.testing.assert_allclose(of_stripes.denoised, denoise(stripes(), precision="float32"), rtol=1e-5)


def test_the_surroundings_give_what_is_missing():
    part = patch_spectrum(stripes(60, 60), (slice(25, 33), slice(25, 33)))
    assert 0 < part.own_share < 0.99


def test_the_trace_is_the_sum_of_what_pixels_have_in_their_own_results(of_stripes):
    probed = adaptive_maps(stripes(), ["self_weight"], probes=300)["self_weight"]
    error = np.sqrt(2 * of_stripes.numbers_kept / 300)
    assert of_stripes.trace == pytest.approx(probed.sum(), abs=4 * error)
    small = stripes(9, 8)
    exact = sum(rows_of(small, whole(small), at)[place_in(whole(small), at)] for at in np.ndindex(small.shape))
    assert patch_spectrum(small, whole(small)).trace == pytest.approx(exact, abs=1e-4)


def test_of_white_noise_as_many_parts_are_left_as_numbers_are_kept(of_stripes):
    n = of_stripes.pixels
    left = matrix_of(of_stripes) @ np.random.default_rng(0).standard_normal((n, 400))
    assert np.square(left).sum(0).mean() == pytest.approx(of_stripes.numbers_kept, rel=0.1)


def test_of_structure_more_is_kept_than_of_noise(of_stripes):
    of_noise = patch_spectrum(noise(), whole(noise()))
    assert of_noise.numbers_kept < 0.02 * of_noise.pixels
    assert of_stripes.numbers_kept > 3 * of_noise.numbers_kept
    # what is kept shows the structure, and what was removed is not among it
    y, x = np.mgrid[:24, :20]
    assert of_stripes.share_in_made(np.sin(x / 2) * np.cos(y / 4)) > 0.9
    assert of_stripes.share_in_made(of_stripes.denoised) > 0.9
    assert of_stripes.share_in_seen(of_stripes.noisy - of_stripes.denoised) < 0.2


def test_a_projection_keeps_as_many_numbers_as_it_has_dimensions():
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((36, 5)))
    patch = np.random.default_rng(1).standard_normal((6, 6))
    found = spectrum_of(basis @ basis.T, (slice(0, 6), slice(0, 6)), patch, (basis @ basis.T @ patch.ravel()).reshape(6, 6))
    assert (found.numbers_kept, found.participation, found.trace) == pytest.approx((5, 5, 5))
    assert found.asymmetry < 1e-12
    assert found.leading == 5
    np.testing.assert_allclose(
        found.seen[:5] * np.sign((found.seen[:5] * found.made[:5]).sum((1, 2)))[:, None, None], found.made[:5], atol=1e-6
    )


def test_patterns_are_apart_and_have_a_length_of_one(of_stripes):
    for patterns in (of_stripes.seen, of_stripes.made):
        flat = patterns.reshape(of_stripes.pixels, -1).astype(float)
        np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-5)
    assert (np.diff(of_stripes.values) <= 0).all()


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_a_weaker_result_keeps_more_of_each_pixel_itself(of_stripes, strength):
    weaker = patch_spectrum(stripes(), whole(stripes()), strength=strength)
    identity = np.eye(of_stripes.pixels)
    np.testing.assert_allclose(matrix_of(weaker), (1 - strength) * identity + strength * matrix_of(of_stripes), atol=2e-5)
    assert weaker.trace == pytest.approx((1 - strength) * of_stripes.pixels + strength * of_stripes.trace, rel=1e-4)
    np.testing.assert_allclose(weaker.denoised, denoise(stripes(), strength=strength, precision="float32"), rtol=1e-5)


def test_it_comes_step_by_step_and_leaves_the_image_alone(monkeypatch):
    monkeypatch.setattr(patches, "PIXELS_AT_ONCE", 30 * 24**2)
    stack = np.stack([noise(), stripes()])
    before = stack.copy()
    steps = list(iter_patch_spectrum(stack, whole(stripes()), position=(1, 0, 0)))
    assert [step.spectrum is None for step in steps] == [True] * (len(steps) - 1) + [False]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert len(steps) > 10
    assert steps[-1].done == steps[-1].total == stripes().size
    assert np.array_equal(stack, before)


def test_it_ends_where_nobody_wants_it_any_more(monkeypatch):
    monkeypatch.setattr(patches, "PIXELS_AT_ONCE", 1)
    stop = threading.Event()
    steps = iter_patch_spectrum(stripes(), whole(stripes()))
    with interruptible(stop):
        assert [next(steps).done for _ in range(2)] == [1, 2]
        stop.set()
        with pytest.raises(Interrupted):
            next(steps)


@pytest.mark.parametrize(
    ("image", "settings", "said"),
    [
        (stripes(), {"region": (slice(0, 30), slice(0, 8))}, "inside the plane.*two slices"),
        (np.zeros((200, 200)), {"region": (slice(0, 65), slice(0, 8))}, "at most 64 pixels"),
        (stripes(), {"region": (slice(4, 4), slice(0, 8))}, "two slices"),
        (stripes(), {"region": (slice(0, 8, 2), slice(0, 8))}, "two slices"),
        (stripes(), {"region": 3}, "two slices"),
        (stripes(), {"region": (slice(0, 8), slice(0, 8)), "model": "ordinary-twin"}, "adds constants"),
        (np.stack([stripes()] * 2), {"region": (slice(0, 8), slice(0, 8))}, r"which plane\? The image has 2; .*position="),
    ],
)
def test_what_is_refused_says_why(image, settings, said):
    with pytest.raises(SettingsError, match=said):
        patch_spectrum(image, **settings)
