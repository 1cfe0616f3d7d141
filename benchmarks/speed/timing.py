"""Times that can be compared: contenders take turns, and ratios are taken turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def interleaved(contenders: Mapping[Name, Callable[[], object]], runs: int, *, warm_up: bool = True) -> dict[Name, list[float]]:
    """Seconds of each contender in each run; they take turns: A B C, A B C.

    Whatever slows the machine down for a while so meets all of them.

    Parameters
    ----------
    contenders
        What to call, by name.
    runs
        How often.
    warm_up
        Whether each is called once before, untimed.
    """
    if warm_up:
        for call in contenders.values():
            call()
    times: dict[Name, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, call in contenders.items():
            times[name].append(seconds(call))
    return times


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def median_ratio(times: Mapping[Name, list[float]], slow: Name, fast: Name) -> float:
    """Median over the runs of the time of one contender over that of another in the same run."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))
