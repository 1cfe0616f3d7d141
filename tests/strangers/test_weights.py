"""Weights and profiles from strangers: refused with a remedy, by the API and by the command line; no code in them is ever executed."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.core.errors import FileError, ModelError, NEDenoiseError
from napari_ne_denoise.core.inference import load_denoiser
from napari_ne_denoise.core.noise.profile import read_profile
from tests.strangers import weights
from tests.strangers.corpus import CANARY, Stranger

WEIGHTS = [*weights.safetensors_files(), *weights.published_files(), *weights.no_files()]
PROFILES = list(weights.profiles())


@pytest.fixture
def image(tmp_path):
    np.save(tmp_path / "image.npy", weights.noisy())
    return tmp_path / "image.npy"


def said_by_command(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "-q"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stderr


def check_refused(message: str, path, says: str) -> None:
    assert str(path)[:200] in message[:400]
    assert re.search(says, message), message
    assert len(message) < 1000 + len(str(path))
    assert "\n" not in message.strip()


@pytest.mark.parametrize("stranger", WEIGHTS, ids=str)
def test_a_strangers_weights_work_or_are_refused(stranger: Stranger, image, tmp_path):
    path = stranger.make(tmp_path)
    code, said = said_by_command("denoise", image, "-o", tmp_path / "result.npy", "--model", path)
    if stranger.says is None:
        assert code == 0, said
        assert load_denoiser(path)(weights.noisy()).shape == (24, 24)
    else:
        with pytest.raises(ModelError) as raised:
            load_denoiser(path)
        check_refused(str(raised.value), path, stranger.says)
        assert code == 2
        check_refused(said, path, stranger.says)
        assert not (tmp_path / "result.npy").exists()
    assert not (tmp_path / CANARY).exists(), "code in it was executed"


@pytest.mark.parametrize("stranger", PROFILES, ids=str)
def test_a_strangers_profile_works_or_is_refused(stranger: Stranger, image, tmp_path):
    path = stranger.make(tmp_path)
    code, said = said_by_command("denoise", image, "-o", tmp_path / "result.npy", "--noise", path)
    if stranger.says is None:
        assert code == 0, said
        assert read_profile(path).noise.gain == 1
        return
    with pytest.raises(FileError) as raised:
        read_profile(path)
    check_refused(str(raised.value), path, stranger.says)
    assert code in (1, 2)
    check_refused(said, path, stranger.says)


@pytest.mark.parametrize("record", ["{", '{"gain": 1}', '{"levels": 3}', '{"gain": "a", "curve": 3, "correlation": []}', "{}"])
def test_noise_on_the_command_line_that_makes_no_sense_is_refused(record, image, tmp_path):
    code, said = said_by_command("denoise", image, "-o", tmp_path / "result.npy", "--noise", record)
    assert code in (1, 2)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_all_errors_are_of_one_family():
    assert issubclass(ModelError, NEDenoiseError)
    assert issubclass(FileError, NEDenoiseError)
