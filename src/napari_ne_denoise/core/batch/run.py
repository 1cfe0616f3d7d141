"""Many files one after another: one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_ne_denoise.core.batch.file import FileDenoising
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.inference import Denoiser
from napari_ne_denoise.core.settings import DenoiseSettings


@dataclass(frozen=True)
class JobBegun:
    """A file is being read.

    Attributes
    ----------
    number
        Of the job, from 0.
    job
        Which file becomes which.
    """

    number: int
    job: Job


@dataclass(frozen=True)
class JobAdvanced:
    """So many pixels of so many are finished."""

    number: int
    done: int
    total: int


@dataclass(frozen=True)
class JobEnded:
    """What became of a file.

    Attributes
    ----------
    number
        Of the job, from 0.
    record
        "input", "output", "status" ("done", "skipped" or "failed"); of a finished one "seconds", "axes", "notes" and "provenance", of a
        failed one "error" and "error_type".  Plain values that JSON can hold.
    error
        Why it failed.  None: it did not.
    """

    number: int
    record: dict[str, Any] = field(repr=False)
    error: Exception | None = None


def run_jobs(
    jobs: Sequence[Job], settings: DenoiseSettings, denoiser: Denoiser, series: int = 0
) -> Iterator[JobBegun | JobAdvanced | JobEnded]:
    """Denoise files; can be stopped between any two pieces, and nothing is left half-written.

    Parameters
    ----------
    jobs
        Which file becomes which.
    settings, denoiser
        How; the model of the settings does not count.
    series
        Which image of files that hold several.

    Yields
    ------
    JobBegun, JobAdvanced, JobEnded
        For every job one end, and before it, unless it is skipped, a beginning and what was reached.
    """
    for number, job in enumerate(jobs):
        record: dict[str, Any] = {"input": str(job.source), "output": str(job.target)}
        if job.skipped:
            yield JobEnded(number, record | {"status": "skipped"})
            continue
        yield JobBegun(number, job)
        denoising = FileDenoising(job, settings, denoiser, series)
        try:
            for step in denoising.steps():
                yield JobAdvanced(number, step.done, step.total)
        except NEDenoiseError as error:
            yield JobEnded(number, record | _failure(str(error), error), error)
        except Exception as error:  # a mistake of ours in one image must not cost the rest of a night's batch
            yield JobEnded(number, record | _failure(f"unexpected: {error!r}", error), error)
        else:
            yield JobEnded(number, record | {"status": "done"} | denoising.record)


def _failure(said: str, error: Exception) -> dict[str, Any]:
    return {"status": "failed", "error": said, "error_type": type(error).__name__}
