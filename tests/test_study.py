"""The study compares networks that differ in their law alone, measures by its protocol, and goes on where it stopped."""

import json
import tomllib

import numpy as np
import pytest
import torch
from skimage import io
from typer.testing import CliRunner

from benchmarks import ours, report
from benchmarks.__main__ import main
from benchmarks.images import gaussian_samples
from benchmarks.quality.scores import Scoreboard
from benchmarks.report import Report, Table
from benchmarks.study import command, measurements, networks
from benchmarks.study.networks import TITLES, StudyError, open_variants
from napari_ne_denoise.cli import app
from napari_ne_denoise.cli import check as check_module
from napari_ne_denoise.core import inference
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.models import fetch, registry
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import read_model, write_model
from napari_ne_denoise.core.models.registry import ModelRow
from napari_ne_denoise.core.networks import DRUNet, NormalizedDenoiser
from napari_ne_denoise.core.training.degradation import Degradation
from training import ship
from training.recipes import build_network, read_recipe

LAWS = {
    "ordinary": {"mode": "ordinary"},
    "scale-equiv": {"mode": "scale-equiv"},
    "norm-equiv": {"mode": "norm-equiv"},
    "wne": {"mode": "ordinary", "normalized": True},
}


SETTINGS = {"steps": 5, "batch": 2, "side": 16, "optimizer": "adam", "learning_rate": 1e-3, "seed": 3}


def tiny_recipe(name):
    size = {"architecture": "DRUNet", "channels": [4, 8], "blocks": 1}
    return {"network": {**size, **LAWS[name.removeprefix("sigma25-")]}, "data": {"synthetic": 3}}


