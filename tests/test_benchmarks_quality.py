"""The quality report scores as its protocol says, keeps scores, and gives the other denoisers a fair chance."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage import io

from benchmarks import images, ours, parts, report
from benchmarks.__main__ import main
from benchmarks.images import (
    Sample,
    binned,
    clean_images,
    fluorescence_samples,
    gaussian_samples,
    middle,
    paired_samples,
    photon_samples,
)
from benchmarks.options import Options
from benchmarks.quality import classical, correlated, methods, scores, strange, suite, worst
from benchmarks.quality.noise_curve import NoiseCurve, estimate_noise_curve
from benchmarks.quality.scores import Comparison, Method, Score, Scoreboard, lag_one
from benchmarks.quality.stabilise import generalized_anscombe, inverse_generalized_anscombe, through_anscombe
from napari_ne_denoise import load_denoiser

GAIN, PEDESTAL = 3.0, 20.0


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Results go to a folder of the test."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture
def data(tmp_path):
    """A folder with every set of test images, tiny."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "test"
    for name in ("set12/01", "bsd68/a", "fmd/gt__One", "fmd/noisy__One_1", "w2s/gt__010_0", "w2s/noisy__010_0", "w2s/gt__010_2"):
        _save(folder / f"{name}.png", _picture(rng))
    for name in ("w2s/noisy__010_2", "gigadb/gt__a-1", "gigadb/noisy__a-1", "clean_micro/a", "clean_micro/b"):
        _save(folder / f"{name}.png", _picture(rng))
    _save(folder / "photon_counting" / "frames5__x.tif", rng.poisson(3, (5, 48, 48)).astype(np.uint16))
    for name in ("gt__x", "noisy__x"):
        _save(folder / "twophoton_float" / f"{name}.tif", 0.001 * rng.random((48, 48), np.float32))
    return tmp_path / "data"


@pytest.fixture
def small(monkeypatch):
    """Strange images are as small as the others, and BM3D takes its time elsewhere."""
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    for name, value in (("SIDE", 48), ("SEAM", 8), ("SEEDS", range(2)), ("MADE", 1), ("SIGMAS", (0.1, 0.5)), ("BINNING", 2)):
        monkeypatch.setattr(strange, name, value)
    monkeypatch.setattr(images, "MICROGRAPH_SIDE", 48)


def _picture(rng, shape=(48, 56)):
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 4)
    return np.uint8(np.clip(127 + 60 * smooth / smooth.std() + 10 * rng.standard_normal(shape), 0, 255))


def _save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image) if path.suffix == ".tif" else io.imsave(path, image, check_contrast=False)


def _method(denoise, name="ours", identity="1", aims=True):
    return Method(name, identity, denoise, aims)


