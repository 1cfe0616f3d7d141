"""Files and large results, made by the workers of dask.distributed: a task a file, or a task a part."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_ne_denoise.core.batch.error_bars import check_error_bars
from napari_ne_denoise.core.batch.events import DONE, FAILED, SKIPPED, JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.file import OpenedFile, begin_parts, left, told_of_both, told_of_kept, told_of_parts
from napari_ne_denoise.core.batch.identity import way_of
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.batch.on_workers import Work, decide, make_file, make_part
from napari_ne_denoise.core.batch.products import ErrorBars, Product, Result
from napari_ne_denoise.core.batch.resume import BatchJournal, settled
from napari_ne_denoise.core.batch.run import clear_finished_of, clear_leftovers_of, failed, named, skipped
from napari_ne_denoise.core.batch.unfinished import Unfinished
from napari_ne_denoise.core.batch.work_folder import clear_finished
from napari_ne_denoise.core.errors import ComputationError, SettingsError
from napari_ne_denoise.core.inference import Denoiser
from napari_ne_denoise.core.io import is_zarr
from napari_ne_denoise.core.io.pyramid import DoAll, Found, Piece
from napari_ne_denoise.core.run import Decided
from napari_ne_denoise.core.settings import DenoiseSettings

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 20  # seconds until a scheduler must have answered


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of a scheduler, by its address (``tcp://…``) or the file that it wrote (``….json``).

    Raises
    ------
    SettingsError
        If dask.distributed is not installed, or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingsError('a cluster needs dask.distributed; install it with: pip install "napari-ne-denoise[cluster]".') from error
    place = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
    try:
        client = Client(**place, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"scheduler {scheduler}: does not answer ({error}); give the address that `dask scheduler` prints, such as "
            "tcp://10.0.0.1:8786, or the file that it wrote."
        ) from error
    with client:
        yield client


def run_jobs_on(
    client: Client, jobs: Sequence[Job], settings: DenoiseSettings, denoiser: Denoiser, series: int = 0, *, with_std: bool = False
) -> Iterator[JobBegun | JobAdvanced | JobEnded]:
    """Denoise files on a cluster, whose workers see them under the same paths; the rest is as in `run_jobs`.

    An OME-Zarr is made part by part by all workers, any other file by one.  The result does not depend on how many workers there are,
    nor on which of them die.  What is not wanted any more is cancelled.

    Parameters
    ----------
    client
        Of the cluster.
    jobs, settings, denoiser, series, with_std
        As in `run_jobs`; the model is opened again by each worker, by its name or path.

    Yields
    ------
    JobBegun, JobAdvanced, JobEnded
        Of several jobs in turns.

    Raises
    ------
    SettingsError
        Before any work, if results of a run that was broken off were made in another way, and may not be replaced.
    """
    settings = replace(settings, model=_for_workers(denoiser))
    ways = {job.target: way_of(job.source, settings, denoiser, series, with_std=with_std) for job in jobs}
    jobs = settled(jobs, lambda job: ways[job.target])
    journal = BatchJournal([job.target for job in jobs])
    with ExitStack() as stack, journal.kept_while_incomplete():
        running = _Running(client, denoiser, stack)
        for number, job in enumerate(jobs):
            if job.skipped:
                running.ended.append(SKIPPED)
                clear_finished_of(job)
                yield JobEnded(number, named(job) | skipped(job))
                continue
            yield JobBegun(number, job)
            work = Work(_by_whole_paths(job), settings, series, with_std, denoiser.sha256)
            try:
                journal.begin(job, ways[job.target])
                running.begin(number, job, work)
            except Exception as error:  # one file must not cost the others
                yield running.fail(number, job, error)
        for event in running.events():
            if isinstance(event, JobEnded) and event.record["status"] == DONE:
                journal.finish(jobs[event.number].target, ways[jobs[event.number].target])
            yield event
        if set(running.ended) <= {DONE, SKIPPED}:
            journal.complete()


@dataclass
class _Task:
    """A job whose pieces are with the workers."""

    number: int
    job: Job
    work: Work
    opened: OpenedFile | None = None
    decided: Decided | None = None
    result: Unfinished | None = None
    alone: ExitStack = field(default_factory=ExitStack)  # keeps others from the result
    earlier: Collection[int] = ()
    told: dict[str, Any] | None = None  # of the result, where its error bars are made
    waiting: set[Future[Any]] = field(default_factory=set)
    done: int = 0
    total: int = 1
    began: float = field(default_factory=time.perf_counter)

    @property
    def phase(self) -> str:
        """What is being made, if not the result."""
        return "" if self.result is None else self.result.product.phase


class _Running:
    """All jobs that are with the workers of a cluster."""

    def __init__(self, client: Client, denoiser: Denoiser, stack: ExitStack) -> None:
        from distributed import as_completed

        self._client, self._denoiser, self._stack = client, denoiser, stack
        self._coming = as_completed(loop=client.loop)
        self._tasks: dict[Future[Any], _Task] = {}
        self._ready: list[_Task] = []  # nothing is left to be computed
        self.ended: list[str] = []
        stack.callback(self._cancel_all)

    def begin(self, number: int, job: Job, work: Work) -> None:
        """Hand a job to the workers."""
        task = _Task(number, job, work)
        if is_zarr(job.target):
            self._open(task)
        else:
            # whether it may be replaced was looked at: a second try must not stumble over the first
            self._submit(task, make_file, [replace(work, job=replace(work.job, overwrite=True))])

    def _open(self, task: _Task) -> None:
        work = task.work
        task.opened = OpenedFile.of(work.job, work.settings, self._denoiser, work.series)
        if work.with_std:
            check_error_bars(task.opened.run, work.job)
            task.told = told_of_kept(work.job, task.opened)
        task.decided = self._client.submit(decide, work, pure=False).result()
        self._begin_parts(task, Result(task.opened.run) if task.told is None else ErrorBars(task.opened.run))

    def _begin_parts(self, task: _Task, product: Product) -> None:
        work = task.work
        assert task.opened is not None
        result = begin_parts(work.job, task.opened, product, work.settings, self._denoiser, work.series, alone=True, decided=task.decided)
        task.alone = self._stack.enter_context(ExitStack())
        task.alone.enter_context(result.alone())
        task.result, task.earlier = result, result.done()
        numbers = left(range(len(result.parts)), task.earlier)
        task.done, task.total = 0, sum(result.parts[number].pixels for number in numbers)
        self._submit(task, partial(make_part, work, type(product)), numbers)

    def _submit(self, task: _Task, function: Callable[[Any], Any], things: Sequence[Any]) -> None:
        futures = self._client.map(function, things, pure=False, key=f"denoise-{uuid4().hex}")
        task.waiting = set(futures)
        self._tasks |= dict.fromkeys(futures, task)
        for future in futures:
            self._coming.add(future)
        if not futures:
            self._ready.append(task)

    def events(self) -> Iterator[JobAdvanced | JobEnded]:
        """What becomes of all jobs that were begun."""
        yield from self._go_on_with_ready()
        for future in self._coming:
            if future not in self._tasks:  # of a job that failed
                continue
            task = self._tasks.pop(future)
            task.waiting.discard(future)
            try:
                found = future.result()
                if task.result is not None:
                    task.result.add(found)
                    task.done += task.result.parts[found["part"]].pixels
                future.release()
            except (Exception, CancelledError) as error:  # whatever happened to the worker, or the scheduler
                yield self.fail(task.number, task.job, _in_words(error), task)
                continue
            yield JobAdvanced(task.number, task.done if task.result else 1, task.total, task.phase)
            if not task.waiting:
                yield from self._go_on(task, found)
                yield from self._go_on_with_ready()

    def _go_on_with_ready(self) -> Iterator[JobAdvanced | JobEnded]:
        while self._ready:
            yield from self._go_on(self._ready.pop(), {})

    def _go_on(self, task: _Task, record: dict[str, Any]) -> Iterator[JobAdvanced | JobEnded]:
        """End a job of which all pieces are made, or begin its error bars."""
        try:
            if task.result is not None and task.opened is not None:
                told = self._finish(task.result, task)
                if task.work.with_std and task.told is None:
                    task.told = told
                    self._begin_parts(task, ErrorBars(task.opened.run))
                    yield JobAdvanced(task.number, 0, task.total, task.phase)
                    return
                record = told if task.told is None else told_of_both(task.told, told, task.job, task.opened)
                record = {"seconds": round(time.perf_counter() - task.began, 3)} | record
        except Exception as error:
            yield self.fail(task.number, task.job, _in_words(error), task)
            return
        clear_leftovers_of(task.job)  # of workers that died
        record = {"status": DONE} | record
        self.ended.append(record["status"])
        yield JobEnded(task.number, named(task.job) | record)

    def _finish(self, result: Unfinished, task: _Task) -> dict[str, Any]:
        """Complete what was made in parts; gives what can be said of it."""
        assert task.opened is not None
        job = result.product.job(task.job)
        told = told_of_parts(result, task.opened, job, task.earlier, self._do_all)
        task.alone.close()  # Windows keeps a folder with a lock in it that is open
        clear_finished(job.target)
        return told

    def fail(self, number: int, job: Job, error: Exception, task: _Task | None = None) -> JobEnded:
        """Give a job up."""
        self.ended.append(FAILED)
        if task is not None:
            self._client.cancel(list(task.waiting), force=True)
            self._tasks = {future: other for future, other in self._tasks.items() if other is not task}
            task.alone.close()
            if task.result is not None:
                task.result.leave(error)
            clear_leftovers_of(job)
        return JobEnded(number, named(job) | failed(error), error)

    @property
    def _do_all(self) -> DoAll:
        def do_all(function: Callable[[Piece], Found], pieces: Sequence[Piece]) -> list[Found]:
            futures = self._client.map(function, pieces, pure=False, key=f"smaller-{uuid4().hex}")
            try:
                found: list[Found] = self._client.gather(futures)
            finally:
                self._client.cancel(futures, force=True)
            return found

        return do_all

    def _cancel_all(self) -> None:
        self._client.cancel(list(self._tasks), force=True)


def _by_whole_paths(job: Job) -> Job:
    return replace(job, source=job.source.absolute(), target=job.target.absolute())


def _for_workers(denoiser: Denoiser) -> str:
    path = Path(denoiser.origin)
    return str(path.absolute()) if path.is_file() else denoiser.origin


def _in_words(error: BaseException) -> Exception:
    """The error itself, or what the user can do about workers that die."""
    if not isinstance(error, Exception):
        return ComputationError("the scheduler does not know of it any more; see whether it is running, and run this again to go on.")
    if type(error).__name__ != "KilledWorker":
        return error
    return ComputationError(
        f"the workers that computed it died, several times ({error}); look at their logs: give them more memory, or a smaller tile size."
    )