def checkpoint(runs, variant, seed=0, **changes):
    """What a training that has ended leaves behind."""
    torch.manual_seed(seed)
    network = build_network(tiny_recipe(f"sigma25-{variant}")["network"])
    state = {
        "settings": SETTINGS,
        "degradation": {"sigma": (0.1, 0.1), "poisson_share": 0.0},
        "config": network.config,
        "step": 5,
        "trained": network.state_dict(),
    }
    runs.mkdir(exist_ok=True)
    torch.save({**state, **changes}, runs / f"sigma25-{variant}.pt")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Checkpoints of four tiny networks; what is measured of them is kept in a folder of the test."""
    monkeypatch.setattr(networks, "read_recipe", tiny_recipe)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "DOCS", tmp_path / "docs")
    # no more of the picture than is shown
    monkeypatch.setattr(measurements, "PART", (slice(148, 244), slice(174, 270)))
    monkeypatch.setattr(measurements, "PIXEL", (48, 48))
    for variant in LAWS:
        checkpoint(tmp_path / "runs", variant)
    return tmp_path / "runs"


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("set12/01", "set12/02", "bsd68/a", "bsd68/b"):
        path = tmp_path / "data" / "test" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        io.imsave(path, rng.integers(0, 255, (24, 28), np.uint8), check_contrast=False)
    return tmp_path / "data"


@pytest.fixture
def board(tmp_path):
    return Scoreboard(tmp_path / "scores.jsonl")


def test_the_recipes_differ_in_their_law_alone():
    recipes = [read_recipe(f"sigma25-{name}") for name in TITLES]
    laws = [(recipe["network"].pop("mode"), recipe["network"].pop("normalized", False)) for recipe in recipes]
    assert laws == [("ordinary", False), ("scale-equiv", False), ("norm-equiv", False), ("ordinary", True)]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert recipes[0]["data"] == read_recipe("fast")["data"]


def test_the_noise_of_the_recipes_is_white_and_of_25_grey_levels():
    recipe = read_recipe("sigma25-wne")
    degradation = Degradation(**{key: tuple(value) if isinstance(value, list) else value for key, value in recipe["degradation"].items()})
    clean, rng = np.full((128, 128), 0.5, np.float32), np.random.default_rng(0)
    for _ in range(20):
        # the dirtiest clean image that is let in gets no more noise than the others
        noise = degradation.draw(clean, recipe["data"]["largest_grain"], rng) - clean
        assert noise.std() == pytest.approx(25 / 255, rel=0.03)
        assert abs((noise[1:] * noise[:-1]).mean() / noise.var()) < 0.03


def test_checkpoints_are_opened_with_their_law(runs):
    variants = {variant.name: variant for variant in open_variants(runs)}
    assert [variant.network.equivariance for variant in variants.values()] == ["ordinary", "scale-equiv", "norm-equiv", "norm-equiv"]
    assert isinstance(variants["wne"].network, NormalizedDenoiser)
    image = np.random.default_rng(0).random((24, 28))
    for variant in variants.values():
        np.testing.assert_allclose(variant.denoise(image), variant.denoise_exactly(image), atol=1e-5)


def test_what_cannot_be_compared_is_refused(runs, data, capsys):
    checkpoint(runs, "wne", step=4)
    with pytest.raises(StudyError, match=r"has done 4 of 5 steps; let it finish: python -m training sigma25-wne"):
        open_variants(runs)
    checkpoint(runs, "wne", settings={**SETTINGS, "seed": 4})
    with pytest.raises(StudyError, match=r"not trained alike \(seed: 3 and 4\)"):
        open_variants(runs)
    checkpoint(runs, "wne", degradation={"sigma": (0.2, 0.2), "poisson_share": 0.0})
    with pytest.raises(StudyError, match=r"\(degradation.sigma: \(0.1, 0.1\) and \(0.2, 0.2\)\)"):
        open_variants(runs)
    checkpoint(runs, "wne", config={"mode": "ordinary"})
    with pytest.raises(StudyError, match=r"training/sigma25-wne.toml names"):
        open_variants(runs)
    (runs / "sigma25-wne.pt").unlink()
    assert main(["study", "--runs", str(runs), "--data", str(data)]) == 1
    assert "no such checkpoint; train first: python -m training sigma25-wne" in capsys.readouterr().err


def test_other_images_are_refused_too(runs, monkeypatch):
    def other_images(name):
        recipe = tiny_recipe(name)
        return {**recipe, "data": {"synthetic": 4}} if name == "sigma25-norm-equiv" else recipe

    monkeypatch.setattr(networks, "read_recipe", other_images)
    with pytest.raises(StudyError, match=r"data.synthetic: 3 and 4"):
        open_variants(runs)


def test_scores_follow_the_protocol(runs, data, board):
    variants = open_variants(runs)
    scores = measurements.all_scores(data / "test", None, variants, board)
    assert list(scores["set12"]["wne"]) == [2, 5, 11, 15, 25, 35, 53, 75, 100]
    for variant in variants:
        expected = []
        for index in range(2):
            truth = io.imread(data / "test" / "set12" / f"0{index + 1}.png").astype(float)
            noisy = truth + 53 * np.random.default_rng(index).standard_normal(truth.shape)
            expected.append(psnr(255 * variant.denoise_exactly(noisy / 255), truth, 255))
        assert scores["set12"][variant.name][53] == pytest.approx(np.mean(expected), abs=1e-3)


def test_an_interrupted_study_goes_on_and_new_weights_are_measured_anew(runs, data, tmp_path, monkeypatch):
    measured = []
    denoise = networks.Variant.denoise

    def counted(self, image):
        measured.append(self.name)
        return denoise(self, image)

    monkeypatch.setattr(networks.Variant, "denoise", counted)

    def scores():
        measured.clear()
        return measurements.all_scores(data / "test", None, open_variants(runs), Scoreboard(tmp_path / "scores.jsonl"))

    first = scores()
    assert len(measured) == 4 * 2 * (9 + 5)
    assert scores() == first
    assert not measured
    checkpoint(runs, "norm-equiv", seed=1)
    assert scores() != first
    assert set(measured) == {"norm-equiv"}


def test_a_range_matters_to_those_that_lack_the_law(runs, data, board):
    found = measurements.all_ranges(data / "test", None, open_variants(runs), board)
    spread = {name: np.ptp(list(scores.values())) for name, scores in found.items()}
    assert max(spread["norm-equiv"], spread["wne"]) < 1e-3
    assert min(spread["ordinary"], spread["scale-equiv"]) > 0.01
    assert np.ptp([found["scale-equiv"][limits] for limits in measurements.WIDTHS]) < 1e-3
    assert np.ptp([found["ordinary"][limits] for limits in measurements.WIDTHS]) > 0.01


def test_a_filter_explains_the_pixel_where_the_law_says_so(runs):
    views = {variant.name: measurements.view(variant, 25) for variant in open_variants(runs)}
    for name in ("norm-equiv", "wne"):
        assert views[name].total == pytest.approx(1, abs=1e-9)
        assert views[name].rest == pytest.approx(0, abs=1e-9)
    assert views["scale-equiv"].rest == pytest.approx(0, abs=1e-9)
    assert abs(views["scale-equiv"].total - 1) > 0.01
    assert abs(views["ordinary"].rest) > 0.1
    assert views["ordinary"].crop.shape == (96, 96)
    # the filter is centred on the pixel that the crop is centred on
    assert views["norm-equiv"].weights.shape == (21, 21)
    assert np.abs(views["norm-equiv"].weights[6:15, 6:15]).sum() > 0.9 * np.abs(views["norm-equiv"].weights).sum()


def test_the_page_says_what_was_measured(runs, data, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = ["study", "--runs", str(runs), "--data", str(data)]
    assert main(arguments) == 0
    text = (tmp_path / "docs" / "study.md").read_text()
    assert "5 steps of 2 crops of 16×16 pixels, adam with a learning rate of 0.001, seed 3" in text
    variants, board = open_variants(runs), Scoreboard(report.results_folder() / "study.jsonl")
    found = measurements.all_scores(data / "test", None, variants, board)["bsd68"]["wne"]
    assert f"| ordinary + WNE | {' | '.join(f'{value:.2f}' for value in found.values())} |" in text
    assert "| *norm-equiv, published* | – | 36.1 | 33.9 | – | 30.42 | – | 26.7 | – | 23.7 |" in text
    for name in ("psnr", "ranges", "filters"):
        assert f"(images/study-{name}.png)" in text
        assert io.imread(tmp_path / "docs" / "images" / f"study-{name}.png").std() > 5


def test_figures_may_be_drawn_alone(runs, data, tmp_path, monkeypatch, capsys):
    drawn = []
    for figure in ("draw_scores", "draw_ranges", "draw_poster"):
        monkeypatch.setattr(command, figure, lambda *arguments: drawn.append(arguments[-1].name))
    assert main(["study", "--runs", str(runs), "--data", str(data), "--only-figures"]) == 0
    assert drawn == ["study-psnr.png", "study-ranges.png", "study-filters.png"]
    assert capsys.readouterr().out.count("wrote") == 3
    assert not (tmp_path / "docs" / "study.md").exists()


def test_a_quick_look_leaves_the_documentation_alone(runs, data, tmp_path, monkeypatch):
    for figure in ("draw_scores", "draw_ranges", "draw_poster"):
        monkeypatch.setattr(command, figure, lambda *arguments: None)
    assert main(["study", "--runs", str(runs), "--data", str(data), "--limit", "1"]) == 0
    assert not (tmp_path / "docs").exists()
    assert "A quick look, at 1 of the images" in (tmp_path / "results" / "study-quick" / "study.md").read_text()


def test_a_folder_without_images_is_refused(runs, tmp_path, board):
    with pytest.raises(StudyError, match="holds no PNG files"):
        measurements.all_scores(tmp_path, None, open_variants(runs), board)
    assert not list(gaussian_samples(tmp_path, 5))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder of the test, with a list of models."""
    folder = tmp_path / "package"
    folder.mkdir()
    for module in (ship, fetch):
        monkeypatch.setattr(module, "PACKAGE_FOLDER", folder)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return folder