def _photon_image(seed=0, side=256, photons=40):
    """Photon counts in grey levels over a pedestal, and their expectation."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((side, side)), 12)
    expected = photons * (smooth - smooth.min()) / np.ptp(smooth) + 0.5
    return GAIN * rng.poisson(expected) + PEDESTAL, GAIN * expected + PEDESTAL


# how results are compared with the truth


def test_gaussian_noise_has_the_psnr_of_its_sigma(kept):
    for name in ("a", "b"):
        _save(kept / f"{name}.png", np.full((200, 210), 128, np.uint8))
    found = Scoreboard().compare(
        "x", gaussian_samples(kept, 25), [methods.NOISY, _method(lambda sample: np.full(sample.noisy.shape, 128.0))]
    )
    assert found.mean("noisy") == pytest.approx(20 * np.log10(255 / 25), abs=0.05)
    assert found.mean("ours") == np.inf


def test_fluorescence_pairs_frames_with_their_field_and_clips(kept):
    for name, value in (("gt__One_2", 250), ("noisy__One_2_1", 255), ("noisy__One_2_2", 235), ("gt__Two", 9), ("noisy__Two_1", 9)):
        _save(kept / f"{name}.png", np.full((8, 9), value, np.uint8))
    found = Scoreboard().compare("FMD", fluorescence_samples(kept), [_method(lambda sample: sample.noisy.astype(float) + 10)])
    assert found.mean("ours", "One 2") == pytest.approx(20 * np.log10(255 / 5))
    assert found.mean("ours", "Two") == pytest.approx(20 * np.log10(255 / 10))
    assert [row[0] for row in found.rows()] == ["FMD, One 2", "FMD, Two", "FMD, all"]


def test_what_was_scaled_apart_is_fitted(data):
    samples = list(paired_samples(data / "test" / "w2s", scaled_apart=True, group=suite._colour))
    assert [(sample.group, sample.peak) for sample in samples] == [("colour 0", 255), ("colour 2", 255)]
    assert samples[0].psnr(0.2 * samples[0].truth + 90) > 200
    (float_sample,) = paired_samples(data / "test" / "twophoton_float")
    assert float_sample.peak == pytest.approx(np.ptp(float_sample.truth))
    assert float_sample.psnr(0.2 * float_sample.truth) < 20


def test_the_noise_of_a_truth_of_photons_does_not_count(tmp_path):
    frames = np.random.default_rng(0).poisson(3, (16, 256, 256)).astype(np.uint16)
    _save(tmp_path / "frames16__x.tif", frames)
    samples = list(photon_samples(tmp_path))
    assert len(samples) == 16
    np.testing.assert_allclose(samples[3].truth, np.delete(frames, 3, 0).mean(0))
    # a constant that is off by 0.2 photons
    errors = [sample.peak**2 / 10 ** (sample.psnr(np.full(sample.truth.shape, 3.2)) / 10) for sample in samples]
    assert np.mean(errors) == pytest.approx(0.04, rel=0.1)


def test_a_smaller_truth_is_that_of_the_first_pixels():
    sample = Sample("x", np.zeros((4, 6)), np.ones((4, 3)), peak=1.0)
    assert sample.psnr(np.where(np.arange(6) < 3, 0.9, 50) * np.ones((4, 1))) == pytest.approx(20)


def test_a_fingerprint_tells_samples_apart():
    sample = Sample("x", np.zeros((4, 6)), np.ones((4, 6)))
    others = [
        replace(sample, noisy=np.ones((4, 6))),
        replace(sample, peak=1.0),
        replace(sample, noisy=np.zeros((6, 4)), truth=np.ones((6, 4))),
    ]
    assert len({each.fingerprint for each in (sample, *others)}) == 4
    assert replace(sample, name="y").fingerprint == sample.fingerprint


def test_pictures_are_cut_and_binned(data):
    assert [name for name, _ in clean_images(data / "test" / "clean_micro")] == ["a", "b"]
    image = np.arange(35.0).reshape(5, 7)
    np.testing.assert_array_equal(middle(image, 3), image[1:4, 2:5])
    np.testing.assert_array_equal(middle(image, 9), image)
    np.testing.assert_array_equal(binned(image, 2)[0, 0], image[:2, :2].mean())
    assert binned(image, 2).shape == (2, 3)


# scores that are kept


def _samples(count=3):
    rng = np.random.default_rng(0)
    return [Sample(f"{index}", rng.random((8, 9)), np.zeros((8, 9)), peak=1.0) for index in range(count)]


def _counting(calls):
    return lambda sample: calls.append(sample.name) or 0.5 * sample.noisy


def test_scores_are_measured_once(tmp_path, capsys):
    calls, path = [], tmp_path / "scores.jsonl"
    first, again = (Scoreboard(path).compare("x", _samples(), [_method(_counting(calls))]) for _ in range(2))
    assert calls == ["0", "1", "2"]
    assert again.found == first.found
    assert capsys.readouterr().err.splitlines() == ["benchmarks: x: ours, 3 of 3 images"]


def test_the_note_says_what_was_kept(tmp_path):
    board = Scoreboard(tmp_path / "scores.jsonl")
    board.compare("x", _samples(2), [_method(_counting([]))])
    assert "All scores were measured" in board.note
    board = Scoreboard(tmp_path / "scores.jsonl")
    board.compare("x", _samples(3), [_method(_counting([]))])
    assert "ours 2 of 3" in board.note


@pytest.mark.parametrize(("fresh", "identity"), [(True, "1"), (False, "2")])
def test_scores_are_measured_again_if_asked_or_if_the_method_changed(tmp_path, fresh, identity):
    calls, path = [], tmp_path / "scores.jsonl"
    Scoreboard(path).compare("x", _samples(), [_method(_counting(calls))])
    Scoreboard(path, fresh).compare("x", _samples(), [_method(_counting(calls), identity=identity)])
    assert len(calls) == 6


def test_an_interrupted_run_goes_on(tmp_path):
    calls, path = [], tmp_path / "scores.jsonl"

    def interrupted(sample):
        if sample.name == "2":
            raise KeyboardInterrupt
        return _counting(calls)(sample)

    with pytest.raises(KeyboardInterrupt):
        Scoreboard(path).compare("x", _samples(), [_method(interrupted)])
    with path.open("a") as file:
        file.write('{"method": "ours", "ke')  # ended while it wrote
    Scoreboard(path).compare("x", _samples(), [_method(_counting(calls))])
    assert calls == ["0", "1", "2"]


def test_a_score_tells_what_was_taken_away():
    sample = Sample("x", np.tile([1.0, -1.0], (10, 30)), np.zeros((10, 60)), peak=1.0)
    found = scores.measure(sample, _method(lambda sample: 0 * sample.noisy))
    # along rows its sign alternates, along columns it is constant
    assert (found.psnr, found.std) == (np.inf, 0)
    assert found.lag == pytest.approx(0)
    assert lag_one(np.random.default_rng(0).standard_normal((300, 300))) == pytest.approx(0, abs=0.01)
    assert lag_one(np.ones((5, 5))) == 0


# noise found in the image, and taken out of the way


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-5, 3), (100, -1e4)])
def test_the_noise_curve_of_photons_is_found_in_any_unit(scale, shift):
    noisy, expected = _photon_image()
    curve = estimate_noise_curve(scale * noisy + shift)
    truth = (scale * GAIN) * (scale * (expected - PEDESTAL))
    np.testing.assert_allclose(curve.variance(scale * expected + shift).mean(), truth.mean(), rtol=0.1)
    assert curve.gain == pytest.approx(scale * GAIN, rel=0.15)
    assert curve.variance_at_zero == pytest.approx(-scale * GAIN * (scale * PEDESTAL + shift), rel=0.2)


def test_the_variance_of_white_noise_is_found():
    curve = estimate_noise_curve(5 * np.random.default_rng(0).standard_normal((256, 256)) + 100)
    assert curve.variance(np.array(100.0)) == pytest.approx(25, rel=0.05)


def test_saturated_blocks_are_left_out():
    noisy, _ = _photon_image(seed=1, photons=60)
    saturated = np.minimum(noisy, np.quantile(noisy, 0.9))
    assert estimate_noise_curve(saturated).gain == pytest.approx(GAIN, rel=0.15)
    # nothing looks saturated where one pixel is brighter: then the plateau is believed to be without noise
    saturated[0, 0] = saturated.max() + 1
    assert estimate_noise_curve(saturated).gain < 0.7 * GAIN


@pytest.mark.parametrize("photons", [3, 10, 100])
@pytest.mark.parametrize("read_noise", [0.0, 1.0])
def test_stabilised_noise_is_one_and_its_mean_comes_back(photons, read_noise):
    rng = np.random.default_rng(0)
    noisy = GAIN * (rng.poisson(photons, (400, 400)) + read_noise * rng.standard_normal((400, 400))) + PEDESTAL
    curve = NoiseCurve(GAIN, -GAIN * PEDESTAL + (GAIN * read_noise) ** 2)
    stable = generalized_anscombe(noisy, curve)
    assert stable.std() == pytest.approx(1, abs=0.05)
    assert inverse_generalized_anscombe(stable.mean(), curve) == pytest.approx(GAIN * photons + PEDESTAL, rel=0.01)


def test_denoising_behind_the_transform_is_better_and_unbiased():
    noisy, expected = _photon_image()
    result = through_anscombe(noisy, partial(ndimage.gaussian_filter, sigma=3))
    assert result.mean() == pytest.approx(expected.mean(), rel=0.01)
    assert np.mean((result - expected) ** 2) < 0.1 * np.mean((noisy - expected) ** 2)


def test_noise_without_a_slope_is_only_scaled():
    curve = NoiseCurve(0.0, 4.0)
    assert curve.is_gaussian
    image = np.array([[-3.0, 8.0]])
    np.testing.assert_array_equal(generalized_anscombe(image, curve), image / 2)
    np.testing.assert_array_equal(inverse_generalized_anscombe(image / 2, curve), image)


def test_block_matching_is_told_the_spectrum(data):
    pytest.importorskip("bm3d")
    sample = next(correlated.samples(data / "test" / "clean_micro", 1.0))
    blind = classical.block_matching(sample.noisy, images.MICROGRAPH_SIGMA, 1.0)
    assert sample.psnr(classical.told_the_noise(sample)) > sample.psnr(blind) + 0.5
    assert not hasattr(np, "trapz") or np.lib.NumpyVersion(np.__version__) < "2.4.0"


def test_a_flat_half_has_no_noise_and_does_no_harm():
    rng = np.random.default_rng(0)
    noisy = np.where(np.arange(256) < 128, 100.0, 120 + 5 * rng.standard_normal((256, 256)))
    curve = estimate_noise_curve(noisy)  # warnings are errors
    assert curve.variance(np.array(120.0)) == pytest.approx(25, rel=0.1)
    assert abs(curve.variance(np.array(100.0))) < 2.5
    assert estimate_noise_curve(np.full((64, 64), 7.0)) == NoiseCurve(0.0, 0.0)


# correlated noise


@pytest.mark.parametrize("width", [0.0, 0.4, 0.7, 1.0])
def test_correlated_noise_keeps_its_variance_and_has_its_spectrum(tmp_path, width):
    _save(tmp_path / "a.png", np.arange(256, dtype=np.uint8).repeat(256).reshape(256, 256))
    (sample,) = correlated.samples(tmp_path, width)
    noise = sample.noisy - sample.truth
    assert noise.std() == pytest.approx(images.MICROGRAPH_SIGMA, rel=0.05)
    assert np.mean(np.abs(np.fft.fft2(noise)) ** 2 / sample.spectrum) == pytest.approx(1, rel=0.05)
    assert lag_one(noise) == pytest.approx({0.0: 0, 0.4: 0.087, 0.7: 0.6, 1.0: 0.78}[width], abs=0.04)
    assert sample.psnr(correlated.wiener(sample)) > sample.psnr(sample.noisy) + 10


# the report


def test_all_sets_are_reported(data, kept, small, monkeypatch, capsys):
    pytest.importorskip("pywt")  # scikit-image estimates σ with it
    pictured = []
    # the package may come to have more models
    monkeypatch.setattr(suite, "models_to_compare", lambda: ("fast", ours.TWIN))
    monkeypatch.setattr(suite, "write_worst", lambda folder, comparison, *_: pictured.append(comparison.name))
    command = ["quality", "fast", "ordinary-twin", "--data", str(data), "--worst", "sheets"]
    assert main(command) == 0
    out = capsys.readouterr().out
    for row in ("Set12, σ = 25", "W2S, colour 2", "W2S, all", "Photon counting", "kernel of 0.7 px", "σ = 50.0% of the range"):
        assert f"| {row} |" in out
    assert "| fast: Set12, σ = 10 | ≥ 33.9 dB |" in out
    assert "ordinary-twin:" not in out  # it breaks the law: nothing is wanted of it
    assert pictured[::2] == ["Set12, σ = 25", "BSD68, σ = 25", "FMD", "W2S", "GigaDB", "Photon counting", "Two-photon, float"]
    kept_report = report.load("quality")
    assert len(kept_report.tables) == 7
    assert kept_report.weights["fast"] == ours.weights_hash(load_denoiser("fast").network)

    assert main(command) == 0
    again = capsys.readouterr()
    assert "images" not in again.err  # nothing is measured twice
    assert again.out.split("| PSNR", 1)[1] == out.split("| PSNR", 1)[1]


def test_a_glance_is_not_kept(data, kept, small, capsys):
    assert main(["quality", "fast", "--data", str(data), "--sets", "real", "--no-peers", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "`python -m benchmarks quality fast --sets real --no-peers --limit 1`" in out
    assert "W2S, colour" not in out
    assert "GAT" not in out.split("| PSNR")[1]
    assert report.load("quality") is None


def test_a_run_without_one_of_the_models_is_a_glance():
    assert not suite.is_glance(Options())
    assert not suite.is_glance(Options(models=("other.safetensors", *ours.models_to_compare())))
    for options in (Options(models=("fast",)), Options(sets=("real",)), Options(peers=False), Options(limit=1)):
        assert suite.is_glance(options)


def test_models_are_called_as_the_speed_tables_call_them(monkeypatch):
    asked = []
    monkeypatch.setattr(ours, "denoise", lambda image, **settings: asked.append(settings["device"]))
    (method,) = methods.our_models(["fast"])
    method.denoise(_samples(1)[0])
    assert asked == ["cpu"]


def test_scores_depend_on_torch_and_on_the_source_of_what_is_called(monkeypatch):
    def identity():
        ours.computed_by.cache_clear()
        (method,) = methods.our_models(["fast"])
        return method.identity

    before = identity()
    assert identity() == before
    with monkeypatch.context() as changed:
        changed.setattr(ours.torch, "__version__", "0.0")
        other_torch = identity()
    with monkeypatch.context() as changed:
        changed.setattr(ours, "source_hash", lambda paths: "another source")
        other_source = identity()
    assert len({before, other_torch, other_source}) == 3
    assert identity() == before


def test_models_that_are_there_to_compare_with_are_not_to_reach_anything():
    fast, twin = methods.our_models(["fast", ours.TWIN])
    assert (fast.aims, twin.aims) == (True, False)
    assert fast.weights != twin.weights
    assert ours.TWIN not in ours.packaged_models()


def test_captions_say_how_the_others_are_called(monkeypatch):
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    text = classical.protocol_of((classical.NLM, classical.BM3D))
    assert classical.NLM.protocol in text
    assert "BM3D" not in text


def test_only_the_sets_that_are_asked_for_are_needed():
    part = parts.PARTS["quality"]
    assert [path.rsplit("/", 1)[1] for path in part.lacks(Options(data=suite.Path("nowhere"), sets=("correlated", "strange")))] == [
        "clean_micro"
    ]
    assert len(part.lacks(Options(data=suite.Path("nowhere")))) == 8


def _comparison(name, **psnrs):
    found = {method: [Score(psnr, 0, 1) for psnr in values] for method, values in psnrs.items()}
    return Comparison(name, [""] * len(next(iter(found.values()))), found)


def test_targets_of_real_noise():
    models = [_method(None, "quality"), _method(None, "twin", aims=False)]
    found = [
        _comparison("FMD", noisy=[20, 22], quality=[31, 33], twin=[0, 0], **{"GAT+BM3D": [30, 33], "GAT+TV": [32.5, 32.5], "TV": [30, 30]}),
        _comparison("W2S", noisy=[31, 31], quality=[30, 30], twin=[0, 0], **{"GAT+BM3D": [29, 29], "GAT+TV": [28, 28], "TV": [29.5, 29.5]}),
    ]
    assert [(target.measured, target.met) for target in suite._better(found, models)] == [(0.5, True), (1.0, True)]
    noisy, tv = suite._never_worse(found, models, "micrographs")
    assert (noisy.measured, noisy.met, noisy.what.endswith("W2S")) == (-1, False, True)
    assert (tv.measured, tv.what.endswith("FMD")) == (-0.5, True)


def test_only_models_of_that_name_are_to_reach_what_is_wanted_of_it():
    found = {(name, sigma): _comparison(name, quality=[30], fast=[30], other=[30]) for name, sigma in suite.WANTED}
    targets = list(suite._enough(found, [_method(None, name) for name in ("quality", "fast", "other")]))
    assert [target.what for target in targets if target.limit in (30.3, 29.8)] == ["quality: Set12, σ = 25", "fast: Set12, σ = 25"]
    assert len(targets) == 12


def test_files_of_one_name_are_told_apart(tmp_path):
    names = []
    for folder in ("a", "b"):
        path = tmp_path / folder / "last.safetensors"
        path.parent.mkdir()
        path.write_bytes((ours.CORE / "models" / "fast.safetensors").read_bytes())
        names.append(str(path))
    assert [method.name for method in methods.our_models([*names, "fast", "fast"])] == [*names, "fast"]


def test_the_worst_are_those_with_the_least_gain():
    found = _comparison("x", ours=[30, 20, 25, 26, 27, 28, 29], BM3D=[29, 10, 28, 20, 20, 20, 20], noisy=[0] * 7)
    assert worst.worst(found, "ours", "BM3D") == [2, 0, 3, 4, 5]
    assert worst.worst(found, "ours", "nobody") == [1, 2, 3, 4, 5]


def test_the_worst_are_drawn(tmp_path, data):
    pytest.importorskip("matplotlib")
    samples = list(gaussian_samples(data / "test" / "set12", 25))
    found = _comparison("Set12, σ = 25", noisy=[20], ours=[30])
    path = worst.write_worst(tmp_path / "sheets", found, samples, _method(lambda sample: sample.truth), "BM3D")
    assert path.name == "ours-set12-25.png"
    assert io.imread(path).ndim == 3


def test_an_image_with_noise_of_its_own_gets_no_less_than_that(data, monkeypatch):
    folder = data / "test" / "clean_micro"
    monkeypatch.setattr(strange, "GRAIN", {"a": 0.04})
    assert [sample.name for sample in strange.with_noise(folder, 0.05, None)] == ["b"]
    strong, usual = strange.with_noise(folder, 0.1, None)
    assert (strong.name, usual.name) == ("a", "b")
    # the noise of an image does not depend on those that are left out
    weak = next(strange.with_noise(folder, 0.05, 1))
    np.testing.assert_allclose(weak.noisy - weak.truth, (usual.noisy - usual.truth) / 2, atol=1e-12)
