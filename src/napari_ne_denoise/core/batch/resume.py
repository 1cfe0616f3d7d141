"""Going on with a batch that was broken off: which of its results are there, and whether they were made as is asked for now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.batch.identity import differences, file_identity
from napari_ne_denoise.core.batch.journal import Journal, journals_in, read_journals
from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.work_folder import way_of_finished
from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.io import find_provenance
from napari_ne_denoise.core.provenance import said_of_result

if TYPE_CHECKING:
    from napari_ne_denoise.core.batch.jobs import Job

NAME = "batch"
MOST_SECONDS = 1e12  # since 1970; beyond, it is no time


class Earlier:
    """What earlier runs that were broken off did in the folders of some results.

    Parameters
    ----------
    targets
        The results.
    """

    def __init__(self, targets: Iterable[Path]) -> None:
        self._lines: dict[Path, dict[str, Any]] = {}
        for folder in {target.parent for target in targets}:
            lines = [line for line in read_journals(journals_in(folder, NAME)) if isinstance(line.get("output"), str)]
            # the last one counts, whichever process wrote it
            self._lines |= {folder / line["output"]: line for line in sorted(lines, key=_time_of)}

    def tried(self, target: Path) -> bool:
        """Whether a run was broken off that was to make a result."""
        return target in self._lines

    def way_of(self, target: Path) -> dict[str, Any] | None:
        """How a result that is there was made; None: there is none, or no run that was broken off made it.

        A run notes what it will give a name to before it does, and what had that name: if something else has it now that tells of being a
        result, that is the result.
        """
        line, there = self._lines.get(target), file_identity(target)
        if there is None:
            return None
        if line is None or there == line.get("before"):
            return way_of_finished(target)
        foreign = line["made"] != there if "made" in line else not _is_result(target)
        return None if foreign or self.is_half_done(target) else line.get("way")

    def way_begun(self, target: Path) -> dict[str, Any]:
        """How a result was to be made, whether it was finished or not; empty if nobody began it."""
        way = self._lines.get(target, {}).get("way")
        return way if isinstance(way, dict) else {}

    def is_half_done(self, target: Path) -> bool:
        """Whether a run was broken off between a result and its error bars: the result is ours, but they are not there."""
        line, with_bars = self._lines.get(target, {}), self.way_begun(target).get("error bars")
        if not with_bars or "made" in line or file_identity(target) in (None, line.get("before")):
            return False
        return file_identity(std_target(target)) in (None, line.get("bars before")) and _is_result(target)

    def before(self, job: Job, *, with_bars: bool) -> dict[str, Any]:
        """What had the names of a result, and of its error bars, before a job that begins now, or the one that it goes on with."""
        names = ("before", "bars before") if with_bars else ("before",)
        if job.lacks_std:  # what has the name of the result now is ours
            line = self._lines.get(job.target, {})
            return {name: line.get(name) for name in names}
        return dict(zip(names, map(file_identity, (job.target, std_target(job.target))), strict=False))


def _is_result(target: Path) -> bool:
    """Whether a file tells that it is a result of this program."""
    return said_of_result(find_provenance(target)) is not None


def _time_of(line: Mapping[str, Any]) -> float:
    time = line.get("time")
    return float(time) if isinstance(time, int | float) and abs(time) < MOST_SECONDS else 0.0


class BatchJournal:
    """The journals of this process beside the results of a batch, one in each folder; gone when the batch is complete.

    Parameters
    ----------
    targets
        All results of the batch.
    """

    def __init__(self, targets: Sequence[Path]) -> None:
        self._targets, self._earlier = set(targets), Earlier(targets)
        self._journals = {folder: Journal(folder, NAME) for folder in {target.parent for target in targets}}
        self._finished = self._complete = False

    @contextmanager
    def kept_while_incomplete(self) -> Iterator[None]:
        """Remove journals that nobody will need: those of batches that are complete, or of which nothing is there."""
        try:
            yield
        finally:
            if self._complete:
                self._remove_covered()
            elif not self._finished and not self._lacks_error_bars():
                for journal in self._journals.values():
                    journal.path.unlink(missing_ok=True)

    def _lacks_error_bars(self) -> bool:
        earlier = Earlier(self._targets)
        return any(earlier.is_half_done(target) for target in self._targets)

    def complete(self) -> None:
        """Say that all results are there."""
        self._complete = True

    def begin(self, job: Job, way: Mapping[str, Any]) -> None:
        """Note that a result is going to be made.

        Raises
        ------
        FileError
            If that cannot be written.
        """
        before = self._earlier.before(job, with_bars=bool(way.get("error bars")))
        self._journals[job.target.parent].add({"time": time.time(), "output": job.target.name, **before, "way": way})

    def finish(self, target: Path, way: Mapping[str, Any]) -> None:
        """Note that a result is there."""
        self._finished = True
        with suppress(FileError):  # it was begun, and has its name: that is enough
            self._journals[target.parent].add({"time": time.time(), "output": target.name, "made": file_identity(target), "way": way})

    def _remove_covered(self) -> None:
        """Journals of this process, and of others that were broken off, whose results are all of this batch."""
        for folder, journal in self._journals.items():
            others = {path: list(read_journals([path])) for path in journals_in(folder, NAME) if path != journal.path}
            covered = {
                path: lines
                for path, lines in others.items()  # one without lines is of a process that begins just now
                if lines and {folder / str(line.get("output")) for line in lines} <= self._targets
            }
            if covered:  # whoever is killed now leaves one that holds all
                with suppress(FileError):
                    journal.add(*(line for lines in covered.values() for line in lines))
            for path in (*covered, journal.path):
                path.unlink(missing_ok=True)


def settled(jobs: Sequence[Job], way_now: Callable[[Job], Mapping[str, Any]]) -> list[Job]:
    """The jobs, of which those are to be done again that an earlier run did in another way, if results may be replaced.

    Parameters
    ----------
    jobs
        As they were planned.
    way_now
        All that a result would depend on if it was made now.

    Raises
    ------
    SettingsError
        If one was made in another way, and may not be replaced.
    """
    earlier = Earlier(job.target for job in jobs)

    def settle(job: Job) -> Job:
        if job.skipped:
            return _settled(job, earlier.way_of(job.target), way_now)
        if job.lacks_std and differences(earlier.way_begun(job.target), way_now(job)):
            return replace(job, lacks_std=False)
        return job

    return [settle(job) for job in jobs]


def _settled(job: Job, before: Mapping[str, Any] | None, way_now: Callable[[Job], Mapping[str, Any]]) -> Job:
    different = "" if before is None else differences(before, way_now(job))
    if not different:
        return job
    if job.overwrite:
        return replace(job, skipped=False, kept=False)
    raise SettingsError(
        f"{job.target}: is of a batch that was broken off, and that was made in another way: {different}. Do as then, to go on with it; "
        "let results that exist be replaced; or choose another folder."
    )
