"""The machine that is measured on: what it is, and whether it has nothing else to do."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

QUIET = 0.5  # processes that want to run, averaged over the last minute
PATIENCE = 120.0  # s to wait for that: what was run just before is still in the average
POLL = 5.0  # s


class BusyMachineError(Exception):
    """Times taken now would mean nothing."""


@dataclass(frozen=True)
class Machine:
    """Where a measurement was made.

    Attributes
    ----------
    cpu, cores, threads, torch
        Name of the processor, logical cores, threads that torch uses, version of torch.
    load
        1-minute load average when the command began.  None where no times were taken.
    others
        Cores that others (programs, other guests of the host) kept busy while it was measured.  None where the system does not tell.
    """

    cpu: str
    cores: int
    threads: int
    torch: str
    load: float | None = None
    others: float | None = None

    @property
    def name(self) -> str:
        """The hardware, and what computes on it."""
        return f"{self.cpu}, {self.cores} logical cores, torch {self.torch} with {self.threads} threads"

    @property
    def conditions(self) -> str:
        """How quiet it was; nothing where no times were taken."""
        if self.load is None:
            return ""
        others = "" if self.others is None else f", others used {self.others:.2f} cores meanwhile"
        busy = "" if self.load < QUIET else ". **The machine was busy: these times are not to be quoted**"
        return f"; load {self.load:.2f} at the start{others}{busy}"


def describe(load: float) -> Machine:
    """This machine, under a load that was measured before."""
    return Machine(_cpu_name(), os.cpu_count() or 1, torch.get_num_threads(), torch.__version__, load)


def quiet_load(allow_load: bool = False) -> float:
    """Wait until the machine is quiet, and give its load average.

    Parameters
    ----------
    allow_load
        Whether to go on at once under any load.

    Raises
    ------
    BusyMachineError
        If it is still busy after `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    waiting = False
    while (load := os.getloadavg()[0]) >= QUIET and not allow_load:
        if time.monotonic() >= deadline:
            raise BusyMachineError(
                f"load average {load:.2f}: times are taken below {QUIET} only; end what else is running, or use --allow-load, "
                "and the tables will say that the machine was busy."
            )
        if not waiting:
            print(f"load average {load:.2f}: waiting up to {PATIENCE:.0f} s for it to fall below {QUIET}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL)
    return load


class OthersWatch:
    """How many cores others keep busy from now on.

    Our own work raises the load average, so after the first part of a suite it no longer tells whether we are alone; this does.
    """

    def __init__(self) -> None:
        self._began, self._others = time.monotonic(), _seconds_of_others()

    def cores(self) -> float | None:
        """Mean number of cores since the watch was made; None where the system does not tell."""
        now = _seconds_of_others()
        if now is None or self._others is None:
            return None
        return max(0.0, (now - self._others) / max(time.monotonic() - self._began, 1e-3))


def _seconds_of_others() -> float | None:
    """CPU time that neither this process nor its finished children took, time stolen by the host included."""
    try:
        counted = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(ticks) for ticks in counted[:8])
    own = sum(os.times()[:4])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - own


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