def keep_scores(weights):
    tables = [
        Table(["PSNR, dB", "fast"], [["Set12, σ = 25", "30.25"], ["σ = 1.0% of the range", "34.10 (-1.20)"]]),
        Table(["loss against white noise, dB", "fast"], [["x", "1.00"]]),
    ]
    report.save("quality", Report("Quality", tables, weights={"fast": weights}))


def test_a_card_gets_no_scores_of_other_weights(package, capsys):
    assert ship.measured_scores("fast", "ab") == {}
    assert "measure them and ship again: python -m benchmarks quality fast" in capsys.readouterr().err
    keep_scores("ab")
    assert ship.measured_scores("fast", "ab") == {"Set12, σ = 25": 30.25, "σ = 1.0% of the range": 34.1}
    assert not capsys.readouterr().err
    assert ship.measured_scores("fast", "cd") == {}
    assert "fast: the last full run of the benchmark had no such weights" in capsys.readouterr().err


def test_a_card_gets_the_scores_of_the_weights_that_are_stored(package, tmp_path):
    torch.manual_seed(0)
    trained = build_network({**read_recipe("fast")["network"]})
    torch.save({"config": trained.config, "trained": trained.state_dict(), "step": 1}, tmp_path / "fast.pt")
    (tmp_path / "fast.jsonl").write_text("")
    (package / "models.toml").write_text('[[model]]\nname = "fast"\nfile = "fast.safetensors"\nsha256 = ""\n')
    first = read_model(ship.ship("fast", tmp_path, "float16"))
    assert "PSNR in dB, by `python -m benchmarks quality`" in first.card.scores
    keep_scores(ours.weights_hash(first.network))  # rounded, and not those of the checkpoint
    again = read_model(ship.ship("fast", tmp_path, "float16"))
    assert again.card.scores["PSNR in dB, by `python -m benchmarks quality`"] == {"Set12, σ = 25": 30.25, "σ = 1.0% of the range": 34.1}


