import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.noise.model import CurvePoint, NoiseModel
from napari_ne_denoise.core.noise.residual import ResidualTally, noise_std, standardized_residual

PHOTONS = NoiseModel(gain=4.0, offset=100.0, read_noise=6.0, curve=(CurvePoint(120.0, 116.0, 1.0), CurvePoint(400.0, 1236.0, 9.0)))


def photons(seed=0, shape=(64, 80)):
    clean = np.linspace(120, 400, shape[-1]) * np.ones(shape)
    rng = np.random.default_rng(seed)
    return clean, clean + PHOTONS.std(clean) * rng.normal(size=shape)


def summary_of(*planes):
    tally = ResidualTally()
    for plane in planes:
        tally.add(plane)
    return tally.summary()


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-1e4, 1e4), st.integers(0, 9))
def test_a_change_of_unit_and_offset_changes_no_residual(scale, shift, seed):
    clean, noisy = photons(seed)
    expected = standardized_residual(noisy, clean, PHOTONS)
    found = standardized_residual(scale * noisy + shift, scale * clean + shift, PHOTONS.mapped(scale, shift))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_noise_alone_has_a_standard_deviation_of_one_and_no_neighbours():
    clean, noisy = photons(shape=(200, 300))
    summary = summary_of(standardized_residual(noisy, clean, PHOTONS))
    assert summary.std == pytest.approx(1, abs=0.02)
    assert abs(summary.along_rows) < 0.02
    assert abs(summary.along_columns) < 0.02


def test_structure_that_was_taken_shows_along_the_axis_it_has():
    clean, noisy = photons(shape=(200, 300))
    stripes = 30 * (np.arange(300) // 10 % 2 - 0.5)
    summary = summary_of(standardized_residual(noisy, clean - stripes, PHOTONS))
    assert summary.std > 1.05
    assert summary.along_rows > summary.along_columns > 0.1


def test_planes_are_summed_up_and_never_joined():
    one, other = np.ones((2, 3)), -np.ones((2, 3))
    summary = summary_of(one, other)
    assert (summary.std, summary.along_rows, summary.along_columns) == (1, 1, 1)


def test_what_is_no_number_does_not_count():
    plane = np.array([[1.0, np.nan], [-1.0, np.inf]])
    summary = summary_of(plane)
    assert (summary.std, summary.along_rows, summary.along_columns) == (1, -1, 0)
    assert summary_of(np.full((2, 2), np.nan)).std == 0


def test_below_the_darkest_that_was_measured_noise_does_not_vanish():
    assert noise_std(np.array([0.0, 99.0, 120.0]), PHOTONS) == pytest.approx(np.full(3, PHOTONS.std(120)))
    single = NoiseModel(gain=4.0, offset=100.0, read_noise=0.0)
    assert noise_std(np.array(0.0), single) == 4


def test_without_noise_there_is_nothing_to_count_in():
    with pytest.raises(ImageError, match="No noise"):
        standardized_residual(np.zeros((2, 2)), np.zeros((2, 2)), NoiseModel(gain=0.0, offset=0.0, read_noise=0.0))
