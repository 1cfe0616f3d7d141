"""The command line: the same numbers as the API, exit codes and messages that a script can use, nothing half-written."""

import importlib
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
import typer
from typer.testing import CliRunner

import napari_ne_denoise as nd
from napari_ne_denoise import cli
from napari_ne_denoise.cli import app, console, main, progress
from napari_ne_denoise.cli import check as check_module
from napari_ne_denoise.cli.denoise import denoise
from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.batch import jobs
from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.run import run_jobs
from napari_ne_denoise.core.device import DeviceReport
from napari_ne_denoise.core.errors import ComputationError, DeviceError, DownloadError, FileError, ImageError, ModelError, SettingsError
from napari_ne_denoise.core.inference import Denoiser
from napari_ne_denoise.core.io import ImageFile, read_image, read_provenance, write_image
from napari_ne_denoise.core.models import fetch, registry
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN, NormalizedDenoiser
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tiny(folder: Path, mode: str = "norm-equiv", *, blind: bool = True) -> Path:
    torch.manual_seed(0)
    path = folder / f"tiny-{mode}-{blind}.safetensors"
    write_model(FDnCNN(mode, channels=4, depth=3, blind=blind), ModelCard(path.stem), path)
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return tiny(tmp_path_factory.mktemp("models"))


WINDOWS = 'error = OSError(22, "initialization failed. Error loading c10.dll"); error.winerror = 1114; raise error'


@pytest.mark.parametrize(
    ("python", "remedy"),
    [
        (WINDOWS, "aka.ms/vc14/vc_redist.x64.exe"),
        ('raise ImportError("DLL load failed while importing _C: not found", name="_C")', 'pip install "torch<2.9"'),
        ('raise OSError("libcublas.so.12: cannot open shared object file")', "--force-reinstall torch"),
        ("from torch import nothing", "--force-reinstall torch"),
    ],
)
def test_a_torch_that_cannot_be_loaded_is_told_with_what_to_do(broken_torch, capsys, python, remedy):
    broken_torch(python)
    with pytest.raises(typer.Exit), console.errors_end_the_program():
        importlib.import_module("torch")
    said = capsys.readouterr().err
    assert said.startswith("error: torch, which computes, cannot be loaded (")
    assert remedy in said


def test_other_errors_of_imports_and_files_are_not_laid_to_torch(capsys):
    for work in (lambda: importlib.import_module("no_such_module"), Path("/no/such/file").read_text):
        with pytest.raises((ImportError, OSError)), console.errors_end_the_program():
            work()
    assert capsys.readouterr().err == ""


def noisy(*shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).poisson(50, shape).astype(dtype)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def results_in(folder: Path) -> list[str]:
    """What is in a folder beside the journal of a batch that is to go on."""
    names = names_in(folder)
    journals = [name for name in names if name.startswith("napari-ne-denoise.batch.")]
    assert len(journals) == 1
    return [name for name in names if name not in journals]


@pytest.fixture
def stack(tmp_path) -> Path:
    path = tmp_path / "stack.tif"
    metadata = {"axes": "TZYX", "unit": "um", "spacing": 0.5, "finterval": 2.0}
    tifffile.imwrite(path, noisy(2, 3, 40, 36), imagej=True, resolution=(10, 10), metadata=metadata)
    return path


def test_every_setting_is_an_option_with_the_same_default():
    options = inspect.signature(denoise).parameters
    expected = {field.name: getattr(DEFAULTS, field.name) for field in fields(DenoiseSettings)}
    assert {name: options[name].default for name in expected} == expected


def test_the_result_is_that_of_the_api_with_all_that_was_known_of_the_image(stack, model, tmp_path):
    result = run("denoise", stack, "-o", tmp_path / "out.ome.tif", "--model", model)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'out.ome.tif'}\n")
    found, image = read_image(tmp_path / "out.ome.tif"), read_image(stack)
    expected = nd.denoise(image.pixels, model=model, axes="TZYX")
    assert found.pixels.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.pixels, expected)
    assert (found.axes, found.pixel_size, found.name) == ("TZYX", image.pixel_size, "stack.tif")
    assert found.provenance["input"] == {"shape": [2, 3, 40, 36], "dtype": "uint16", "file": "stack.tif"}
    assert found.provenance["settings"]["axes"] == "TZYX"