def test_a_network_of_the_study_is_shipped_as_what_it_is(package, tmp_path):
    torch.manual_seed(0)
    trained = build_network(read_recipe("sigma25-scale-equiv")["network"])
    state = {"config": trained.config, "trained": trained.state_dict(), "step": 6000}
    for name in ("scale-equiv", "wne"):
        torch.save(state, tmp_path / f"sigma25-{name}.pt")
        (tmp_path / f"sigma25-{name}.jsonl").write_text(json.dumps({"validation": {"gaussian 0.1": 31.234}}) + "\n")
    (package / "models.toml").write_text('[[model]]\nname = "sigma25-scale-equiv"\nfile = "sigma25-scale-equiv.safetensors"\nsha256 = ""\n')
    path = ship.ship("sigma25-scale-equiv", tmp_path, "float16")
    assert path.stat().st_size < 3e6
    opened = read_model(path)
    assert isinstance(opened.network, DRUNet)
    assert opened.network.config == trained.config
    assert opened.card.scores["validation, dB for a peak of 1"] == {"gaussian 0.1": 31.23}
    assert tomllib.loads((package / "models.toml").read_text())["model"][0]["sha256"] == opened.sha256
    with pytest.raises(SystemExit, match="weight files cannot name"):
        ship.ship("sigma25-wne", tmp_path)


@pytest.fixture
def registered(package, monkeypatch):
    """The three networks of the study as packaged models."""
    rows = [registry.find_model(check_module.DEFAULTS.model_name)]
    for name in check_module.STUDY:
        mode = name.removeprefix("sigma25-")
        torch.manual_seed(0)
        write_model(DRUNet(mode, channels=(4, 8), blocks=1), ModelCard(name), package / f"{name}.safetensors")
        rows.append(ModelRow(name, "", "BSD-3-Clause", "DRUNet", mode, True, file=f"{name}.safetensors"))
        rows[-1] = ModelRow(**{**rows[-1].__dict__, "sha256": read_model(package / f"{name}.safetensors").sha256})
    for module in (registry, inference):
        monkeypatch.setattr(module, "list_models", lambda: tuple(rows))
    inference._open_registered.cache_clear()
    yield package
    inference._open_registered.cache_clear()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, np.random.default_rng(0).poisson(50, (40, 36)).astype("uint16"))
    return path


def check(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_check_shows_the_three_laws_side_by_side(registered, image):
    result = check(image, "--study", "--json")
    assert result.exit_code == 0, result.output
    ordinary, scale, norm = json.loads(result.stdout)["models"]
    assert [found["law"] for found in (ordinary, scale, norm)] == ["ordinary", "scale-equiv", "norm-equiv"]
    assert norm["errors"]["both"] < 1e-9 > scale["errors"]["scale"]
    assert min(scale["errors"]["shift"], ordinary["errors"]["scale"], ordinary["errors"]["shift"]) > 1e-3
    of_255 = [found["ranges"][0]["rms"] for found in (ordinary, scale, norm)]
    assert max(of_255[1:]) < 1e-9 < of_255[0]
    text = check(image, "--study").stdout
    assert "sigma25-norm-equiv: the result is the same whatever the image is normalised to" in text
    assert "sigma25-scale-equiv: the result is the same in any unit, but depends on where zero is, by up to" in text
    assert "sigma25-ordinary: the result depends on how the image is normalised" in text


def test_check_says_which_networks_of_the_study_are_missing(registered, image):
    (registered / "sigma25-scale-equiv.safetensors").unlink()
    result = check(image, "--study")
    assert result.exit_code == 2
    assert "--study: sigma25-scale-equiv not in this installation" in result.stderr
    assert "leave --study out" in result.stderr


def test_check_takes_the_study_or_a_model(registered, image):
    result = check(image, "--study", "--model", "sigma25-ordinary")
    assert (result.exit_code, "leave out --model sigma25-ordinary, or --study" in result.stderr) == (2, True)
