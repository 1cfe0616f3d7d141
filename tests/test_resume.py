"""A command that is killed at any moment goes on when it is given again: nothing is lost, nothing is half-written, nothing is mixed.

The real command is killed a few times. ``KILLS=60 python -m pytest tests/test_resume.py -k killed`` does so many more times.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor fork")
KILLS = int(os.environ.get("KILLS", "8"))
SECONDS = 240  # that one run of the command may take, on a busy machine


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A model, a folder of files, and an OME-Zarr of as many parts as planes."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    write_model(FDnCNN("norm-equiv", channels=4, depth=3), ModelCard("tiny"), folder / "tiny.safetensors")
    rng = np.random.default_rng(0)
    for number in range(8):
        tifffile.imwrite(folder / f"{number}.tif", rng.poisson(50, (90 + number, 80)).astype(np.uint16))
    image = rng.poisson(50, (40, 70, 600)).astype(np.uint16)
    write_image(folder / "large.ome.zarr", ImageFile(image, "TYX", {"Y": (0.5, "µm")}))
    return folder


def command(inputs: Path, out: Path, kind: str) -> list[str]:
    sources = sorted(inputs.glob("*.tif")) if kind == "files" else [inputs / "large.ome.zarr"]
    options = ["-o", out / ("results" if kind == "files" else "large_denoised.ome.zarr"), "--model", inputs / "tiny.safetensors"]
    return ["denoise", *map(str, [*sources, *options])]


# Runs the command again and again, each time in a process of its own, forked where all is imported already: that takes most of the time.
FORKING = """
import json, os, sys
import tifffile, zarr
import napari_ne_denoise.core.batch.run
from napari_ne_denoise.cli import main

for line in sys.stdin:
    arguments, said = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["napari-ne-denoise", *arguments]
        code = 99
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Commands:
    """Processes of the command line, one after another."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said.txt"
        self._forking = subprocess.Popen([sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, arguments: list[str]) -> int:
        """Its process."""
        self._forking.stdin.write(json.dumps([arguments, str(self._said)]) + "\n")
        self._forking.stdin.flush()
        return int(self._forking.stdout.readline())

    def wait(self) -> tuple[int, str]:
        """Exit code, and what it said."""
        return int(self._forking.stdout.readline()), self._said.read_text()

    def close(self) -> None:
        self._forking.communicate()


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    found = Commands(tmp_path_factory.mktemp("said"))
    yield found
    found.close()


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def results_in(out: Path) -> dict[str, Path]:
    """What has its final name."""
    return {path.name: path for pattern in ("results/*.ome.tif", "*.ome.zarr") for path in out.glob(pattern) if path.name[0] != "."}


def content_of(path: Path) -> tuple[np.ndarray, dict, list[np.ndarray]]:
    """Pixels, record, and smaller sizes."""
    image = read_image(path)
    record = dict(image.provenance)
    del record["made"]
    levels = zarr.open_group(path, mode="r").arrays() if path.suffix == ".zarr" else []
    return np.asarray(image.pixels[...]), record, [np.asarray(level) for _, level in sorted(levels)]


def assert_alike(one: Path, other: Path) -> None:
    (pixels, record, levels), (pixels_2, record_2, levels_2) = content_of(one), content_of(other)
    np.testing.assert_array_equal(pixels, pixels_2)
    assert record == record_2
    assert len(levels) == len(levels_2)
    for level, level_2 in zip(levels, levels_2, strict=True):
        np.testing.assert_array_equal(level, level_2)


@pytest.fixture(scope="module", params=["files", "large"])
def undisturbed(request, inputs, commands, tmp_path_factory):
    """A run that nobody disturbs: of what kind, where its results are, and how long it worked."""
    out = tmp_path_factory.mktemp("undisturbed")
    commands.start(command(inputs, out, request.param))
    wait_for(lambda: journals_in(out))
    began = time.monotonic()
    wait_for(lambda: not journals_in(out))
    seconds = time.monotonic() - began
    assert commands.wait() == (0, "")
    return request.param, out, seconds


def journals_in(out: Path) -> list[Path]:
    return [Path(place) / name for place, _, names in os.walk(out) for name in names if name.endswith(".jsonl")]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(so) -> None:
    until = time.monotonic() + SECONDS
    while not so():
        assert time.monotonic() < until
        time.sleep(0.003)


@pytest.mark.timeout(300 + 10 * KILLS)
def test_a_command_that_is_killed_again_and_again_gives_what_an_undisturbed_one_does(undisturbed, inputs, commands, tmp_path):
    kind, expected, working = undisturbed
    out = tmp_path / "out"
    arguments, moments = command(inputs, out, kind), random.Random(KILLS)
    kills, rounds = 0, 0
    while kills < (KILLS + 1) // 2:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        made: dict[str, int] = {}
        rounds += 1
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            before = set(journals_in(out))
            process = commands.start(arguments)
            wait_for(lambda before=before, process=process: set(journals_in(out)) - before or not is_running(process))
            time.sleep(moments.uniform(0, 0.7 * working))
            with suppress(ProcessLookupError):  # it has ended
                os.kill(process, signal.SIGKILL)
            code, said = commands.wait()
            kills += code == -signal.SIGKILL
            for name, path in results_in(out).items():
                assert_alike(path, results_in(expected)[name])  # none is half-written
                assert made.setdefault(name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns  # none is made twice
        # 2: it was killed when all was done, on its way out
        assert code == 0 or (code == 2 and "exists already" in said), said
        assert everything_in(out) == everything_in(expected)
    print(f"{kind}: killed {kills} times, in {rounds} rounds")


def test_of_jobs_that_share_an_image_one_is_killed_and_given_again(inputs, tmp_path):
    """Three processes that know nothing of each other; and two of the last one, at once."""
    arguments, target = command(inputs, tmp_path, "large"), tmp_path / "large_denoised.ome.zarr"

    def job(number, errors):
        options = ["--shard", f"{number}/3", "--skip-existing"]
        return subprocess.Popen([sys.executable, "-m", "napari_ne_denoise", *arguments, *options], stderr=errors)

    jobs = [job(number, subprocess.DEVNULL) for number in (1, 2, 3)]
    wait_for(lambda: any("parts" in path.name for path in journals_in(tmp_path)))
    jobs[0].kill()
    assert jobs[0].wait(SECONDS) in (-signal.SIGKILL, 0)  # 0: it was quicker
    assert [process.wait(SECONDS) for process in jobs[1:]] == [0, 0]
    again = [job(1, subprocess.PIPE), job(1, subprocess.PIPE)]
    said = [process.communicate(timeout=SECONDS)[1].decode() for process in again]
    assert 0 in [process.returncode for process in again], said
    assert everything_in(tmp_path)[0] == target.name  # and nothing that is hidden
    alone = tmp_path / "alone.ome.zarr"
    place = arguments.index("-o") + 1
    arguments[place] = str(alone)
    subprocess.run([sys.executable, "-m", "napari_ne_denoise", *arguments], stdout=subprocess.DEVNULL, timeout=SECONDS, check=True)
    assert_alike(target, alone)