def test_settings_are_passed_on(stack, tmp_path):
    needs_sigma = tiny(tmp_path, blind=False)
    options = {"sigma": 7.5, "tile_size": 16, "output_dtype": "input", "precision": "float32", "device": "cpu"}
    options |= {"nonfinite": "keep", "strength": 0.7}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert run("denoise", stack, "-o", tmp_path / "out.npy", "--model", needs_sigma, *words).exit_code == 0
    found = read_image(tmp_path / "out.npy")
    np.testing.assert_array_equal(found.pixels, nd.denoise(read_image(stack).pixels, model=needs_sigma, axes="TZYX", **options))
    assert found.pixels.dtype == np.uint16
    assert options.items() <= found.provenance["settings"].items()


def test_colours_are_denoised_one_by_one(model, tmp_path):
    pixels = noisy(40, 36, 3, dtype="uint8")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    assert run("denoise", tmp_path / "a.png", "-o", tmp_path / "out.png", "--model", model, "--output-dtype", "input").exit_code == 0
    found = read_image(tmp_path / "out.png").pixels
    for colour in range(3):
        np.testing.assert_array_equal(found[..., colour], nd.denoise(pixels[..., colour], model=model, output_dtype="input"))


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ([], "TZYX"),
        (["--channel-axis", 1], "TCYX"),
        (["--channel-axis", -3], "TCYX"),
        (["--axes", "CZXY"], "CZXY"),
        (["--axes", "tcyx"], "TCYX"),
    ],
)
def test_the_user_knows_the_axes_better_than_the_file(stack, model, tmp_path, options, axes):
    assert run("denoise", stack, "-o", tmp_path / "out.tif", "--model", model, *options).exit_code == 0
    found = read_image(tmp_path / "out.tif")
    assert found.axes == axes
    np.testing.assert_array_equal(found.pixels, nd.denoise(read_image(stack).pixels, model=model, axes=axes))


def test_a_channel_axis_that_the_file_calls_columns(model, tmp_path):
    pixels = noisy(40, 36, 3)
    write_image(tmp_path / "a.tif", ImageFile(pixels, "ZYX"))
    assert run("denoise", tmp_path / "a.tif", "-o", tmp_path / "out.tif", "--model", model, "--channel-axis", -1).exit_code == 0
    found = read_image(tmp_path / "out.tif")
    assert found.axes == "YXC"
    np.testing.assert_array_equal(found.pixels, nd.denoise(pixels, model=model, channel_axis=-1))


def test_a_bare_npy_that_looks_like_colours_must_say_so(model, tmp_path):
    np.save(tmp_path / "a.npy", noisy(40, 36, 3))
    result = run("denoise", tmp_path / "a.npy", "-o", tmp_path / "out.tif", "--model", model)
    assert (result.exit_code, "is the last axis colour or columns?; say --channel-axis -1" in result.stderr) == (1, True)
    assert run("denoise", tmp_path / "a.npy", "-o", tmp_path / "out.tif", "--model", model, "--channel-axis", 2).exit_code == 0


def test_results_remember_those_they_were_made_from(stack, model, tmp_path):
    run("denoise", stack, "-o", tmp_path / "once.tif", "--model", model)
    again = run("denoise", tmp_path / "once.tif", "-o", tmp_path / "twice.tif", "--model", model)
    made = read_provenance(tmp_path / "once.tif")["made"][:10]
    assert f"note: {tmp_path / 'once.tif'}: is a result already ({model.stem}, {made}): denoised once more" in again.stderr
    assert read_provenance(tmp_path / "twice.tif")["input"]["provenance"] == read_provenance(tmp_path / "once.tif")


def test_from_zarr_to_zarr_nothing_is_ever_whole_in_memory(stack, model, tmp_path, monkeypatch):
    """The image is read window by window, and its result written as it comes: the same numbers, sizes and record."""
    monkeypatch.setattr("napari_ne_denoise.core.pixels.LARGEST_PLANE_READ_ONCE", 0)
    monkeypatch.setattr("napari_ne_denoise.core.batch.file.FileDenoising._whole", None)
    image = read_image(stack)
    write_image(tmp_path / "in.ome.zarr", image)
    options = ("--model", model, "--tile-size", 16, "--precision", "float32")
    result = run("denoise", tmp_path / "in.ome.zarr", "-o", tmp_path / "out.ome.zarr", *options)
    assert result.exit_code == 0, result.stderr
    found = read_image(tmp_path / "out.ome.zarr")
    expected = nd.denoise(image.pixels, model=model, axes="TZYX", precision="float32")
    np.testing.assert_array_equal(np.asarray(found.pixels[...]), expected)
    assert (found.axes, found.pixel_size) == ("TZYX", image.pixel_size)
    assert found.provenance["input"]["file"] == "in.ome.zarr"
    assert found.provenance["decided"]["precision"] == "float32"
    again = run("denoise", tmp_path / "in.ome.zarr", "-o", tmp_path / "out.ome.zarr", *options)
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    assert run("denoise", tmp_path / "in.ome.zarr", "-o", tmp_path / "out.ome.zarr", "--overwrite", *options).exit_code == 0
    assert run("denoise", tmp_path / "in.ome.zarr", "-o", tmp_path / "results", *options).exit_code == 0
    assert names_in(tmp_path / "results") == ["in_denoised.ome.zarr"]
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "results", "stack.tif"]


