"""Every command that takes an image refuses a bad one in one line that names it."""

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from napari_ne_denoise import NEDenoiseError, denoise
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.io import read_image
from tests.strangers.arrays import all_arrays
from tests.strangers.tiffs import all_tiffs
from tests.strangers.zarrs import all_zarrs

COMMANDS = {
    "denoise": ["-o", "{out}.npy"],
    "noise": [],
    "assess": [],
    "check": [],
    "maps": ["-o", "{out}"],
    "filters": ["--at", "3,3"],
    "spectrum": ["--region", "0:8,0:8"],
}
NAMES = (
    "tiff-lie-four-billion-pixels", "tiff-lie-loop-of-one-directory", "tiff-of-bool", "npy-with-code", "npy-text", "npy-one-axis",
    "npy-empty", "values-all-nan", "values-one-infinity", "file-missing", "file-empty", "file-that-is-a-folder", "link-to-itself",
    "zarr-chunk-too-short", "zarr-one-giant-chunk", "zarr-chunk-of-gigabytes-gzip",
)  # fmt: skip
LOOK_AT_ALL = ("denoise", "check")  # the others look at a part, or at all but NaN and infinities
STRANGERS = {stranger.name: stranger for stranger in (*all_tiffs(), *all_arrays(), *all_zarrs())}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", NAMES)
def test_each_command_refuses_it_in_one_line_that_names_it(command, name, tmp_path):
    path = STRANGERS[name].make(tmp_path)
    options = [option.format(out=tmp_path / "out") for option in COMMANDS[command]]
    result = CliRunner().invoke(app, [command, str(path), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    if result.exit_code == 0:
        assert name.startswith("values-")
        assert command not in LOOK_AT_ALL
        return
    assert result.exit_code in (1, 2)
    *notes, error = result.stderr.splitlines()
    assert all(note.startswith("note: ") for note in notes), notes
    assert error.startswith("error: ")
    assert str(path) in error or "is too small to find its noise" in error


@pytest.mark.parametrize("name", ["tiff-lie-four-billion-pixels", "npy-with-code", "file-missing"])
def test_as_a_program_of_its_own_too(name, tmp_path):
    path = STRANGERS[name].make(tmp_path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "napari_ne_denoise", "denoise", str(path), "-o", str(tmp_path / "out.npy")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: ")
    assert done.stderr.count("\n") == 1


def test_a_result_that_memory_does_not_hold_is_refused_before_anything_is_computed(tmp_path):
    path = STRANGERS["zarr-giant-and-empty"].make(tmp_path)
    result = CliRunner().invoke(app, ["denoise", str(path), "-o", str(tmp_path / "out.npy")])
    assert result.exit_code == 1
    assert re.fullmatch(f"error: {path}: .*the result needs 4 TB of memory, and .* are free; write it as .ome.zarr.*\n", result.stderr)
    with pytest.raises(NEDenoiseError, match="use denoise_lazy or iter_denoise, which give it piece by piece"):
        denoise(read_image(path).pixels)
