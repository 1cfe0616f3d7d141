"""The noise report compares what is found with what is known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import io

from benchmarks import report
from benchmarks.images import Sample
from benchmarks.noise import assessment, calibration, choices, coverage, curves, map_truth, suite, white
from benchmarks.options import Options
from napari_ne_denoise import load_denoiser


@pytest.fixture
def data(tmp_path):
    """Two clean micrographs, and a field of FMD with frames of 8 grey levels a photon."""
    rng = np.random.default_rng(0)
    truth = np.clip(40 + 60 * np.sin(np.arange(160) / 25)[:, None] * np.cos(np.arange(160) / 30), 10, 100)
    for folder in ("fmd", "clean_micro"):
        (tmp_path / "test" / folder).mkdir(parents=True)
    io.imsave(tmp_path / "test" / "fmd" / "gt__One.png", np.rint(truth).astype(np.uint8), check_contrast=False)
    for frame in (1, 2):
        noisy = np.clip(8 * rng.poisson(truth / 8), 0, 255).astype(np.uint8)
        io.imsave(tmp_path / "test" / "fmd" / f"noisy__One_{frame}.png", noisy, check_contrast=False)
    for name in "ab":
        io.imsave(tmp_path / "test" / "clean_micro" / f"{name}.png", np.rint(truth).astype(np.uint8), check_contrast=False)
    return tmp_path


def test_the_report_says_how_far_the_noise_found_is_from_the_noise_known(data, monkeypatch):
    monkeypatch.setattr(suite, "TIMED_SIDE", 256)
    report = suite.noise(Options(runs=1, data=data))
    fmd, simulated = report.tables
    assert fmd.rows[0][0] == "One"
    assert [float(ratio) for ratio in fmd.rows[0][1].split()] == pytest.approx([1, 1], abs=0.15)
    known = {row[0]: row for row in simulated.rows}
    assert float(known["Gaussian, σ = 0.05"][1]) == pytest.approx(1, abs=0.08)
    assert known["Gaussian, σ = 0.2"][-1] == "0 of 3"
    assert known["σ = 0.15 under a blur of 0.6 px"][-1] == "3 of 3"
    assert {target.unit for target in report.targets} == {"", "s/MPix"}


def test_simulated_noise_is_what_it_is_said_to_be():
    flat = np.full((512, 512), 0.5)
    for case in suite._cases():
        noise = case.add(flat, np.random.default_rng(1)) - flat
        assert noise.var() == pytest.approx(case.variance(flat).mean(), rel=0.05)
        assert abs(noise.mean()) < 0.05 * noise.std()
        assert np.mean(noise[1:] * noise[:-1]) / noise.var() == pytest.approx(case.correlation, abs=0.02)


def hills(side=96):
    rows, columns = np.mgrid[:side, :side]
    return 0.5 + 0.4 * np.sin(rows / 15) * np.cos(columns / 11)


def test_what_self_calibration_reaches_is_compared_with_the_noise_known():
    *scores, ratios = calibration._row([hills()], calibration.KINDS["30 photons"], load_denoiser("fast"))
    assert min(map(float, scores)) > 28  # the noisy image has 18
    assert [float(ratio) for ratio in ratios.partition(" (")[0].split(", ")] == pytest.approx([1, 1, 1], abs=0.3)


def test_every_choice_is_measured_and_auto_is_compared_with_them(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    noisy = np.random.default_rng(0).poisson(30 * hills()) / 30
    monkeypatch.setattr(choices, "MICROGRAPHS", {"hills": ("Hills", lambda _: iter([Sample("one", noisy, hills(), peak=1.0)]))})
    found = choices.choices(Options(peers=False))
    (name, noisy_score, *scores), (behind_best, behind_none) = found.tables[0].rows[0], found.targets
    assert name == "Hills"
    by_choice = dict(zip(choices.CHOICES, map(float, scores), strict=True))
    assert by_choice["auto"] == by_choice["none"] > float(noisy_score) + 8
    assert behind_none.measured == 0
    assert behind_best.measured == pytest.approx(max(by_choice.values()) - by_choice["auto"], abs=0.011)


def test_the_true_curve_is_that_of_the_noise():
    truth = np.linspace(10, 200, 512)[None] * np.ones((512, 1))
    noisy = truth + np.sqrt(2 * truth) * np.random.default_rng(0).standard_normal(truth.shape)
    for scale, sample in ((1.0, Sample("a", noisy, truth, scaled_apart=True)), (3.0, Sample("a", 3 * noisy + 7, truth, scaled_apart=True))):
        levels, stds = curves.true_curve(sample)
        expected = scale * np.sqrt(2 * (levels - (7 if scale > 1 else 0)) / scale)
        np.testing.assert_allclose(stds, expected, rtol=0.08)


def test_every_way_to_treat_noise_that_neighbours_share_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(white, "RUNS", tmp_path)  # no checkpoint there
    monkeypatch.setattr(white, "validation_images", lambda _: [hills(160)])
    monkeypatch.setattr(white, "WIDTHS", (0.0, 0.7))
    found = white.white(Options())
    scores = {row[0]: dict(zip(found.tables[0].columns[1:], map(float, row[1:]), strict=True)) for row in found.tables[0].rows}
    plain = scores["σ = 0.15, white"]
    assert plain["auto"] == plain["as it is"] == pytest.approx(plain["made white"], abs=0.3)
    assert min(min(row.values()) for row in scores.values()) > 25  # the noisier image has 16.5
    assert len(found.targets) == 1


def test_quality_told_without_truth_is_compared_with_the_truth(data, monkeypatch):
    report = assessment.assessment(Options(data=data))
    ((field, errors, *_, flagged),) = report.tables[0].rows
    assert field == "One"
    assert len(errors.split()) == 2
    assert flagged.endswith(" of 2")
    photons = assessment.kinds()["100 photons"]
    monkeypatch.setattr(assessment, "kinds", lambda: {"photons": photons})
    assessment._on_simulated([hills()], load_denoiser("fast"), report)
    ((name, known, *_),) = report.tables[1].rows
    assert name == "photons"
    assert float(known) < 3  # dB, of 36 blocks
    assert {target.what: target.measured for target in report.targets}[
        "plain results said to have lost structure, noise known or found"
    ] == 0


def test_kinds_of_noise_are_as_their_models_say():
    flat = np.full((512, 512), 0.5)
    for kind in assessment.kinds().values():
        noise = kind.add(flat, np.random.default_rng(1)) - flat
        assert noise.var() == pytest.approx(float(kind.model.variance(0.5)), rel=0.05)
        for lag, share in enumerate(kind.model.correlation[1], 1):
            assert np.mean(noise[:, lag:] * noise[:, :-lag]) / noise.var() == pytest.approx(share, abs=0.02)


def test_error_bars_are_compared_with_the_truth(data):
    found = coverage.coverage(Options(data=data))
    micrographs, real = found.tables
    assert [row[0] for row in micrographs.rows] == list(coverage.ON_MICROGRAPHS)
    assert [row[:2] for row in real.rows] == [["FMD", "2"]]
    assert all(0.8 < float(row[1].rstrip("%")) / 100 <= 1 for row in micrographs.rows)
    assert {target.unit for target in found.targets} == {""}


def test_coverage_is_that_of_the_interval():
    rng, truth = np.random.default_rng(0), np.zeros((100, 100))
    std = np.linspace(1, 3, truth.size).reshape(truth.shape)
    right = coverage.covered(std * rng.standard_normal(truth.shape), std, truth)
    assert right.share == pytest.approx(0.95, abs=0.01)
    assert right.scale == pytest.approx(1, abs=0.03)
    assert min(right.by_size) > 0.92
    small = coverage.covered(2 * std * rng.standard_normal(truth.shape), std, truth)
    assert small.share == pytest.approx(0.673, abs=0.02)
    # noise that the truth has itself makes no error bar wrong
    noisy_truth = std * rng.standard_normal(truth.shape)
    assert coverage.covered(std * rng.standard_normal(truth.shape), std, noisy_truth, std**2).share == pytest.approx(0.95, abs=0.01)


def test_maps_are_compared_with_what_can_be_measured(data, monkeypatch):
    for name, value in (("REALISATIONS", 40), ("SIDE", 64), ("KINDS", ("10 photons",)), ("FILTERS", 3), ("REPEATS", 1)):
        monkeypatch.setattr(map_truth, name, value)
    monkeypatch.setattr(map_truth, "BAR_PERIODS", (8,))
    monkeypatch.setattr(map_truth, "STAR_PERIODS", (8,))
    found = map_truth.maps(Options(data=data))
    spread, filters, bars, star = found.tables
    assert float(spread.rows[0][4]) == pytest.approx(1, abs=0.25)
    assert filters.rows[0][0] == "width"
    assert float(filters.rows[0][2].rstrip("%")) < 1
    for row in (*bars.rows, *star.rows):
        assert float(row[2]) == pytest.approx(1, abs=0.3)
        assert float(row[3]) == pytest.approx(1, abs=0.3)


def test_the_cost_of_maps_is_counted_in_denoisings(monkeypatch):
    monkeypatch.setattr(map_truth, "TIMED_SIDE", 64)
    found = map_truth.map_cost(Options(runs=1))
    assert all("products" in target.what for target in found.targets)
    assert min(target.measured for target in found.targets) > 1
    assert "error bars" in found.notes[0]
