"""What runs that were broken off left behind, damaged: it is gone on with, begun anew, or refused with a remedy."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from tests.strangers.weights import noisy

NONSENSE = [
    "", "{", "[" * 100_000, "[1]", "7", "{}",
    '{"way": 3, "side": 512, "decided": {}}', '{"way": {}, "side": -1, "decided": {"halves": []}}',
]  # fmt: skip
LINES = [
    "{", "[" * 100_000, "7", "{}", '{"output": 3}', '{"output": "result.npy"}', '{"output": "result.npy", "time": "now"}',
    '{"output": "result.npy", "time": 1e400, "way": 3}', '{"output": "../../result.npy", "time": 1, "way": {}}', "\x00\x00", '{"part": 0}',
    '{"part": 0, "used": {"float7": 1}}', '{"part": 0, "used": {"float32": "many"}, "noise": 3}', '{"part": -1, "used": {}}',
]  # fmt: skip


def denoise(folder, name):
    result = CliRunner().invoke(app, ["denoise", str(folder / "image.npy"), "-o", str(folder / name), "-q"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "image.npy", noisy())
    return tmp_path


@pytest.mark.parametrize("text", NONSENSE)
def test_a_damaged_plan_is_refused_until_its_folder_is_removed(folder, text):
    work = folder / ".result.ome.zarr.napari-ne-denoise"
    work.mkdir()
    (work / "plan.json").write_text(text)
    result = denoise(folder, "result.ome.zarr")
    assert result.exit_code == 1
    assert f"remove the folder {work}, to begin anew" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (folder / "result.ome.zarr").exists()
    (work / "plan.json").unlink()
    work.rmdir()
    assert denoise(folder, "result.ome.zarr").exit_code == 0


@pytest.mark.parametrize("line", LINES)
def test_a_damaged_journal_of_a_batch_spoils_nothing(folder, line):
    (folder / "napari-ne-denoise.batch.host-1.jsonl").write_text(line + "\n" + json.dumps({"time": 1}) + "\n")
    assert denoise(folder, "result.npy").exit_code == 0
    assert (folder / "result.npy").exists()


def test_noise_of_endless_brackets_is_refused(folder):
    arguments = ["denoise", str(folder / "image.npy"), "-o", str(folder / "result.npy"), "--noise", '{"a":' * 50_000]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --noise {")
    assert len(result.stderr) < 2000
