"""Text that repeats a run: executed, it gives the very numbers; and nothing in a record can become more than a value."""

import ast
import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import napari_ne_denoise as nd
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import load_denoiser, prepare_denoising
from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.noise.profile import write_profile
from napari_ne_denoise.core.repeat import as_command, as_python, part_of

NOISE = nd.NoiseModel(gain=1.0, offset=3.0, read_noise=1.5)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("some models")
    for blind in (True, False):
        write_model(FDnCNN("norm-equiv", channels=4, depth=3, blind=blind), ModelCard("tiny"), folder / f"{blind}.safetensors")
    return {blind: str(folder / f"{blind}.safetensors") for blind in (True, False)}


def run_of(pixels, **settings):
    """The result and the record of a run."""
    run = prepare_denoising(pixels, **settings)
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    return result, run.provenance


def executed(text):
    """What the Python text calls `denoised`."""
    made = {}
    exec(compile(text, "copied", "exec"), made)
    return made["denoised"]


def commanded(text, folder):
    """What the command writes, its words being those that a real shell makes of it."""
    said = subprocess.run(["sh", "-c", f"printf '%s\\0' {text}"], cwd=folder, capture_output=True, check=True)
    program, *words = said.stdout.decode().split("\0")[:-1]
    assert program == "napari-ne-denoise"
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    return np.asarray(read_image(folder / done.stdout.rstrip("\n")).pixels[...])


def noisy(*shape, dtype="uint16"):
    return np.random.default_rng(0).poisson(50, shape).astype(dtype)


CASES = {
    "plain": ((40, 50), "YX", "a.tif", {}),
    "stack told nothing of": ((3, 40, 50), "ZYX", 'a b\'s "$HOME" µ.ome.tif', {"tile_size": 16, "precision": "float32"}),
    "channels": ((3, 40, 50), "CYX", "a.npy", {"channel_axis": 0, "output_dtype": "input"}),
    "colours": ((40, 50, 3), "YXS", "a.ome.tif", {"channel_axis": -1, "output_dtype": "float64"}),
    "letters": ((40, 3, 50), "YZX", "a.ome.zarr", {"axes": "YZX", "strength": 0.3}),
    "not numbers": ((40, 50), "YX", "-a.npy", {"nonfinite": "keep"}),
    "noise found": ((64, 80), "YX", "a.tif", {"noise": "poisson-gaussian"}),
    "noise told": ((40, 50), "YX", "a.tif", {"noise": NOISE.as_record()}),
    "a profile": ((40, 50), "YX", "a.tif", {"noise": "profile"}),
    "hot pixels": ((40, 50), "YX", "a.tif", {"hot_pixels": "repair"}),
    "sigma": ((40, 50), "YX", "a.tif", {"sigma": 7.1}),
}


@pytest.mark.parametrize("name", CASES)
def test_both_texts_give_the_result_bit_for_bit(tmp_path, monkeypatch, models, name):
    shape, axes, file, settings = CASES[name]
    monkeypatch.chdir(tmp_path)
    pixels = noisy(*shape, dtype="float32" if name == "not numbers" else "uint16")
    if name == "not numbers":
        pixels[3, 4] = np.nan
    if settings.get("noise") == "profile":
        write_profile(tmp_path / "the microscope.json", "ours", NOISE)
        settings = {"noise": "the microscope.json"}
    write_image(tmp_path / file, ImageFile(pixels, axes))
    result, record = run_of(pixels, model=models["sigma" not in settings], **settings)
    record = json.loads(json.dumps(record))
    np.testing.assert_array_equal(executed(as_python(record, file)), result)
    if settings.get("output_dtype") != "float64":
        np.testing.assert_array_equal(commanded(as_command(record, file), tmp_path), result)


@pytest.mark.parametrize("precision", ["auto", "float16", "bfloat16"])
def test_what_the_default_model_does_is_repeated(tmp_path, monkeypatch, precision):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.tif", ImageFile(noisy(70, 90), "YX"))
    result, record = run_of(noisy(70, 90), precision=precision)
    text = as_python(record, "a.tif")
    assert f"SHA-256 {load_denoiser('fast').sha256[:16]}" in text
    np.testing.assert_array_equal(executed(text), result)


def test_what_was_decided_is_written_out(models):
    record = run_of(noisy(40, 50), model=models[True])[1]
    record["decided"] |= {"device": "cuda:1", "precision": "bfloat16", "tile_size": 640}
    assert as_command(record, "a.tif").endswith("--device cuda:1 --precision bfloat16 --tile-size 640")
    record["decided"]["precision"] = "float16 (99.00 %), float32 (1.00 %)"
    assert "--precision" not in as_command(record, "a.tif")
    assert "decided tile by tile" in as_python(record, "a.tif")


def test_a_part_of_the_result_is_taken_out(tmp_path, monkeypatch, models):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.tif", ImageFile(noisy(3, 40, 50), "ZYX"))
    result, record = run_of(noisy(3, 40, 50), model=models[True])
    assert part_of(record) is None
    record["part"] = [[1, 2], [0, 40], [0, 50]]
    np.testing.assert_array_equal(executed(as_python(record, "a.tif")), result[1:2])
    assert part_of(record) == "1:2, 0:40, 0:50"


