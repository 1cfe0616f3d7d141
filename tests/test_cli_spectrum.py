"""``spectrum``: what `patch_spectrum` finds, as a table or as JSON."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ne_denoise import patch_spectrum
from napari_ne_denoise.cli import app


@pytest.fixture
def stack(tmp_path):
    np.save(tmp_path / "cells.npy", np.random.default_rng(0).poisson(50, (2, 30, 20)).astype(np.uint16))
    return tmp_path / "cells.npy"


def run(*words):
    return CliRunner().invoke(app, ["spectrum", *map(str, words)])


def test_it_tells_what_was_found(stack):
    where = ("--region", "4:9,2:8", "--position", "1,0,0")
    found = patch_spectrum(np.load(stack), (slice(4, 9), slice(2, 8)), position=(1, 0, 0))
    record = json.loads(run(stack, *where, "--json").stdout)
    assert record["singular_values"] == pytest.approx(found.values.tolist(), abs=1e-6)
    assert record["numbers_kept"] == pytest.approx(found.numbers_kept, rel=1e-4)
    assert record["pixels"] == 30
    text = run(stack, *where, "--quiet").stdout
    assert f"numbers kept            {found.numbers_kept:.4g}" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--region", "4"), "--region 4: must be rows and columns"),
        (
            ("--region", "4:90,2:8", "--position", "1,0,0"),
            "rows 4:90, columns 2:8: must lie inside the plane, which has the shape (30, 20)",
        ),
        (("--region", "4:90,2:8", "--position", "1,0,0"), "give others with --region, such as"),
        (("--region", "4:9,2:8"), "The image has 2; say which with --position"),
        (("--region", "4:9,2:8", "--position", "a"), "--position a"),
    ],
)
def test_what_is_refused_says_why(stack, words, said):
    done = run(stack, *words)
    assert (done.exit_code, said in done.stderr) == (2, True)
    assert not re.search(r"slice|None|\w=", done.stderr)
