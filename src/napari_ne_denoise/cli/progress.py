"""How far a batch is, in one line: file by file, or of all files at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_ne_denoise.cli.console import ProgressLine

if TYPE_CHECKING:
    from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
    from napari_ne_denoise.core.batch.jobs import Job


class Lines:
    """A line for each file, one after another.

    Parameters
    ----------
    jobs
        All of them.
    quiet
        Say nothing.
    """

    def __init__(self, jobs: Sequence[Job], *, quiet: bool) -> None:
        self._jobs, self._quiet = jobs, quiet
        self._line, self._phase = ProgressLine("", quiet=quiet), ""

    def show(self, event: JobBegun | JobAdvanced | JobEnded) -> None:
        """Show what an event tells."""
        from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun

        if isinstance(event, JobBegun):
            self._begin(event.number, "")
        elif isinstance(event, JobAdvanced):
            if event.phase != self._phase:
                self._begin(event.number, event.phase)
            self._line.show(event.done, event.total)
        else:
            self._line.clear()

    def _begin(self, number: int, phase: str) -> None:
        self._line.clear()
        self._phase = phase
        self._line = ProgressLine(self._label(number) + (phase and f", {phase}"), quiet=self._quiet)

    def _label(self, number: int) -> str:
        from napari_ne_denoise.core.io import place_in_home

        name = place_in_home(self._jobs[number].source)
        return f"[{number + 1}/{len(self._jobs)}] {name}" if len(self._jobs) > 1 else name


class LineOfAll(Lines):
    """A line for all files, which are worked on at the same time.

    Parameters
    ----------
    jobs, quiet
        As in `Lines`.
    with_std
        Whether what is shown of a file is its result, and then its error bars; each counts for half of it.
    """

    def __init__(self, jobs: Sequence[Job], *, quiet: bool, with_std: bool = False) -> None:
        super().__init__(jobs, quiet=quiet)
        self._shares: dict[int, float] = {}
        self._phases = 2 if with_std else 1
        if len(jobs) > 1:
            self._line = ProgressLine(f"{len(jobs)} files", "files", 1, quiet=quiet)

    def show(self, event: JobBegun | JobAdvanced | JobEnded) -> None:
        """Show what an event tells; files of which nothing is left to do do not count."""
        from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded

        if len(self._jobs) <= 1:
            return super().show(event)
        if isinstance(event, JobEnded):
            self._line.clear()
        if isinstance(event, JobBegun):
            self._shares[event.number] = 0.0
        elif event.number in self._shares:
            self._shares[event.number] = self._share(event) if isinstance(event, JobAdvanced) else 1.0
            self._line.show(sum(self._shares.values()), len(self._shares))

    def _share(self, event: JobAdvanced) -> float:
        """How much of its file is done."""
        of_phase = event.done / event.total if event.total else 1.0  # of parts that are all there
        return ((self._phases - 1 if event.phase else 0) + of_phase) / self._phases