@pytest.mark.parametrize("file", ["two.ome.tif", "two.ome.zarr"])
def test_of_a_file_with_several_images_the_same_one_is_taken(tmp_path, monkeypatch, models, file):
    monkeypatch.chdir(tmp_path)
    if file.endswith(".tif"):
        with tifffile.TiffWriter(file, ome=True) as both:
            for factor in (1, 3):
                both.write(factor * noisy(40, 50), metadata={"axes": "YX"})
    else:
        for number, factor in enumerate((1, 3)):
            write_image(tmp_path / f"{number}.ome.zarr", ImageFile(factor * noisy(40, 50), "YX"))
        group = zarr.create_group(file, attributes={"ome": {"bioformats2raw.layout": 3}})
        for number in range(2):
            (tmp_path / f"{number}.ome.zarr").rename(Path(group.store.root) / str(number))
    words = ["denoise", file, "-o", "a.npy", "--series", "1", "--model", models[True]]
    assert CliRunner().invoke(app, words).exit_code == 0
    result, record = np.load("a.npy"), read_image("a.npy").provenance
    assert result.mean() == pytest.approx(150, rel=0.1)
    np.testing.assert_array_equal(executed(as_python(record)), result)
    np.testing.assert_array_equal(commanded(as_command(record), tmp_path), result)
    record["input"]["series"] = "1; import os"
    with pytest.raises(SettingsError, match="is no image of a file"):
        as_python(record)


def test_another_image_than_the_run_had_is_noticed(tmp_path, models):
    write_image(tmp_path / "a.tif", ImageFile(noisy(40, 51), "YX"))
    with pytest.raises(AssertionError):
        executed(as_python(run_of(noisy(40, 50), model=models[True])[1], str(tmp_path / "a.tif")))


def test_a_file_without_a_path_has_the_name_in_the_record(models):
    record = run_of(noisy(40, 50), model=models[True])[1]
    assert "read_image('noisy.tif')" in as_python(record)
    record["input"]["file"] = "cells.zarr"
    assert "denoise cells.zarr -o cells_denoised.ome.zarr" in as_command(record)
    record["input"]["file"] = "screen.ome.zarr/B/3/0"
    assert "denoise screen.ome.zarr/B/3/0 -o screen_B_3_0_denoised.ome.zarr" in as_command(record)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"settings": {}},
        {"settings": {}, "input": {"shape": 5}},
        {"settings": {}, "input": {"shape": ["a"]}},
        {"settings": {"wishes": 3}, "input": {"shape": [8, 9]}, "version": "99"},
        {"settings": {"tile_size": -3}, "input": {"shape": [8, 9]}},
        {"settings": {"noise": {"gain": "x"}}, "input": {"shape": [8, 9]}},
        {"settings": {3: object()}, "input": {"shape": [8, 9]}},
    ],
)
def test_what_is_no_record_is_refused(record):
    for text in (as_python, as_command):
        with pytest.raises(SettingsError, match="record"):
            text(record)


def test_a_part_that_is_none_is_refused():
    for text in (as_python, part_of):
        with pytest.raises(SettingsError, match="part"):
            text({"settings": {}, "input": {"shape": [8, 9]}, "part": [[1, 2]]})


hostile = st.text(st.sampled_from("a '\"\\\n\r;&|$`(){}%!#<>^\t\u2028µ-"), max_size=12)


@settings(deadline=None)
@example(name=";", version="", device='{";')
@given(name=hostile.filter(bool), version=hostile, device=hostile)
def test_nothing_in_a_record_becomes_more_than_a_value(name, version, device):
    record = {
        "settings": {"model": name},
        "input": {"shape": [8, 9], "file": name},
        "version": version,
        "decided": {"device": device, "precision": version},
        "model": {"sha256": version},
    }
    words = [type(statement).__name__ for statement in ast.parse(as_python(record)).body]
    assert words == ["ImportFrom", "ImportFrom", "Assign", "Assert", "Assign"]
    split = shlex.split(as_command(record))
    assert split[:2] == ["napari-ne-denoise", "denoise"]
    assert len(split) == (9 if device not in ("auto",) else 7) - sum(word.startswith("--") and "=" in word for word in split)
    try:
        text = as_command(record, windows=True)
    except SettingsError:
        return
    assert not set(text) & set("%\n")
    outside = "".join(part for number, part in enumerate(text.split('"')) if number % 2 == 0)
    assert not set(outside) & set("&|<>^;")


def test_windows_quotes_otherwise(models):
    record = run_of(noisy(40, 50), model=models[True], noise=NOISE.as_record())[1]
    text = as_command(record, r"C:\my cells\a & b.tif", windows=True)
    assert '"C:\\my cells\\a & b.tif"' in text
    assert r'"{\"gain\": 1.0, ' in text
    assert r'--model "a b\\" --' in as_command(record | {"settings": {"model": "a b\\"}}, "a.tif", windows=True)
    with pytest.raises(SettingsError, match="as Python"):
        as_command(record, "100 %TEMP%.tif", windows=True)
