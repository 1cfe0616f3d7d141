"""PSNR on test images: Gaussian noise on photographs, real noise of microscopes.

Protocol: simulated noise is y = x + σ·default_rng(index).standard_normal, index in sorted order, neither clipped nor rounded, with a
peak of 255.  On FMD the 8-bit image is denoised as it is and clipped to [0, 255].  Figures are means over images of whole images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.images import Sample, fluorescence_samples, gaussian_samples
from benchmarks.options import Options
from benchmarks.report import Report, Table
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.metrics import psnr

Denoise = Callable[[np.ndarray], np.ndarray]

SIGMAS = (5, 10, 15, 25, 50)


def gaussian(folder: Path, sigma: float, denoise: Denoise) -> float:
    """Mean PSNR in dB on the images of a folder with simulated Gaussian noise."""
    return float(np.mean([score(sample, denoise) for sample in gaussian_samples(folder, sigma)]))


def fluorescence(folder: Path, denoise: Denoise) -> dict[str, float]:
    """Mean PSNR in dB on FMD, by microscope and sample, and over all images."""
    scores: dict[str, list[float]] = {}
    for sample in fluorescence_samples(folder):
        scores.setdefault(sample.name, []).append(score(sample, denoise))
    everything = [value for field in scores.values() for value in field]
    return {**{field: float(np.mean(values)) for field, values in scores.items()}, "all": float(np.mean(everything))}


def score(sample: Sample, denoise: Denoise) -> float:
    """PSNR in dB of one image."""
    return psnr(sample.restored(denoise(sample.noisy)), sample.truth, 255)


def quality(options: Options) -> Report:
    """Scores of models, beside those of the noisy images."""
    denoisers: dict[str, Denoise] = {"noisy": np.asarray, **{Path(model).stem: load_denoiser(model) for model in options.models}}
    table = Table(["PSNR, dB", *denoisers], list(rows(options.data / "test", denoisers)))
    return Report("Quality", [table], notes=["Mean PSNR over whole images, blind, plain call."])


def rows(folder: Path, denoisers: dict[str, Denoise]) -> Iterator[list[str]]:
    """A row for each kind of image and noise, a column for each denoiser."""
    for set_name in ("set12", "bsd68"):
        for sigma in SIGMAS:
            scores = [gaussian(folder / set_name, sigma, denoise) for denoise in denoisers.values()]
            yield [f"{set_name}, σ = {sigma}", *(f"{value:.2f}" for value in scores)]
    columns = [fluorescence(folder / "fmd", denoise) for denoise in denoisers.values()]
    for field in columns[0]:
        yield [f"FMD, {field.replace('_', ' ')}", *(f"{column[field]:.2f}" for column in columns)]
