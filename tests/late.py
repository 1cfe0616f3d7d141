"""Threads that are late, as on a busy machine: ``pytest --late SEED``.

A thread may be suspended before any line, and for long.  Here it sleeps before some lines of this package, rather before those that are new
to it.  The remainder of the seed by three says which: 0, the threads at work; 1, that of the window while others are at work; 2, none, but
Python changes from one to another a thousand times as often.
"""

import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import napari_ne_denoise

PACKAGE = str(Path(napari_ne_denoise.__file__).parent)
SECONDS, WEIGHTS = (0.002, 0.03, 0.3), (6, 3, 1)
ONCE_IN = 50  # lines that are new to a thread
SHORT = 5e-6  # seconds, where Python has 5e-3


class _Dice(threading.local):
    """Of one thread."""

    def __init__(self) -> None:
        self.random, self.seen = random.Random(), Counter[Any]()


class Late:
    """A plugin of pytest that makes threads late."""

    def __init__(self, seed: int) -> None:
        self._seed, self._test, self._threads, self._dice = seed, "", 0, _Dice()

    def pytest_sessionstart(self) -> None:
        begin = threading.settrace, sys.settrace, lambda _: sys.setswitchinterval(SHORT)
        begin[self._seed % 3](self.trace)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._test, self._threads = nodeid, 0
        self._dice.seen.clear()

    def trace(self, frame: FrameType, *_: object) -> Any:
        return self._before_line if _is_ours(frame) else None

    def _before_line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            dice, line = self._dice, (frame.f_code, frame.f_lineno)
            if not dice.seen:
                self._threads += 1
                dice.random.seed(f"{self._seed} {self._test} {self._threads}")
            dice.seen[line] += 1
            if dice.random.random() * dice.seen[line] * ONCE_IN < 1 and (self._seed % 3 == 0 or _others_work()):
                time.sleep(dice.random.choices(SECONDS, WEIGHTS)[0])
        return self._before_line


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(PACKAGE)


def _others_work() -> bool:
    for thread, frame in sys._current_frames().items():
        within: FrameType | None = frame
        while thread != threading.get_ident() and within is not None:
            if _is_ours(within):
                return True
            within = within.f_back
    return False
