"""Many files one after another: one that fails does not stop the others, and what is finished stays when the process is killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from napari_ne_denoise.core.batch.events import DONE, FAILED, SKIPPED, JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.file import FileDenoising
from napari_ne_denoise.core.batch.identity import way_of
from napari_ne_denoise.core.batch.jobs import Job, Share
from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.resume import BatchJournal, Earlier, settled
from napari_ne_denoise.core.batch.work_folder import clear_finished, clear_unfinished
from napari_ne_denoise.core.errors import FileError, NEDenoiseError
from napari_ne_denoise.core.inference import Denoiser
from napari_ne_denoise.core.settings import DenoiseSettings


def run_jobs(
    jobs: Sequence[Job],
    settings: DenoiseSettings,
    denoiser: Denoiser,
    series: int = 0,
    share: Share | None = None,
    *,
    with_std: bool = False,
) -> Iterator[JobBegun | JobAdvanced | JobEnded]:
    """Denoise files; can be stopped between any two pieces, and nothing is left half-written.

    What is finished is noted in a journal beside the results until all are there, so that the same jobs go on after the process was
    killed; of an OME-Zarr that is being made, its finished parts stay too.

    Parameters
    ----------
    jobs
        Which file becomes which.
    settings, denoiser
        How; the model of the settings does not count.
    series
        Which image of files that hold several.
    share
        Which parts of each OME-Zarr are made here.  None: all.
    with_std
        Whether error bars are written too, in a file beside each result.

    Yields
    ------
    JobBegun, JobAdvanced, JobEnded
        For every job one end, and before it, unless it is skipped, a beginning and what was reached.

    Raises
    ------
    SettingsError
        Before any work, if results of a run that was broken off were made in another way, and may not be replaced.
    """
    jobs = settled(jobs, lambda job: way_of(job.source, settings, denoiser, series, with_std=with_std))
    earlier, journal = Earlier(job.target for job in jobs), BatchJournal([job.target for job in jobs])
    ended: list[str] = []
    with journal.kept_while_incomplete():
        for number, job in enumerate(jobs):
            if job.skipped:
                ended.append(SKIPPED)
                clear_finished_of(job)
                yield JobEnded(number, named(job) | skipped(job))
                continue
            yield JobBegun(number, job)
            denoising = FileDenoising(job, settings, denoiser, series, share, with_std=with_std)
            try:
                if earlier.tried(job.target):
                    clear_leftovers_of(job)
                way = way_of(job.source, settings, denoiser, series, with_std=with_std)
                journal.begin(job, way)
                for step in denoising.steps():
                    yield JobAdvanced(number, step.done, step.total, denoising.phase)
                record = {"status": DONE} | denoising.record
                if record["status"] == DONE:
                    journal.finish(job.target, way)
            except Exception as error:  # a mistake of ours in one image must not cost the rest of a night's batch
                ended.append(FAILED)
                told = in_words_of_ours(error, job)
                yield JobEnded(number, named(job) | failed(told), told)
            else:
                ended.append(record["status"])
                yield JobEnded(number, named(job) | record)
        if set(ended) <= {DONE, SKIPPED}:
            journal.complete()


def clear_leftovers_of(job: Job) -> None:
    """Remove what a process that was killed left of a result, or of its error bars, under temporary names."""
    for target in (job.target, std_target(job.target)):
        clear_unfinished(target)


def clear_finished_of(job: Job) -> None:
    """Remove what is left of the making of a result, and of its error bars, of an earlier run that was broken off then."""
    if job.kept:
        for target in (job.target, std_target(job.target)):
            clear_finished(target)


def named(job: Job) -> dict[str, Any]:
    """Of which job something is told."""
    return {"input": str(job.source), "output": str(job.target)}


def skipped(job: Job) -> dict[str, Any]:
    """What is told of a job that is not done, since its result is there."""
    return {"status": SKIPPED} | ({"notes": ["kept: an earlier run, which left other work over, finished it"]} if job.kept else {})


def failed(error: Exception) -> dict[str, Any]:
    """What is told of a job that failed."""
    said = str(error) if isinstance(error, NEDenoiseError) else f"unexpected: {error!r}"
    return {"status": FAILED, "error": said, "error_type": type(error).__name__}


def in_words_of_ours(error: Exception, job: Job) -> Exception:
    """The error itself, or what the user can do about memory that ran out."""
    if not isinstance(error, MemoryError):
        return error
    return FileError(f"{job.source}: memory ran out; close other programs, or give it as OME-Zarr, which is read in pieces.")
