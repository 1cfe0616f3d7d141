"""``filters``: a table, weights in files, and a figure."""

import json

import imagecodecs
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ne_denoise import NoiseModel, adaptive_filter
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.io import ImageFile, read_image, read_provenance, write_image
from napari_ne_denoise.core.jacobian import telling
from napari_ne_denoise.core.jacobian.montage import LARGEST_READ, overview_window
from napari_ne_denoise.core.jacobian.telling import numbers_of, residual_noise
from napari_ne_denoise.core.jacobian.weights import Filter, centred


@pytest.fixture
def pixels():
    return np.random.default_rng(0).poisson(50, (3, 60, 70)).astype(np.uint16)


@pytest.fixture
def image(tmp_path, pixels):
    write_image(tmp_path / "cells.ome.tif", ImageFile(pixels, "ZYX", {"X": (0.1, "µm"), "Y": (0.1, "µm")}))
    return tmp_path / "cells.ome.tif"


def run(*words):
    return CliRunner().invoke(app, ["filters", *map(str, words)])


def test_the_table_says_what_a_filter_does(image, pixels):
    done = run(image, "--at", "30,31", "--plane", "2")
    assert done.exit_code == 0, done.output
    names, row = done.output.splitlines()[:2]
    expected = adaptive_filter(pixels, (2, 30, 31))
    assert names.split("  ")[0] == "position"
    assert "Σ w·y" in names
    assert row.startswith("2, 30, 31  1.000000")
    assert f"{expected.output:.5g}" in row


def test_weights_go_into_files_with_their_places(image, tmp_path, pixels):
    for ending in ("tif", "npy"):
        out = tmp_path / f"filters.{ending}"
        done = run(image, "--at", "30,31", "--at", "0,69", "--side", "21", "-o", out, "--json", "-q")
        assert done.exit_code == 0, done.output
        said = json.loads(done.output)
        written = read_image(out)
        assert written.pixels.shape == (2, 21, 21)
        for at, weights, record in zip([(1, 30, 31), (1, 0, 69)], written.pixels, read_provenance(out)["filters"], strict=True):
            found = adaptive_filter(pixels, at)
            assert tuple(record["position"]) == at
            assert record["sum of weights"] == pytest.approx(1)
            assert record["Σ w·y"] == pytest.approx(found.output)
            np.testing.assert_allclose(weights, centred(found, at[1:], 21), atol=1e-9)
        assert said["filters"] == read_provenance(out)["filters"]
        assert said["of"]["settings"]["model"] == "fast"
        again = run(image, "--at", "30,31", "-o", out)
        assert again.exit_code == 2
        assert "exists already" in again.output
        assert run(image, "--at", "30,31", "-o", out, "--overwrite", "--precision", "float32").exit_code == 0


def test_a_grid_becomes_a_figure(image, tmp_path):
    done = run(image, "--grid", "3", "-o", tmp_path / "figure.png")
    assert done.exit_code == 0, done.output
    assert len([line for line in done.output.splitlines() if line.startswith("1, ")]) == 9
    picture = imagecodecs.png_decode((tmp_path / "figure.png").read_bytes())
    assert picture.ndim == 3
    red = (picture[..., 0].astype(int) - picture[..., 2]) > 100
    assert red.sum() > 1000  # weights and marks


def test_what_else_makes_the_pixel_stands_in_the_table(image):
    assert "constant" in run(image, "--at", "30,31", "--model", "ordinary-twin").output
    done = run(image, "--at", "30,31", "--noise", json.dumps(NoiseModel(gain=1.0, offset=0.0, read_noise=1.0).as_record()))
    assert "value" in done.output.splitlines()[0]
    assert "made the same at every brightness" in done.output


def test_a_filter_without_a_width_says_why(image, monkeypatch):
    assert "no width" not in run(image, "--at", "30,31").stderr
    monkeypatch.setattr(telling, "shape_of", lambda weights: {"width": float("nan"), "orientation": 45.0})
    done = run(image, "--at", "30,31")
    names, row = (line.split("  ") for line in done.stdout.splitlines()[:2])
    assert "nan" not in done.stdout
    assert [cell.strip() for cell in row if cell][[cell.strip() for cell in names if cell].index("width (px)")] == "none"
    assert "no Gaussian blurs as 1 of 1 filter(s) do" in done.stderr
    said = json.loads(run(image, "--at", "30,31", "--json").stdout, parse_constant=pytest.fail)  # NaN is no JSON
    assert said["filters"][0]["width (px)"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which pixels?"),
        (("--at", "3,3", "--grid", "2"), "which pixels?"),
        (("--at", "3"), "row and column"),
        (("--at", "3,x"), "row and column"),
        (("--at", "3,700"), "outside the image"),
        (("--at", "3,3", "--plane", "7"), "outside the image"),
        (("--at", "3,3", "--plane", "1,1"), "a number for each of the 1 axes"),
        (("--grid", "0"), "positive whole number"),
        (("--at", "3,3", "-o", "x.jpg"), "must end in"),
        (("--at", "3,3", "-o", "nowhere/x.png"), "no folder"),
        (("--at", "3,3", "--precision", "half"), "float64, float32"),
        (("--at", "3,3", "--model", "best"), "no such model"),
        (("--at", "3,3", "--axes", "XY"), "different letters"),
    ],
)
def test_what_is_refused_says_why(image, words, said):
    done = run(image, *words)
    assert done.exit_code == 2
    assert said in done.output


def test_the_noise_that_is_left_is_that_of_weighted_noise():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((9, 9)) / 9
    found = Filter(weights, (0, 0), 0.0, 1.0, 100.0, 100.0)
    assert residual_noise(found, NoiseModel(gain=2.0, offset=50.0, read_noise=3.0)) == pytest.approx(
        np.sqrt((100 + 9) * (weights**2).sum())
    )
    lags = (0.5, 0.2, 0.0)
    shared = residual_noise(found, NoiseModel(gain=0.0, offset=0.0, read_noise=1.0, correlation=(lags, (0.0, 0.0, 0.0))))
    table = np.array([[(1.0, *lags)[abs(i - k)] if abs(i - k) < 4 else 0 for i in range(9)] for k in range(9)])
    noise = np.linalg.cholesky(table) @ rng.standard_normal((40_000, 9, 9))
    assert shared == pytest.approx((noise * weights).sum((1, 2)).std(), rel=0.02)


def test_numbers_of_a_mean_of_pixels():
    found = Filter(np.full((3, 3), 1 / 9), (0, 0), 0.0, 1.0, 7.0, 7.0)
    numbers = numbers_of(found, NoiseModel(gain=0.0, offset=0.0, read_noise=3.0))
    assert numbers["pixels averaged"] == pytest.approx(9)
    assert numbers["residual noise"] == pytest.approx(1)
    assert "constant" not in numbers


def test_of_a_large_plane_the_figure_shows_what_is_around_the_pixels():
    assert overview_window((100, 90), [(3, 3)], 41) == (slice(0, 100), slice(0, 90))
    assert overview_window((100_000, 90_000), [(500, 3), (700, 900)], 41) == (slice(459, 742), slice(0, 942))
    rows, columns = overview_window((100_000, 90_000), [(50_000, 3), (0, 900)], 41)
    assert rows.stop - rows.start <= LARGEST_READ
    assert columns.start == 0
    assert rows.start < 50_000 < rows.stop
