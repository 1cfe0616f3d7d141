"""Many files one after another: one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.file import FileDenoising
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.errors import FileError, NEDenoiseError
from napari_ne_denoise.core.inference import Denoiser
from napari_ne_denoise.core.settings import DenoiseSettings


def run_jobs(
    jobs: Sequence[Job], settings: DenoiseSettings, denoiser: Denoiser, series: int = 0, *, with_std: bool = False
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
    with_std
        Whether error bars are written too, in a file beside each result.

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
        denoising = FileDenoising(job, settings, denoiser, series, with_std=with_std)
        try:
            for step in denoising.steps():
                yield JobAdvanced(number, step.done, step.total)
        except NEDenoiseError as error:
            yield JobEnded(number, record | _failure(str(error), error), error)
        except MemoryError:
            full = FileError(f"{job.source}: memory ran out; close other programs, or give it as OME-Zarr, which is read in pieces.")
            yield JobEnded(number, record | _failure(str(full), full), full)
        except Exception as error:  # a mistake of ours in one image must not cost the rest of a night's batch
            yield JobEnded(number, record | _failure(f"unexpected: {error!r}", error), error)
        else:
            yield JobEnded(number, record | {"status": "done"} | denoising.record)


def _failure(said: str, error: Exception) -> dict[str, Any]:
    return {"status": "failed", "error": said, "error_type": type(error).__name__}
