"""Measurements that need a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]


def in_fresh_process(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``python -m MODULE ARGUMENTS``, with some variables added, and read the JSON that it prints last.

    Raises
    ------
    RuntimeError
        With what it wrote, if it failed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Contender:
    """A process that does one piece of work each time it is called; see `benchmarks.speed.contender`.

    Parameters
    ----------
    *arguments
        Of ``python -m benchmarks.speed.contender``.
    environment
        Variables to add.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.speed.contender", *arguments]
        variables = {**os.environ, **(environment or {})}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._wait_for("ready")

    def __call__(self) -> None:
        """Let it work once, and wait."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._wait_for("done")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def _wait_for(self, answer: str) -> None:
        assert self._process.stdout is not None
        found = self._process.stdout.readline().strip()
        if found != answer:
            raise RuntimeError(f"{' '.join(map(str, self._process.args))} answered {found!r}, not {answer!r}.")  # type: ignore[arg-type]
