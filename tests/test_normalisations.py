"""A normalisation is a line that is undone; only a network without the law notices it."""

import csv
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise import load_denoiser, measure_equivariance, normalisation_study, patch_spectrum
from napari_ne_denoise.core import normalisation_study as studies
from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.normalisations import NORMALISATIONS, differences, through


def noisy(rows=72, columns=80, seed=0):
    y, x = np.mgrid[:rows, :columns]
    return 900 + 300 * np.sin(x / 7) * np.cos(y / 9) + 40 * np.random.default_rng(seed).standard_normal((rows, columns))


@pytest.fixture(scope="module")
def study():
    return normalisation_study(noisy())


@pytest.mark.parametrize("normalisation", NORMALISATIONS, ids=lambda each: each.name)
@settings(deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e4, 1e4))
def test_a_normalisation_takes_an_image_where_it_says(normalisation, scale, shift):
    y = scale * noisy(9, 8) + shift
    slope, offset = normalisation.line(y)
    assert slope > 0
    low, high = normalisation.levels(y)
    np.testing.assert_allclose(
        [slope * low + offset, slope * high + offset], normalisation.goal, atol=1e-6 * max(map(abs, normalisation.goal))
    )


def test_usual_ones_are_what_they_are_called():
    y = noisy()
    normalised = {each.name: np.polyval(each.line(y), y) for each in NORMALISATIONS}
    assert (normalised["min–max to [−1, 1]"].min(), normalised["min–max to [−1, 1]"].max()) == pytest.approx((-1, 1))
    assert (normalised["z-score"].mean(), normalised["z-score"].std()) == pytest.approx((0, 1), abs=1e-9)
    assert np.mean(normalised["percentiles 1–99.8"] < 0) == pytest.approx(0.01, abs=0.001)
    np.testing.assert_array_equal(normalised["none"], y)


@pytest.mark.parametrize("normalisation", NORMALISATIONS, ids=lambda each: each.name)
def test_a_constant_image_is_normalised_without_a_division_by_zero(normalisation):
    y = np.full((4, 5), 7.0)
    np.testing.assert_allclose(through(lambda image: image, y, *normalisation.line(y)), y)


def test_what_is_done_is_undone():
    y = noisy()
    for normalisation in NORMALISATIONS:
        np.testing.assert_allclose(through(np.array, y, *normalisation.line(y)), y)
    assert all(found.largest < 1e-9 for found in differences(lambda image: 2 * image - image.mean(), y))
    assert all(found.rms > 1e-3 for found in differences(np.square, y))


def test_only_the_ordinary_network_notices_the_normalisation(study):
    assert (study.ours.law, study.ordinary.law) == ("norm-equiv", "ordinary")
    first, *others = study.ours.differences
    assert first.largest == 0
    assert max(found.largest for found in others) < 1e-3 * study.noise
    assert min(found.rms for found in study.ordinary.differences[1:]) > 0.02 * study.noise
    assert max(found.rms for found in study.ordinary.differences[1:]) > study.noise
    assert study.ours.spread.max() < 1e-3 * study.noise < study.ordinary.spread.mean()
    assert study.ours.errors.both < 1e-9 < study.ordinary.errors.both
    assert "the same result whatever the image is normalised to" in study.conclude()
    assert "somebody has to choose" in study.conclude()


def test_results_are_what_the_bare_networks_make(study):
    for found in study.networks:
        function = load_denoiser(found.name).without_numerics
        for normalisation in NORMALISATIONS[::2]:
            expected = through(function, noisy(), *normalisation.line(noisy()))
            np.testing.assert_allclose(found.results[normalisation.name], expected, atol=1e-3 * study.noise)


def test_float32_is_float64_with_fewer_digits():
    for name in ("fast", "ordinary-twin"):
        model = load_denoiser(name)
        y = noisy() / 1000
        exact, fast = model.without_numerics(y), model.without_numerics(y, "float32")
        assert (exact.dtype, fast.dtype) == (np.float64, np.float32)
        assert 0 < np.abs(exact - fast).max() < 1e-4


