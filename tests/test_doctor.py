"""The doctor tells what a report needs, finds what is wrong, and gives nothing away."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.core import doctor
from napari_ne_denoise.core.device import DeviceReport
from napari_ne_denoise.core.models import fetch
from napari_ne_denoise.core.models.registry import list_models


def run(*arguments):
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def report():
    return doctor.examine()


def test_all_is_well_here(report):
    assert report["problems"] == []
    assert report["checks"]["law"]["kept"]
    assert report["checks"]["sample"]["kept"]
    assert [model["name"] for model in report["models"]][:2] == ["fast", "quality"]
    assert {model["state"] for model in report["models"]} == {"as known"}
    assert report["versions"]["napari"] != "missing"
    assert report["devices"][-1]["name"] == "cpu"
    json.dumps(report, allow_nan=False)


def test_people_read_the_same(report):
    text = doctor.as_text(report)
    for told in (report["versions"]["torch"], report["versions"]["qt binding"], report["models"][0]["sha256"], "problems", "none"):
        assert told in text
    assert max(map(len, text.splitlines())) < 300


def test_the_command_ends_well():
    result = run()
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("versions\n")
    assert json.loads(run("--json").stdout)["problems"] == []


def test_no_secret_and_no_home_is_in_it(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:hunter2@proxy.institute.example:3128")
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(Path.home() / "secretmodels"))
    said = run("--json").stdout
    assert "hunter2" not in said
    assert "anna" not in said
    assert json.loads(said)["network"]["HTTPS_PROXY"] == "set"
    assert json.loads(said)["folders"]["models"]["path"] == str(Path("~") / "secretmodels")
    assert not json.loads(said)["folders"]["models"]["exists"]


def test_a_damaged_model_is_found(monkeypatch, tmp_path):
    real = fetch.local_path

    def elsewhere(row):
        return damaged if row.name == "quality" else real(row)

    damaged = tmp_path / "quality.safetensors"
    damaged.write_bytes(b"damaged")
    monkeypatch.setattr(fetch, "local_path", elsewhere)
    result = run()
    assert result.exit_code == 1
    assert "the file was changed or damaged; reinstall napari-ne-denoise" in result.stderr


def test_a_share_that_is_away_is_no_error(monkeypatch):
    """Windows says so by errors that a Path does not take for "there is nothing"."""
    share, real = Path("/mnt/lab"), os.stat

    def stat(path, **how):
        if str(path).startswith(str(share)):
            raise OSError(errno.EHOSTDOWN, "The specified network name is no longer available")
        return real(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(share))
    assert not doctor._folder(share / "models")["exists"]
    assert not any(fetch.is_here(row) for row in list_models() if not row.packaged)


def test_a_drive_that_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    found = doctor._folder(Path("/models"))
    assert (found["exists"], found["writable"], found["free"]) == (False, False, None)
    (_, said) = next(iter(doctor._words_of_folders({"models": found})))
    assert said.endswith("not there yet, read-only, nobody knows how much free")


def test_a_wrong_result_is_found(monkeypatch):
    monkeypatch.setattr(doctor, "EXPECTED_PIXELS", tuple(pixel + 3 for pixel in doctor.EXPECTED_PIXELS))
    result = run()
    assert result.exit_code == 1
    assert "the sample is not denoised as it should be on " in result.stderr
    assert "sample" in result.stdout


def test_what_is_missing_comes_with_what_installs_it(monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "zarr" else real(name))
    reports = (DeviceReport("cuda:0", "NVIDIA card", "its driver is too old; update the driver."), DeviceReport("cpu", "CPU"))
    monkeypatch.setattr(doctor, "list_devices", lambda: reports)
    said = run().stdout
    assert 'zarr missing; pip install "napari-ne-denoise[zarr]"' in said
    assert "NVIDIA card: its driver is too old; update the driver." in said


def test_it_works_as_a_program_of_its_own():
    command = [sys.executable, "-m", "napari_ne_denoise", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["problems"] == []
