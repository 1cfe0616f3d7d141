"""What the thread of the batch dock does, and how its findings are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.io import READABLE, is_zarr
from napari_ne_denoise.core.noise.model import NoiseModel

_KINDS = {"none": "none", "gaussian": "the same everywhere", "poisson-gaussian": "grows with brightness"}


@dataclass(frozen=True)
class NoiseFound:
    """The noise of a file that was denoised: its strength, and in words what it is; empty where it cannot be told."""

    number: int
    strength: str
    words: str


def denoise_files(jobs: Sequence[Job], model: str, device: str) -> Iterator[JobBegun | JobAdvanced | JobEnded | NoiseFound]:
    """The work of a thread: denoise file by file, and tell of each what noise it had."""
    from napari_ne_denoise.core.batch.run import run_jobs
    from napari_ne_denoise.core.inference import load_denoiser
    from napari_ne_denoise.core.settings import DenoiseSettings

    # pixels that are no numbers come back as they are, as from the dock of single layers
    settings = DenoiseSettings(model=model, device=device, nonfinite="keep")
    for event in run_jobs(jobs, settings, load_denoiser(model)):
        if isinstance(event, JobEnded) and event.record["status"] == "done":
            yield NoiseFound(event.number, *_noise_of(jobs[event.number].source, event.record["axes"]))
        yield event


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
    """What can be read in a folder, in sorted order; results of earlier batches left out."""
    return sorted(path for path in folder.iterdir() if _is_image(path) and "_denoised." not in path.name)


def _is_image(path: Path) -> bool:
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in READABLE and not path.name.startswith(".")
