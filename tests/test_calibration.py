"""Self-calibration learns how noise depends on brightness, and what it learned is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_ne_denoise import calibrate_noise, denoise, load_denoiser
from napari_ne_denoise.core import calibration
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.profile import read_profile, write_profile


@pytest.fixture(scope="module")
def speckled():
    """Noise that grows with brightness as no camera's does: in proportion to it."""
    rows, columns = np.mgrid[:192, :192]
    clean = 20 + 180 * (0.5 + 0.5 * np.sin(rows / 17) * np.cos(columns / 23)) ** 2
    return clean, clean * np.random.default_rng(0).gamma(9, 1 / 9, clean.shape)


@pytest.fixture(scope="module")
def progress(speckled):
    return list(calibrate_noise(speckled[1]))


def test_it_says_how_far_it_is_and_how_much_it_gained(progress):
    assert [each.step for each in progress] == sorted(each.step for each in progress)
    assert progress[-1].step <= progress[-1].total == calibration.MOST_STEPS
    assert progress[-1].error < progress[-1].error_before
    assert [each.error for each in progress] == sorted((each.error for each in progress), reverse=True)


def test_the_noise_curve_is_learned(speckled, progress):
    learned = progress[-1].noise
    brightness = np.array([25, 45, 100, 180])
    assert learned.std(brightness) == pytest.approx(brightness / 3, rel=0.15)


def test_a_result_behind_the_transform_is_good_and_not_biased(speckled, progress):
    clean, noisy = speckled

    def error(image):
        return np.mean(((image - clean) / clean) ** 2)

    result = denoise(noisy, noise=progress[-1].noise)
    assert error(result) < 0.02 * error(noisy)
    # the way back takes noise for Gaussian; that of this kind is lopsided, and leaves 3 % of its standard deviation
    assert np.mean(result) == pytest.approx(np.mean(noisy), rel=0.02)


def test_it_is_equivariant_and_repeatable(speckled, progress):
    again = list(calibrate_noise(1e-3 * speckled[1] + 7))[-1].noise
    expected = progress[-1].noise.mapped(1e-3, 7)
    assert again.levels == pytest.approx(expected.levels, rel=1e-6)
    at = np.linspace(7.05, 7.2, 7)
    assert again.std(at) == pytest.approx(expected.std(at), rel=0.05)


def test_denoise_calibrates_itself_and_says_so(speckled, progress):
    noisy = speckled[1]
    run = prepare_denoising(noisy, noise="self-calibrated")
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    (record,) = run.provenance["decided"]["noise"]
    assert record["stabilised"]
    assert record["reason"] == "self-calibration was asked for"
    learned = LearnedNoise.from_record(json.loads(json.dumps(record["found"])))
    np.testing.assert_allclose(result, denoise(noisy, noise=learned), rtol=1e-5)
    np.testing.assert_allclose(result, denoise(noisy, noise=record["found"]), rtol=1e-5)


def test_where_nothing_is_gained_the_image_stays_as_it_is(speckled, monkeypatch):
    monkeypatch.setattr(calibration, "WORTHWHILE", 1.0)
    run = prepare_denoising(speckled[1], noise="self-calibrated")
    next(run.steps())
    (record,) = run.provenance["decided"]["noise"]
    assert not record["stabilised"]
    assert "no transform that is better" in record["reason"]


def test_it_works_whatever_is_turned_off_around_it(speckled):
    with torch.inference_mode():
        progress = calibrate_noise(speckled[1][:64, :64])
        next(progress)
        next(progress)


def test_it_brings_no_compiler_into_the_process():
    """Triton's library, which torch has for GPUs, ends a window that Mesa draws."""
    program = """
        import sys
        import numpy as np
        from napari_ne_denoise import calibrate_noise
        image = np.random.default_rng(0).poisson(50, (128, 128))
        progress = calibrate_noise(image)
        next(progress), next(progress)
        sys.exit("torch._dynamo" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_ends_when_it_is_no_longer_wanted(speckled):
    from threading import Event

    unwanted = Event()
    with interruptible(unwanted):
        progress = calibrate_noise(speckled[1])
        next(progress)
        unwanted.set()
        with pytest.raises(Interrupted):
            next(progress)


def test_what_was_learned_is_kept_in_a_profile(progress, tmp_path):
    write_profile(tmp_path / "speckle.json", "speckle", progress[-1].noise)
    assert read_profile(tmp_path / "speckle.json").noise == progress[-1].noise


def test_the_way_back_is_right_where_the_transform_bends():
    levels = np.linspace(1, 50, 40)
    learned = LearnedNoise(tuple(levels), tuple(2 * np.sqrt(levels)))  # of photons
    light = np.array([10.0, 20.0, 30.0])
    noisy = light + np.sqrt(light) * np.random.default_rng(0).standard_normal((200_000, 3))
    bias = learned.back(learned.forward(noisy).mean(0)) - light
    assert (np.abs(bias) < 0.02 * np.sqrt(light)).all()
    assert learned.std(light) == pytest.approx(np.sqrt(light), rel=0.03)


@pytest.mark.parametrize("values", [{"levels": (1.0, 1.0)}, {"values": (2.0, 1.0)}, {"levels": (1.0,)}, {"values": (0.0, np.nan)}])
def test_what_does_not_rise_is_refused(values):
    with pytest.raises(SettingsError, match="rising"):
        LearnedNoise(**{"levels": (0.0, 1.0), "values": (0.0, 1.0), **values})


def test_what_it_cannot_learn_from_is_refused():
    with pytest.raises(SettingsError, match="at least 64"):
        next(calibrate_noise(np.random.default_rng(0).standard_normal((40, 40))))
    noisy = np.random.default_rng(0).standard_normal((80, 80))
    with pytest.raises(SettingsError, match="norm-equiv"):
        next(calibrate_noise(noisy, model=load_denoiser("ordinary-twin")))
    with pytest.raises(SettingsError, match="norm-equiv"):
        prepare_denoising(noisy, model="ordinary-twin", noise="self-calibrated")


def test_neighbours_that_share_noise_would_betray_what_is_hidden(speckled):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(speckled[0].shape), 0.7)
    (only,) = calibrate_noise(speckled[0] + 20 * noise)
    assert only.noise is None


def test_hot_pixels_are_not_what_is_learned_from(speckled):
    hot = speckled[1].copy()
    hot[20::40, 20::40] = 5000
    hot[100, 100] = -1e9
    brightness = np.array([45, 100, 180])
    learned = list(calibrate_noise(hot))[-1].noise
    assert learned is None or learned.std(brightness) == pytest.approx(brightness / 3, rel=0.3)


def test_an_empty_channel_or_plane_is_no_hindrance(speckled):
    stack = np.stack([speckled[1][:96, :96], np.zeros((96, 96)), speckled[1][:96, :96]])
    found = denoise(stack, axes="CYX", noise="self-calibrated")
    assert (found[1] == 0).all()
    *_, last = calibrate_noise(stack, axes="ZYX")
    assert last.noise is not None


@pytest.mark.parametrize("unit", [1e-200, 1e100])
def test_units_do_not_matter(speckled, progress, unit):
    levels = np.array(list(calibrate_noise(unit * speckled[1]))[-1].noise.levels)
    assert levels / unit == pytest.approx(progress[-1].noise.levels, rel=1e-5)
