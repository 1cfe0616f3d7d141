"""``maps``: a file for each map, and a table of what they tell."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_ne_denoise import NoiseModel, adaptive_maps
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.core.jacobian import maps
from napari_ne_denoise.core.noise.profile import write_profile


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).poisson(50, (2, 70, 60)).astype(np.uint16)
    write_image(tmp_path / "cells.ome.tif", ImageFile(pixels, "ZYX", {"X": (0.1, "µm"), "Y": (0.1, "µm")}))
    return tmp_path / "cells.ome.tif"


def run(*words):
    return CliRunner().invoke(app, ["maps", *map(str, words)])


def test_maps_are_files_with_the_place_of_the_image(image, tmp_path):
    done = run(image, "-o", tmp_path / "maps", "--maps", "width,self_weight")
    assert done.exit_code == 0, done.output
    assert "Full width at half maximum" in done.output
    found = read_image(tmp_path / "maps" / "cells_width.ome.tif")
    np.testing.assert_array_equal(found.pixels, adaptive_maps(tifffile.imread(image), ["width"], axes="ZYX")["width"])
    assert found.axes == "ZYX"
    assert found.pixel_size["X"] == (0.1, "µm")
    assert (tmp_path / "maps" / "cells_self_weight.ome.tif").exists()


def test_what_cannot_be_written_is_said_before_anything_is_computed(image, tmp_path, monkeypatch):
    def compute(*_, **__):
        raise AssertionError

    monkeypatch.setattr(maps, "iter_adaptive_maps", compute)
    (tmp_path / "cells_width.ome.tif").touch()
    done = run(image, "-o", tmp_path, "--maps", "self_weight,width")
    assert (done.exit_code, "--overwrite" in done.output) == (1, True)
    done = run(image, "-o", image, "--maps", "width")
    assert (done.exit_code, "give -o another folder" in done.output) == (1, True)


def test_a_region_and_a_profile(image, tmp_path):
    write_profile(tmp_path / "scope.json", "scope", NoiseModel(gain=1.0, offset=0.0, read_noise=0.0))
    profile = ("--noise-model", tmp_path / "scope.json")
    words = (image, "-o", tmp_path, "--maps", "residual_noise", "--region", "10:30,5:25", *profile, "--json")
    record = json.loads(run(*words).output.strip().splitlines()[-1])
    values = tifffile.imread(record["maps"]["residual_noise"]["file"])
    assert np.isfinite(values).sum() == 2 * 20 * 20
    assert 0.2 < record["maps"]["residual_noise"]["shares"][1] < 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--maps", "width,beauty"), "maps 'beauty': must be some of"),
        (("--maps", "beauty"), "give --maps their names"),
        (("--region", "1,2,3"), "such as 0:256"),
        (("--region", "0:500,0:3"), "rows 0:500, columns 0:3: must lie inside the plane"),
        (("--region", "0:500,0:3"), "give others with --region"),
        (("--period", "1"), "--period 1.0: must be 2 to"),
    ],
)
def test_what_is_refused_says_why(image, tmp_path, words, said):
    done = run(image, "-o", tmp_path / "new", *words)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "new").exists()


def test_a_map_keeps_how_it_was_made(image, tmp_path):
    words = ("--maps", "contrast,error", "--period", "5", "--direction", "90", "--region", "0:40,0:40")
    done = run(image, "-o", tmp_path, *words, "--strength", "0.8")
    assert done.exit_code == 0, done.output
    contrast, error = (read_image(tmp_path / f"cells_{name}.ome.tif").provenance for name in ("contrast", "error"))
    assert (contrast["map"], contrast["period"], contrast["direction"], contrast["strength"]) == ("contrast", 5.0, 90.0, 0.8)
    assert contrast["input"]["file"] == "cells.ome.tif"
    assert error["probes"] == 16
    assert NoiseModel.from_record(error["noise"][0]).kind != "none"


def test_maps_of_a_stabilised_image_say_so(image, tmp_path):
    write_profile(tmp_path / "scope.json", "scope", NoiseModel(gain=1.0, offset=0.0, read_noise=0.0))
    words = ("--maps", "self_weight,residual_noise", "--noise", tmp_path / "scope.json", "--region", "0:40,0:40")
    done = run(image, "-o", tmp_path, *words)
    assert done.exit_code == 0, done.output
    weight, left = (read_image(tmp_path / f"cells_{name}.ome.tif").provenance for name in ("self_weight", "residual_noise"))
    assert "made the same at every brightness" in weight["meaning"]
    assert "made the same" not in left["meaning"]  # it is in image units
