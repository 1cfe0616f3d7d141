"""``napari-ne-denoise assess``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.profile import write_profile


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Grey levels of four a photon, and a result of them."""
    folder = tmp_path_factory.mktemp("cells")
    rows, columns = np.mgrid[:128, :128]
    light = 60 + 40 * np.sin(rows / 15) * np.cos(columns / 11)
    tifffile.imwrite(folder / "cells.tif", (4 * np.random.default_rng(0).poisson(light)).astype(np.uint16))
    assert run("denoise", folder / "cells.tif", "-o", folder / "result.ome.tif", "--strength", 0.8).exit_code == 0
    return folder


def test_numbers_are_told_with_their_units(cells):
    told = run("assess", cells / "cells.tif")
    assert told.exit_code == 0, told.stderr
    first, *lines = told.stdout.splitlines()
    assert first == str(cells / "cells.tif")
    assert [line.split()[0] for line in lines] == ["noise", "error", "PSNR", "removed", "structure"]
    assert "grey levels before" in lines[0]
    assert lines[-1].endswith("none was removed")


def test_a_result_says_itself_how_it_was_made(cells):
    record = json.loads(run("assess", cells / "cells.tif", cells / "result.ome.tif", "--peak", 400, "--json").stdout)
    (found,) = record["channels"]
    assert found["peak"] == 400
    assert found["noise_after"] > 0.15 * found["noise_before"]  # a fifth of it was kept
    assert found["psnr"] is not None
    assert found["structured"] is False


def test_the_result_of_another_program_is_looked_at_only(cells):
    flat = cells / "flat.npy"
    np.save(flat, np.full((128, 128), 240.0))
    told = run("assess", cells / "cells.tif", flat)
    assert "does not say how it was made" in told.stderr
    assert "PSNR" not in told.stdout
    assert "look there" in told.stdout
    assert "not what this model makes" in told.stdout


def test_the_noise_of_the_microscope_is_used(cells, tmp_path):
    kept, learned = tmp_path / "confocal.json", tmp_path / "learned.json"
    assert run("noise", cells / "cells.tif", "--profile", kept).exit_code == 0
    with_profile = json.loads(run("assess", cells / "cells.tif", "--profile", kept, "--json").stdout)
    without = json.loads(run("assess", cells / "cells.tif", "--json").stdout)
    assert with_profile["channels"][0]["psnr"] == pytest.approx(without["channels"][0]["psnr"])
    write_profile(learned, "speckle", LearnedNoise((0.0, 1.0), (0.0, 1.0)))
    refused = run("assess", cells / "cells.tif", "--profile", learned)
    assert refused.exit_code == 2
    assert "self-calibration" in refused.stderr


def test_another_shape_is_refused(cells, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((64, 64)))
    refused = run("assess", cells / "cells.tif", tmp_path / "small.npy")
    assert refused.exit_code == 1
    assert f"error: {tmp_path / 'small.npy'}: has shape (64, 64), and the image " in refused.stderr