def test_an_interruption_leaves_no_part_of_a_zarr(stack, model, tmp_path, monkeypatch):
    monkeypatch.setattr(Regions, "steps", steps_that(interrupt, Regions.steps))
    result = run("denoise", stack, "-o", tmp_path / "out.ome.zarr", "--model", model)
    assert (result.exit_code, names_in(tmp_path)) == (130, ["stack.tif"])


def test_a_failing_input_does_not_stop_the_others(stack, model, tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    np.save(tmp_path / "nan.npy", np.full((8, 8), np.nan))
    out = tmp_path / "made" / "results"
    result = run("denoise", tmp_path / "text.tif", tmp_path / "missing.tif", tmp_path / "nan.npy", stack, "-o", out, "--model", model)
    assert result.exit_code == 1
    assert results_in(out) == ["stack_denoised.ome.tif"]
    assert result.stdout == f"{out / 'stack_denoised.ome.tif'}\n"
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [Path(line.split(": ")[1]).name for line in errors] == ["text.tif", "missing.tif", "nan.npy"]
    assert f"{tmp_path / 'nan.npy'}: 64 pixels are NaN or infinite, the first at (0, 0); repair them, or" in errors[-1]
    assert errors[-1].endswith("--nonfinite keep.")
    assert result.stderr.splitlines()[-1] == "3 of 4 failed"
    assert "Traceback" not in result.output


def test_a_folder_is_made_for_results_only(stack, model, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "kept").mkdir()
    for out in ("kept", "made/results"):
        result = run("denoise", tmp_path / "raw", "-o", tmp_path / out, "--model", model)
        assert result.exit_code == 1
        assert f"error: {tmp_path / 'raw'}: is a folder; give the files in it, such as {tmp_path / 'raw' / '*.tif'}." in result.stderr
        assert names_in(tmp_path) == ["kept", "raw", "stack.tif"]
    run("denoise", stack, "-o", tmp_path / "made/results", "--model", model)
    assert names_in(tmp_path / "made" / "results") == ["stack_denoised.ome.tif"]


def test_each_input_gets_a_line_of_json(stack, model, tmp_path):
    np.save(tmp_path / "coarse.npy", (1e9 + noisy(40, 36)).astype("float32"))
    (tmp_path / "text.tif").write_text("no image")
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(noisy(40, 36), metadata=None)
        file.write(noisy(20, 20, dtype="uint8"), metadata=None)
    inputs = [stack, tmp_path / "coarse.npy", tmp_path / "text.tif", tmp_path / "two.tif"]
    result = run("denoise", *inputs, "-o", tmp_path / "out", "--model", model, "--json")
    whole, coarse, failed, two = (json.loads(line) for line in result.stdout.splitlines())
    assert [record["input"] for record in (whole, coarse, failed, two)] == [str(path) for path in inputs]
    assert [record["status"] for record in (whole, coarse, failed, two)] == ["done", "done", "failed", "done"]
    assert whole["provenance"] == read_provenance(whole["output"])
    assert whole["seconds"] > 0
    assert "can tell only steps of" in coarse["warnings"][0]
    assert failed["error_type"] == "FileError"
    assert failed["error"] in result.stderr
    assert "holds 2 images" in two["notes"][0]
    assert f"note: {inputs[3]}: {two['notes'][0]}" in result.stderr
    assert run("denoise", inputs[3], "-o", tmp_path / "second.tif", "--model", model, "--series", 1).exit_code == 0
    assert read_image(tmp_path / "second.tif").pixels.shape == (20, 20)
    assert f"warning: {inputs[1]}: {coarse['warnings'][0]}" in result.stderr


def test_quiet_is_quiet_but_for_errors(stack, model, tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    run("denoise", stack, "-o", tmp_path / "out", "--model", model)
    result = run("denoise", stack, tmp_path / "text.tif", "-o", tmp_path / "out", "--model", model, "--skip-existing", "-q")
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path / 'text.tif'}: ")
    assert len(result.stderr.splitlines()) == 1


UNUSABLE = {
    "tile size": (["--tile-size", 0], "error: --tile-size 0: must be a positive number of pixels"),
    "precision": (["--precision", "double"], "error: --precision double: must be one of 'auto', 'float32'"),
    "model": (["--model", "nope"], "no such model or file; there are fast"),
    "sigma": (["--sigma", 3], "is blind and finds the noise level itself"),
    "device": (["--device", "abacus"], "this machine has no such device"),
    "axes": (["--axes", "YX"], "--axes YX: must be 4 different letters"),
    "suffix": (["-o", "out.jpg"], "ends in .jpg; results are written as .ome.tif"),
    "folder": (["-o", "no/such/folder/out.tif"], "create it first"),
    "both": (["--overwrite", "--skip-existing"], "exclude each other"),
    "option": (["--nope"], "No such option"),
    "no number": (["--sigma", "loud"], "'--sigma'"),
}


@pytest.mark.parametrize(("options", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_fulfilled_ends_with_2(stack, model, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = run("denoise", "stack.tif", "-o", "out.tif", "--model", model, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert names_in(tmp_path) == ["stack.tif"]


@pytest.mark.parametrize("arguments", [[], ["stack.tif"], ["-o", "out.tif"]])
def test_inputs_and_an_output_are_needed(arguments):
    assert run("denoise", *arguments).exit_code == 2


def test_an_output_that_exists_is_only_replaced_on_request(stack, model, tmp_path):
    out = tmp_path / "out.tif"
    out.write_text("precious")
    command = ("denoise", stack, "-o", out, "--model", model)
    result = run(*command)
    assert (result.exit_code, out.read_text()) == (2, "precious")
    assert "exists already; say --overwrite to replace it" in result.stderr
    result = run(*command, "--skip-existing", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"], out.read_text()) == (0, "skipped", "precious")
    assert run(*command, "--overwrite").exit_code == 0
    assert read_image(out).axes == "TZYX"


def test_a_broken_batch_goes_on_where_it_stopped(model, tmp_path):
    inputs = []
    for number in range(3):
        inputs.append(tmp_path / f"{number}.npy")
        np.save(inputs[-1], noisy(16, 16))
    out = tmp_path / "out"
    run("denoise", inputs[1], "-o", out, "--model", model)
    before = (out / "1_denoised.ome.tif").stat().st_mtime_ns
    result = run("denoise", *inputs, "-o", out, "--model", model, "--skip-existing")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert names_in(out) == [f"{number}_denoised.ome.tif" for number in range(3)]
    assert (out / "1_denoised.ome.tif").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["stack.tif", "link.tif", "sub/../stack.tif"])
def test_an_input_is_never_overwritten(stack, model, tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tif").symlink_to(stack)
    before = stack.read_bytes()
    result = run("denoise", stack, "-o", tmp_path / name, "--model", model, "--overwrite")
    assert (result.exit_code, "inputs are never overwritten" in result.stderr) == (2, True)
    assert stack.read_bytes() == before


def test_outputs_are_planned_before_any_work(tmp_path):
    a, b = Path("x/cells.tif"), Path("y/cells.ome.tif")
    with pytest.raises(SettingsError, match="2 inputs would be written there"):
        jobs.plan_jobs([a, a], tmp_path)
    with pytest.raises(SettingsError, match=r"out\.tif: is the name of a file, and a folder is needed for 2 input\(s\)"):
        jobs.plan_jobs([a, Path("z.tif")], tmp_path / "out.tif")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file: is a file, and a folder is needed for 1 input\(s\)"):
        jobs.plan_jobs([a], tmp_path / "file")
    assert [job.target for job in jobs.plan_jobs([a], tmp_path / "new")] == [tmp_path / "new" / "cells_denoised.ome.tif"]
    assert [job.target for job in jobs.plan_jobs([b], tmp_path / "b.npy")] == [tmp_path / "b.npy"]


def steps_that(act, steps=DenoisingRun.steps):
    """In place of `DenoisingRun.steps`: one step, and then what is to happen."""

    def broken(self, *what, **how):
        yield next(steps(self, *what, **how))
        act()

    return broken


def interrupt():
    raise KeyboardInterrupt


def test_an_interruption_leaves_nothing(stack, model, tmp_path, monkeypatch):
    monkeypatch.setattr(DenoisingRun, "steps", steps_that(interrupt))
    result = run("denoise", stack, stack.with_name("other.tif"), "-o", tmp_path / "out", "--model", model)
    assert (result.exit_code, result.stdout) == (130, "")
    assert "interrupted" in result.stderr
    assert names_in(tmp_path) == ["stack.tif"]


@pytest.mark.parametrize(("is_terminal", "asked", "written"), [(False, "", "σ"), (False, "cp1252", "?"), (True, "", "?")])
def test_names_of_files_get_through_a_pipe_of_windows(monkeypatch, is_terminal, asked, written):
    streams = {name: io.TextIOWrapper(io.BytesIO(), "cp1252") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        stream.isatty = lambda: is_terminal
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("PYTHONIOENCODING", asked)
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "utf-8")  # as on Windows
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(cli, "app", lambda **_: print("σ.ome.tif", flush=True))
    main()
    assert streams["stdout"].buffer.getvalue().decode().rstrip() == f"{written}.ome.tif"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_being_ended_while_writing_leaves_nothing(stack, model, tmp_path, monkeypatch):
    def end(path, *arguments, **keywords):
        Path(path).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(tifffile, "imwrite", end)
    monkeypatch.setattr(sys, "argv", ["napari-ne-denoise", "denoise", str(stack), "-o", str(tmp_path / "out.tif"), "--model", str(model)])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as raised:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert raised.value.code == 143
    assert names_in(tmp_path) == ["stack.tif"]


def test_a_full_disk_leaves_nothing_and_the_old_file(stack, model, tmp_path, monkeypatch):
    def fail(path, *arguments, **keywords):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out.tif").write_text("as before")
    monkeypatch.setattr(tifffile, "imwrite", fail)
    result = run("denoise", stack, "-o", tmp_path / "out.tif", "--model", model, "--overwrite")
    assert (result.exit_code, "the disk is full" in result.stderr) == (1, True)
    assert names_in(tmp_path) == ["out.tif", "stack.tif"]
    assert (tmp_path / "out.tif").read_text() == "as before"


def test_a_mistake_of_ours_is_reported_and_does_not_stop_the_others(stack, model, tmp_path, monkeypatch):
    failed = []

    def fail_once():
        if not failed:
            failed.append(True)
            raise ZeroDivisionError("oops")

    monkeypatch.setattr(DenoisingRun, "steps", steps_that(fail_once))
    np.save(tmp_path / "small.npy", noisy(16, 16))
    result = run("denoise", stack, tmp_path / "small.npy", "-o", tmp_path / "out", "--model", model)
    assert (result.exit_code, results_in(tmp_path / "out")) == (1, ["small_denoised.ome.tif"])
    assert "unexpected: ZeroDivisionError('oops')" in result.stderr
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError, 2), (ModelError, 2), (DeviceError, 2), (DownloadError, 1), (ImageError, 1), (FileError, 1), (ComputationError, 1)],
)
def test_exit_codes_of_errors(error, code):
    assert console.exit_code(error("no")) == code


def test_models_are_listed():
    lines = run("models", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "LAW", "NOISE", "LEVEL", "HERE", "LICENCE"]
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == [row.name for row in registry.list_models()]
    text = " ".join(" ".join(lines).split())
    assert all(row.summary in text for row in registry.list_models())
    assert f"every machine. Good, {registry.find_model('fast').speed}." in text
    assert max(map(len, lines)) <= 100
    records = {record["name"]: record for record in json.loads(run("models", "list", "--json").stdout)}
    assert records["fast"]["here"]
    assert Path(records["fast"]["path"]).is_file()
    assert "sherbret" in records["drunet-norm-equiv-blind"]["licence"]


def test_a_model_is_shown_with_its_card():
    record = json.loads(run("models", "show", "fast", "--json").stdout)
    assert record["equivariance"] == "norm-equiv"
    assert record["training"]
    lines = run("models", "show", "fast").stdout.splitlines()
    assert lines[0].split() == ["name", "fast"]
    assert all(limit.split()[-1] in " ".join(lines) for limit in record["limits"])
    others = run("models", "show", "drunet-norm-equiv-blind").stdout.splitlines()
    assert any(line.split() == ["here", "False"] for line in others)
    assert max(map(len, [*lines, *others])) <= 100
    whole = "".join(line.split(maxsplit=1)[-1] for line in others)  # a long address goes over two lines
    assert registry.find_model("drunet-norm-equiv-blind").url in whole
    assert run("models", "show", "nope").exit_code == 2


def test_the_card_of_a_model_is_short_unless_all_is_wanted():
    card = json.loads(run("models", "show", "fast", "--json").stdout)
    short, whole = (run("models", "show", "fast", *words).stdout for words in ((), ("--all",)))
    assert len(short.splitlines()) < 70 < len(whole.splitlines())
    assert "learning_rate" in whole
    assert "learning_rate" not in short
    assert "printed with --all" in short
    (set12,) = (line for line in short.splitlines() if line.split()[0] == "Set12")
    scores = card["scores"]["PSNR in dB, by `python -m benchmarks quality`"]
    assert f"σ = 5: {scores['Set12, σ = 5']}; σ = 10: {scores['Set12, σ = 10']}" in set12
    assert card["training"]["recipes"]


@pytest.fixture
def published(tmp_path, monkeypatch) -> registry.ModelRow:
    """A published model whose server is not there."""
    monkeypatch.setenv("NAPARI_NE_DENOISE_MODELS", str(tmp_path / "models"))
    row = registry.ModelRow("far", "", "AGPL-3.0 (repository a/b)", "FDnCNN", "norm-equiv", True, url="http://127.0.0.1:9/norm_equiv.pth")
    rows = (registry.find_model("fast"), row)
    monkeypatch.setattr(registry, "list_models", lambda: rows)
    return row


def test_fetching_prints_paths_and_says_what_is_missing(published, tmp_path):
    result = run("models", "fetch", "fast", "far")
    assert result.exit_code == 1
    assert result.stdout == f"{fetch.local_path(registry.find_model('fast'))}\n"
    assert "error: far: could not be fetched from http://127.0.0.1:9/norm_equiv.pth" in result.stderr
    assert "repository a/b" in result.stderr
    assert run("models", "fetch", "nope").exit_code == 2


def test_verifying_finds_what_changed(published, tmp_path):
    assert run("models", "verify").exit_code == 0
    assert run("models", "verify", "far").exit_code == 1
    path = fetch.local_path(published)
    path.parent.mkdir()
    torch.manual_seed(0)
    torch.save(FDnCNN("norm-equiv", channels=4, depth=3, blind=True).state_dict(), path)
    assert json.loads(run("models", "verify", "--json").stdout)[1]["unchanged"]
    path.write_bytes(path.read_bytes() + b"changed")
    result = run("models", "verify")
    assert (result.exit_code, result.stdout.splitlines()[1].split()) == (1, ["far:", "NOT", "VERIFIED"])
    assert "changed or damaged" in result.stderr


def test_check_tells_a_network_that_keeps_the_law_from_one_that_does_not(stack, model, tmp_path, monkeypatch):
    ordinary = tiny(tmp_path, "ordinary")
    monkeypatch.setattr(check_module, "_ordinary", lambda quiet: [str(ordinary)])
    record = json.loads(run("check", stack, "--model", model, "--json").stdout)
    keeps, breaks = record["models"]
    assert (keeps["law"], breaks["law"]) == ("norm-equiv", "ordinary")
    assert max(keeps["errors"].values()) < 1e-9
    assert max(breaks["errors"].values()) > 1e-3
    assert max(change["largest"] for change in keeps["ranges"]) < 1e-9 < max(change["rms"] for change in breaks["ranges"])
    assert [change["name"] for change in keeps["others"]] == ["percentiles 1–99.8", "z-score", "none"]
    assert max(change["largest"] for change in keeps["others"]) < 1e-9 < min(change["rms"] for change in breaks["others"])
    assert record["part"] == "rows 0 to 39, columns 0 to 35 of plane 1, 1"
    text = run("check", stack, "--model", model).stdout
    assert "[0, 255]" in text
    assert "z-score" in text
    assert "the result is the same whatever the image is normalised to" in text
    assert "the result depends on how the image is normalised" in text


def test_the_wrapper_is_part_of_what_is_measured():
    torch.manual_seed(0)
    wrapped = Denoiser(NormalizedDenoiser(FDnCNN("ordinary", channels=4, depth=3, blind=True)).eval(), ModelCard("wrapped"))
    assert check_module.measure(wrapped, noisy(24, 24)).errors.both < 1e-9


def test_check_of_the_packaged_models(stack):
    if not fetch.local_path(registry.find_model(check_module.ORDINARY_TWIN)).exists():
        pytest.skip(f"{check_module.ORDINARY_TWIN} is not packaged yet")
    keeps, breaks = json.loads(run("check", stack, "--json").stdout)["models"]
    assert max(keeps["errors"].values()) < 1e-9
    assert max(change["largest"] for change in breaks["ranges"]) > 0.1


def test_check_refuses_what_it_cannot_measure(stack, tmp_path):
    assert run("check", tmp_path / "missing.tif").exit_code == 1
    assert run("check", stack, "--axes", "YX").exit_code == 2
    result = run("check", stack, "--model", tiny(tmp_path, blind=False))
    assert (result.exit_code, "choose a blind model" in result.stderr) == (2, True)
    np.save(tmp_path / "nan.npy", np.full((8, 8), np.nan))
    assert run("check", tmp_path / "nan.npy").exit_code == 1


def test_the_demo_draws_its_pictures(model, tmp_path):
    result = run("demo", "-o", tmp_path / "demo", "--model", model)
    assert result.exit_code == 0, result.output
    assert names_in(tmp_path / "demo") == sorted(
        ["actin_denoised.ome.tif", *(f"{name}.png" for name in ("denoised", "filter", "long_exposure", "noisy", "removed", "side_by_side"))]
    )
    for path in (Path(line) for line in result.stdout.splitlines() if line.startswith(str(tmp_path))):
        assert read_image(path).pixels.shape[0] in (512, 410)
    assert read_provenance(tmp_path / "demo" / "actin_denoised.ome.tif")["model"]["name"] == model.stem
    assert "PSNR" in result.stdout
    assert run("demo", "-o", tmp_path / "demo", "--model", model).exit_code == 0
    (tmp_path / "file").touch()
    assert run("demo", "-o", tmp_path / "file" / "demo", "--model", model).exit_code == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_drawn_for_people_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for stream, quiet, drawn in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        line = console.ProgressLine("cells.tif", quiet=quiet)
        line.show(2e6, 4e6)
        line.show(4e6, 4e6)
        line.clear()
        assert bool(stream.getvalue()) is drawn
        texts = stream.getvalue().split("\r")
        assert all(len(text) <= 79 for text in texts)
        if drawn:
            assert "cells.tif [" in texts[1]
            assert "50 %  2/4 MPix" in texts[1]
            assert "left" in texts[1]


def test_time_left_is_not_told_by_the_first_few_steps(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(console, "_PAUSE", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = console.ProgressLine("cells.tif")
    for done in range(1, 7):
        line.show(done, 100)
    told = ["left" in text for text in sys.stderr.getvalue().split("\r")[1:]]
    assert not told[0]
    assert told == sorted(told)
    assert told[-1]


def test_a_slow_first_step_does_not_count_for_the_time_left(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(console, "_PAUSE", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    clock = iter([0.0, *range(600, 700)])  # ten minutes for the first, a second for each of the others
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    line = console.ProgressLine("cells.tif", unit_size=1)
    for done in range(1, 7):
        line.show(done, 26)
    assert "1 MPix/s  20 s left" in sys.stderr.getvalue().split("\r")[-1]


def test_error_bars_have_a_line_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(console, "_PAUSE", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    write_image(tmp_path / "cells.ome.tif", ImageFile(noisy(64, 70), "YX"))
    (job,) = jobs.plan_jobs([tmp_path / "cells.ome.tif"], tmp_path / "out.npy")
    line, phases = progress.Lines([job], quiet=False), []
    for event in run_jobs([job], DEFAULTS, nd.load_denoiser("fast"), with_std=True):
        line.show(event)
        phases += [event.phase] if isinstance(event, JobAdvanced) else []
    assert list(dict.fromkeys(phases)) == ["", "error bars"]
    assert "cells.ome.tif, error bars [----" in sys.stderr.getvalue()
    texts = [text for text in sys.stderr.getvalue().split("\r") if "%" in text]
    assert [text.startswith("cells.ome.tif, error bars") for text in texts] == [bool(phase) for phase in phases]


def test_progress_of_files_that_are_worked_on_at_once_is_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(console, "_PAUSE", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    planned = [jobs.Job(Path(f"{number}.tif"), Path(f"{number}.ome.tif")) for number in range(3)]
    line = progress.LineOfAll(planned, quiet=False)
    line.show(JobEnded(0, {"status": "skipped"}))  # which does not count
    for event in (JobBegun(1, planned[1]), JobBegun(2, planned[2]), JobAdvanced(2, 5, 10), JobEnded(1, {"status": "done"})):
        line.show(event)
    texts = sys.stderr.getvalue().split("\r")
    assert "25 %  0.5/2 files" in texts[1]
    assert "75 %  1.5/2 files" in texts[-1]
    assert "left" in texts[-1]


def test_progress_of_files_does_not_go_back_when_error_bars_begin(monkeypatch):
    planned = [jobs.Job(Path(f"{number}.tif"), Path(f"{number}.ome.tif")) for number in range(2)]
    line, shown = progress.LineOfAll(planned, quiet=False, with_std=True), []
    monkeypatch.setattr(console.ProgressLine, "show", lambda _, done, total: shown.append(done / total))
    reached = [(5, 10, ""), (10, 10, ""), (0, 10, "error bars"), (5, 10, "error bars"), (0, 0, "error bars")]  # the last: all were there
    for event in (*map(JobBegun, range(2), planned), *(JobAdvanced(0, *how) for how in reached), JobEnded(0, {"status": "done"})):
        line.show(event)
    assert shown == [1 / 8, 1 / 4, 1 / 4, 3 / 8, 1 / 2, 1 / 2]


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "3 s"), (150, "2 min"), (5400, "1.5 h")])
def test_durations(seconds, text):
    assert console.duration(seconds) == text


def python(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment)


def test_it_runs_as_a_module():
    result = python("-m", "napari_ne_denoise", "--version")
    assert (result.returncode, result.stdout.split()[0]) == (0, "napari-ne-denoise")
    assert python("-m", "napari_ne_denoise", "models", "show", "nope").returncode == 2


@pytest.mark.parametrize("arguments", [["--help"], ["denoise", "--help"], ["models", "list"]])
def test_what_needs_no_network_loads_no_torch(arguments):
    run_it = f"import sys; sys.argv[1:] = {arguments}\nfrom napari_ne_denoise.cli import main\ntry: main()\nexcept SystemExit: pass"
    told = python("-c", f"{run_it}\nprint({{'torch', 'napari', 'qtpy'}} & set(sys.modules))").stdout
    assert told.splitlines()[-1] == "set()"


def test_a_device_that_is_not_used_is_said(stack, model, tmp_path, monkeypatch):
    broken = DeviceReport("cuda:0", "NVIDIA card", "a test computation on it failed (boom).")
    monkeypatch.setattr(devices, "list_devices", lambda: (broken, DeviceReport("cpu", "CPU")))
    said = run("denoise", stack, "-o", tmp_path / "out.tif", "--model", model).stderr
    assert "NVIDIA card is not used, cpu is: a test computation on it failed (boom)." in said
    assert "NVIDIA" not in run("denoise", stack, "-o", tmp_path / "quiet.tif", "--model", model, "--quiet").stderr


def test_a_folder_that_cannot_be_made_is_said_before_any_work(stack, model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("denoise", stack, stack, "-o", tmp_path / "file" / "results", "--model", model)
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "error:" in result.stderr
    assert "Traceback" not in result.stderr


def test_of_a_plate_all_images_are_denoised(model, tmp_path):
    plate = tmp_path / "screen.zarr"
    for well in ("A/1", "B/1"):
        (plate / well).mkdir(parents=True)
        (plate / well / "zarr.json").write_text(json.dumps({"attributes": {"ome": {"well": {"images": [{"path": "0"}]}}}}))
        write_image(plate / well / "x.zarr", ImageFile(noisy(20, 24), "YX"))
        (plate / well / "x.zarr").rename(plate / well / "0")
    wells = {"ome": {"plate": {"wells": [{"path": "A/1"}, {"path": "B/1"}]}}}
    (plate / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": wells}))
    done = run("denoise", plate, "-o", tmp_path / "results", "--model", model)
    assert [Path(line).name for line in done.stdout.split()] == ["screen_A_1_0_denoised.ome.zarr", "screen_B_1_0_denoised.ome.zarr"]


def test_an_axis_that_nobody_named_is_asked_for(model, tmp_path):
    np.save(tmp_path / "stack.npy", noisy(3, 20, 24))
    record = json.loads(run("denoise", tmp_path / "stack.npy", "-o", tmp_path / "a.tif", "--model", model, "--json").stdout)
    assert "--axes, such as ZYX" in record["notes"][-1]
    named = run("denoise", tmp_path / "stack.npy", "-o", tmp_path / "b.tif", "--model", model, "--json", "--axes", "ZYX").stdout
    assert json.loads(named)["notes"] == []


@pytest.mark.parametrize("ending", [".ome.tif", ".npy", ".ome.zarr"])
def test_error_bars_are_written_beside_the_result(tmp_path, ending):
    pixels = np.random.default_rng(0).poisson(50, (64, 70)).astype(np.uint16)
    write_image(tmp_path / "cells.ome.tif", ImageFile(pixels, "YX", {"X": (0.1, "µm"), "Y": (0.1, "µm")}))
    out = tmp_path / f"result{ending}"
    done = run("denoise", tmp_path / "cells.ome.tif", "-o", out, "--std")
    assert done.exit_code == 0, done.output
    bars = tmp_path / f"result_std{ending}"
    assert [str(out), str(bars)] == done.stdout.split()
    result, std = nd.denoise(pixels, return_std=True)
    np.testing.assert_array_equal(np.asarray(read_image(bars).pixels[:]), std)
    np.testing.assert_array_equal(np.asarray(read_image(out).pixels[:]), result)
    refused = run("denoise", bars, "-o", tmp_path / "again.npy")
    assert f"error: {bars}: holds the map error, made by this program, and no image; give the image" in refused.stderr
    assert (refused.exit_code, (tmp_path / "again.npy").exists()) == (1, False)
    again = run("denoise", tmp_path / "cells.ome.tif", "-o", tmp_path / "result2.npy", "--std", "--model", "ordinary-twin")
    assert again.exit_code == 2
    assert not (tmp_path / "result2.npy").exists()
