"""Images from strangers: read right or refused with a remedy, in little memory, by the API and by the command line; never a traceback."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.strangers.arrays import all_arrays
from tests.strangers.corpus import CANARY, Stranger, fingerprint
from tests.strangers.tiffs import all_tiffs
from tests.strangers.zarrs import all_zarrs

HANG = 25  # seconds, after which nobody believes in an answer
START = 240  # seconds; only what hangs takes as long, however busy the machine
STRANGERS = [*all_tiffs(), *all_arrays(), *all_zarrs()]


class Worker:
    """The process that meets strangers; where one ended it, the next meets a new one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def meet(self, path: Path, huge: bool) -> dict[str, Any]:
        if self._process is None:
            self._start()
        answer = self._answer(json.dumps({"path": str(path), "huge": huge}))
        assert answer is not None, f"the process ended or hung: {self.end()}"
        return answer

    def end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            pipe.close()
        self._thread.join()
        return process.returncode

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.strangers.worker"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout, self._lines))
        self._thread.start()
        if self._answer("", START) != "ready":
            self.end()
            pytest.fail("it did not start")

    @staticmethod
    def _listen(pipe: Any, lines: "queue.Queue[str]") -> None:
        for line in pipe:
            lines.put(line)
        lines.put("")

    def _answer(self, said: str, seconds: float = HANG) -> Any:
        if said:
            self._process.stdin.write(said + "\n")
            self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        return json.loads(line) if line else None


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.end()


def test_there_are_two_hundred_and_each_has_a_name():
    names = [stranger.name for stranger in STRANGERS]
    assert len(names) == len(set(names)) >= 200


@pytest.mark.parametrize("stranger", STRANGERS, ids=str)
def test_a_strangers_image_is_read_right_or_refused_with_a_remedy(stranger: Stranger, worker, tmp_path):
    path = stranger.make(tmp_path)
    met = worker.meet(path, stranger.huge)
    assert "broke" not in met["api"], met["api"]["trace"]
    _check_api(stranger, path, met["api"])
    if met["cli"] is not None:
        _check_cli(stranger, path, met["cli"], "refused" in met["api"])
    assert not (tmp_path / CANARY).exists(), "code in it was executed"
    assert met["peak"] < 300 * 2**20, "it took more memory than it is worth"


def _check_api(stranger: Stranger, path: Path, met: dict[str, Any]) -> None:
    if "refused" in met:
        assert stranger.says is not None, met["refused"]
        _check_words(met["refused"], path, stranger.says)
        return
    assert stranger.says is None or stranger.either, f"was read: {met}"
    found = met["gave"]
    if "lazily" in found:
        assert stranger.denoising_says is not None or stranger.either, found
    elif stranger.pixels is not None:
        assert found["fingerprint"] == fingerprint(np.asarray(stranger.pixels())), found


def _check_cli(stranger: Stranger, path: Path, met: dict[str, Any], refused: bool) -> None:
    assert met["broke"] is None, met["broke"]
    assert "Traceback" not in met["err"]
    assert not [name for name in met["left"] if name.startswith(".")], "something was left half-written"
    if met["code"] == 0:
        assert stranger.denoising_says is None
        assert not refused
        assert met["out"].strip().endswith("result.npy")
        return
    assert met["code"] in (1, 2)
    assert met["left"] == []
    assert met["err"].startswith("error: ")
    assert met["err"].count("\n") == 1, f"more than a line: {met['err']}"
    says = stranger.says if refused else stranger.denoising_says
    assert says is not None or stranger.either, met["err"]
    _check_words(met["err"].removeprefix("error: "), path, says or "")


def _check_words(message: str, path: Path, says: str) -> None:
    assert message.startswith(str(path)) or len(str(path)) > 1000, message
    assert re.search(says, message), message
    assert len(message) < 1000 + len(str(path)), "nobody reads so much"
    assert re.search(r"[;:.] .+", message), "it has no remedy"
