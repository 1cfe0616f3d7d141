"""What the thread of the batch dock does, and how its findings are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.batch.events import DONE, SKIPPED, JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.jobs import DENOISED, Job
from napari_ne_denoise.core.batch.names import STD
from napari_ne_denoise.core.errors import FileError, NEDenoiseError, reason_of
from napari_ne_denoise.core.io import READABLE, is_zarr, stem
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.gui.base.remedies import in_window

if TYPE_CHECKING:
    from napari_ne_denoise.core.inference import Denoiser

UNKNOWN = "–"  # of a quality that cannot be told

_KINDS = {"none": "none", "gaussian": "the same everywhere", "poisson-gaussian": "grows with brightness"}


@dataclass(frozen=True)
class NoiseFound:
    """The noise of a file that was denoised: its strength, and in words what it is; empty where it cannot be told."""

    number: int
    strength: str
    words: str


@dataclass(frozen=True)
class QualityFound:
    """How good the result of a file is estimated to be, shortly and in a sentence; or only why that cannot be told."""

    number: int
    shortly: str
    words: str


@dataclass(frozen=True)
class Looking:
    """The result of a file is there, and being looked at."""

    number: int


@dataclass(frozen=True)
class AllEnded:
    """All that can be done of the files is done, and what was noted meanwhile to go on after an accident is cleared away."""


Told = JobBegun | JobAdvanced | JobEnded | NoiseFound | QualityFound | Looking | AllEnded


def denoise_files(jobs: Sequence[Job], wishes: dict[str, Any], with_quality: bool) -> Iterator[Told]:
    """The work of a thread: denoise file by file, and tell of each what noise it had.

    Parameters
    ----------
    jobs
        Which file becomes which.
    wishes
        What was chosen of the settings of `denoise`.
    with_quality
        Whether the quality of each result is estimated too.
    """
    from napari_ne_denoise.core.batch.run import run_jobs
    from napari_ne_denoise.core.inference import load_denoiser
    from napari_ne_denoise.core.settings import DenoiseSettings

    # pixels that are no numbers come back as they are, as from the dock of single layers
    settings = DenoiseSettings(**wishes, nonfinite="keep")
    denoiser = load_denoiser(settings.model_name)
    for event in run_jobs(jobs, settings, denoiser):
        if isinstance(event, JobEnded) and event.record["status"] == DONE:
            yield Looking(event.number)
            yield NoiseFound(event.number, *_noise_of(jobs[event.number].source, event.record["axes"]))
            if with_quality:
                yield QualityFound(event.number, *_quality_of(jobs[event.number], event.record, denoiser))
        elif with_quality and isinstance(event, JobEnded) and event.record["status"] == SKIPPED and jobs[event.number].kept:
            # of an earlier run that left files over, and made it in the same way
            yield QualityFound(event.number, *_quality_of(jobs[event.number], None, denoiser))
        yield event
    yield AllEnded()


def _quality_of(job: Job, record: dict[str, Any] | None, denoiser: "Denoiser") -> tuple[str, str]:
    """Of the first channel: estimated PSNR, and what else is to be said; without a record the result itself tells how it was made."""
    from napari_ne_denoise.core.io import find_provenance, read_image
    from napari_ne_denoise.core.noise.sampling import channel_axes_of
    from napari_ne_denoise.core.quality.assessment import quality_without_truth, settings_of

    try:
        image, result = read_image(job.source), read_image(job.target)
        axes, provenance = (result.axes, find_provenance(job.target)) if record is None else (record["axes"], record["provenance"])
        settings = settings_of(provenance) | {"model": denoiser, "axes": axes, "channel_axis": None}
        channels = channel_axes_of(axes, None, tuple(image.pixels.shape))
        quality = quality_without_truth(image.pixels, result.pixels, channel=0 if channels else None, **settings)
    except NEDenoiseError as error:  # the result is there all the same
        return UNKNOWN, in_window(error)
    structure = " !" if quality.structured else ""
    return f"{UNKNOWN if quality.psnr is None else f'{quality.psnr:.0f} dB'}{structure}", f"{quality.describe()}."


def _noise_of(path: Path, axes: str) -> tuple[str, str]:
    """Of the first channel: strength, and what it is."""
    from napari_ne_denoise.core.io import read_image
    from napari_ne_denoise.core.noise.estimation import estimate_noise
    from napari_ne_denoise.core.noise.sampling import channel_axes_of

    try:
        image = read_image(path)
        channels = channel_axes_of(axes, None, tuple(image.pixels.shape))
        return describe_noise(estimate_noise(image.pixels, axes, channel=0 if channels else None, nonfinite="keep"))
    except NEDenoiseError:  # the result is there all the same
        return "", ""


def describe_noise(noise: NoiseModel) -> tuple[str, str]:
    """Strength in the middle of the curve, and what it is, such as "±12" and "±12 at a brightness of 80; grows with brightness"."""
    if not noise.curve:
        return "", ""
    middle = noise.curve[len(noise.curve) // 2].level
    strength = f"±{float(noise.std(middle)):.3g}"
    shared = "; neighbours share it" if noise.is_correlated else ""
    return strength, f"{strength} at a brightness of {middle:.3g}; {_KINDS[noise.kind]}{shared}"


def image_files(folder: Path) -> list[Path]:
    """What can be read in a folder, in sorted order; results of earlier batches, and their error bars, left out.

    Raises
    ------
    FileError
        If the folder cannot be looked into.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise FileError(f"{folder}: cannot be read ({reason_of(error)}); give a folder that you may look into.") from error
    return [path for path in inside if _is_image(path) and not stem(path).endswith((DENOISED, DENOISED + STD))]


def _is_image(path: Path) -> bool:
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in READABLE and not path.name.startswith(".")