def test_the_study_follows_a_change_of_unit(study):
    other = normalisation_study(7 * noisy() - 3000)
    assert other.noise == pytest.approx(7 * study.noise, rel=1e-6)
    for one, seven in zip(study.ordinary.differences[:-1], other.ordinary.differences[:-1], strict=True):
        assert seven.rms == pytest.approx(7 * one.rms, rel=1e-3, abs=1e-3)
    # values as they are, though, are others
    assert other.ordinary.differences[-1].rms != pytest.approx(7 * study.ordinary.differences[-1].rms, rel=0.1)


@pytest.mark.parametrize(("offset", "share"), [(1e7, 1.0), (0.0, 0.2), (0.0, 0.01), (0.0, 1e-4)])
def test_however_little_noise_there_is_digits_are_enough(offset, share):
    y, x = np.mgrid[:48, :48]
    clean = 900 + 300 * np.sin(x / 20) * np.cos(y / 19)
    image = offset + clean + share * 40 * np.random.default_rng(0).standard_normal(clean.shape)
    found = normalisation_study(image)
    assert max(each.largest for each in found.ours.differences) < studies.NO_DIFFERENCE * found.noise
    assert "fast gives the same result" in found.conclude()


def test_errors_of_the_law_are_in_the_units_of_the_image(study):
    model = load_denoiser("ordinary-twin")
    middle = noisy()
    expected = measure_equivariance(model.without_numerics, middle, scales=studies.SCALES, shifts=studies.SHIFTS)
    assert study.ordinary.errors.both == pytest.approx(expected.both * model.without_numerics(middle).std())


def test_the_table_holds_what_was_found(study, tmp_path):
    path = tmp_path / "study.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(study.table())
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows, only_scale, only_shift, both = csv.reader(file)
    assert len(head) == 9
    assert [row[0] for row in rows] == [each.name for each in NORMALISATIONS]
    assert [float(row[2]) for row in (only_scale, only_shift, both)] == pytest.approx(list(vars(study.ordinary.errors).values()), rel=0.01)
    for row, found in zip(rows, study.ordinary.differences, strict=True):
        assert [float(text) for text in row[1:5]] == pytest.approx(
            [found.rms, found.largest, found.rms / study.noise, found.largest / study.noise], rel=0.01
        )


def test_a_part_of_a_plane_of_a_stack_is_looked_at(monkeypatch):
    monkeypatch.setattr(studies, "SIDE", 40)
    stack = np.stack([noisy(seed=1), noisy()]).astype(np.uint16)
    before = stack.copy()
    steps = list(studies.iter_normalisation_study(stack, position=(1, 0, 0), region=(slice(10, 70), slice(4, 30)), axes="ZYX"))
    assert [step.done for step in steps[:-1]] == list(range(1, len(steps)))
    found = steps[-1].study
    assert found.window == (slice(20, 60), slice(4, 30))
    np.testing.assert_array_equal(found.image, stack[1, 20:60, 4:30])
    np.testing.assert_array_equal(stack, before)


def test_what_was_found_does_not_follow_what_becomes_of_the_image():
    image = noisy()
    found, spectrum = normalisation_study(image), patch_spectrum(image, (slice(0, 8), slice(0, 8)))
    image[:] = 0
    assert found.image.any()
    assert spectrum.noisy.any()


def test_it_ends_where_nobody_wants_it_any_more():
    stop = threading.Event()
    steps = studies.iter_normalisation_study(noisy())
    with interruptible(stop):
        next(steps)
        stop.set()
        with pytest.raises(Interrupted):
            next(steps)


def test_what_is_refused_says_why():
    y = noisy()
    y[30, 30] = np.nan
    with pytest.raises(ImageError, match="NaN or infinities"):
        normalisation_study(y)
    with pytest.raises(SettingsError, match="outside the image"):
        normalisation_study(noisy(), position=(500, 0))
    for region in ((slice(0, 1000), slice(0, 40)), (slice(-20, 40), slice(0, 40)), (slice(None), slice(0, 40)), 5):
        with pytest.raises(SettingsError, match=r"must lie inside the plane.*two slices"):
            normalisation_study(noisy(), region=region)
