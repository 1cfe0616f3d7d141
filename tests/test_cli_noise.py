"""``napari-ne-denoise noise``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.core.noise.profile import read_profile


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def channels(tmp_path):
    """Two channels over three time points, of gains 2 and 5."""
    light = np.linspace(2, 80, 128)[None, :] * np.ones((128, 1))
    frames = [[gain * np.random.default_rng(10 * t + gain).poisson(light) + 100 for gain in (2, 5)] for t in range(3)]
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, np.array(frames, np.uint16), imagej=True, metadata={"axes": "TCYX"})
    return path


def test_the_noise_of_each_channel_is_told(channels):
    lines = run("noise", channels).stdout.splitlines()
    assert lines[0] == f"{channels}, channel 0"
    assert any(line.startswith("gain") and "image units a photon" in line for line in lines)
    record = json.loads(run("noise", channels, "--json").stdout)
    first, second = record["channels"]
    assert (first["channel"], second["channel"]) == (0, 1)
    assert first["gain"] == pytest.approx(2, rel=0.15)
    assert second["gain"] == pytest.approx(5, rel=0.15)
    assert first["source"] == "frame differences"


def test_a_profile_is_kept_and_used(channels, tmp_path):
    kept = tmp_path / "confocal.json"
    assert run("noise", channels, "--profile", kept).exit_code == 2  # of which channel?
    assert run("noise", channels, "--channel", 1, "--profile", kept, "--name", "confocal").exit_code == 0
    profile = read_profile(kept)
    assert profile.name == "confocal"
    assert profile.noise.gain == pytest.approx(5, rel=0.15)
    again = run("noise", channels, "--channel", 1, "--profile", kept)
    assert again.exit_code == 1
    assert "exists" in again.stderr
    result = run("denoise", channels, "-o", tmp_path / "out.ome.tif", "--noise", kept, "--json")
    assert json.loads(result.stdout)["status"] == "done"


def test_what_self_calibration_learned_is_told_and_kept(channels, tmp_path):
    assert "say --channel" in run("noise", channels, "--self-calibrate").stderr
    kept = tmp_path / "learned.json"
    told = run("noise", channels, "--channel", 1, "--self-calibrate", "--profile", kept).stdout
    assert sum(line.startswith("learned") for line in told.splitlines()) == 3
    brightness = np.array([200, 300, 450])
    learned = read_profile(kept).noise
    assert learned.std(brightness) == pytest.approx(np.sqrt(5 * (brightness - 100)), rel=0.3)
    record = json.loads(run("noise", channels, "--channel", 1, "--self-calibrate", "--json").stdout)
    assert record["learned"] == learned.as_record()
    result = run("denoise", channels, "-o", tmp_path / "out.ome.tif", "--noise", kept, "--json")
    assert json.loads(result.stdout)["status"] == "done"


def test_a_figure_is_drawn(channels, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("noise", channels, "--channel", 0, "--figure", tmp_path / "curve.png").exit_code == 0
    assert (tmp_path / "curve.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--channel", 7], "numbered from 0"),
        (["--channel", 0, "--profile", "p.txt"], "must end in .json"),
        (["--channel", 0, "--figure", "p.foo"], "must end in .png"),
        (["--axes", "YX"], "axes"),
    ],
)
def test_what_cannot_be_done_is_said(channels, options, message):
    result = run("noise", channels, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_would_be_lost_is_said_before_any_work(channels, tmp_path):
    result = run("noise", channels, "--channel", 0, "--figure", tmp_path / "nowhere" / "curve.png")
    assert result.exit_code == 1
    assert "no such folder" in result.stderr
    assert not result.stdout
    np.save(tmp_path / "flat.npy", np.full((64, 64), 3.0))
    result = run("noise", tmp_path / "flat.npy", "--profile", tmp_path / "flat.json")
    assert result.exit_code == 1
    assert "nothing was found" in result.stderr
    assert not (tmp_path / "flat.json").exists()


def test_hot_pixels_are_told_and_their_repair_is_offered_and_done(tmp_path):
    noisy = np.random.default_rng(0).poisson(50, (160, 160)).astype(np.float32)
    np.save(tmp_path / "clear.npy", noisy)
    assert "hot or dead" not in (told := run("noise", tmp_path / "clear.npy")).stdout + told.stderr
    noisy[8::40, 8::40] += 400
    np.save(tmp_path / "hot.npy", noisy)
    told = run("noise", tmp_path / "hot.npy")
    assert any(line.startswith("hot or dead") and "pixels per megapixel" in line for line in told.stdout.splitlines())
    assert "--hot-pixels repair" in told.stderr
    result = run("denoise", tmp_path / "hot.npy", "-o", tmp_path / "out.npy", "--hot-pixels", "repair", "--json")
    assert "repaired 16 hot or dead pixels (625 per megapixel; in each plane its own)" in result.stderr
    assert json.loads(result.stdout)["provenance"]["decided"]["hot_pixels"][0]["repaired"] == 16
    assert np.load(tmp_path / "out.npy").max() < 100
    assert "must be one of 'keep', 'repair'" in run("denoise", tmp_path / "hot.npy", "-o", tmp_path / "x.npy", "--hot-pixels", "no").stderr
