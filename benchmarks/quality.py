"""PSNR on test images: Gaussian noise on photographs, real noise of microscopes.

Protocol: simulated noise is y = x + σ·default_rng(index).standard_normal, index in sorted order, neither clipped nor rounded, with a
peak of 255.  On FMD the 8-bit image is denoised as it is and clipped to [0, 255].  Figures are means over images of whole images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from skimage import io

from napari_ne_denoise.core.metrics import psnr

Denoise = Callable[[np.ndarray], np.ndarray]

SIGMAS = (5, 10, 15, 25, 50)


def gaussian(folder: Path, sigma: float, denoise: Denoise) -> float:
    """Mean PSNR in dB on the images of a folder with simulated Gaussian noise."""
    scores = []
    for index, path in enumerate(sorted(folder.glob("*.png"))):
        truth = io.imread(path).astype(np.float64)
        noisy = truth + sigma * np.random.default_rng(index).standard_normal(truth.shape)
        scores.append(psnr(denoise(noisy), truth, 255))
    return float(np.mean(scores))


def fluorescence(folder: Path, denoise: Denoise) -> dict[str, float]:
    """Mean PSNR in dB on FMD, by microscope and sample, and over all images."""
    scores: dict[str, list[float]] = {}
    for field, noisy, truth in _pairs(folder):
        scores.setdefault(field, []).append(psnr(np.clip(denoise(noisy), 0, 255), truth, 255))
    everything = [score for field in scores.values() for score in field]
    return {**{field: float(np.mean(values)) for field, values in scores.items()}, "all": float(np.mean(everything))}


def _pairs(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for path in sorted(folder.glob("noisy__*.png")):
        field = path.stem.removeprefix("noisy__").rsplit("_", 1)[0]
        yield field, io.imread(path), io.imread(folder / f"gt__{field}.png").astype(np.float64)


def report(data: Path, denoisers: dict[str, Denoise]) -> Iterator[str]:
    """Lines of Markdown: one table for Gaussian noise and one for FMD, a column for each denoiser."""
    names = list(denoisers)
    yield "| PSNR, dB | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for set_name in ("set12", "bsd68"):
        for sigma in SIGMAS:
            scores = [gaussian(data / "test" / set_name, sigma, denoisers[name]) for name in names]
            yield f"| {set_name}, σ = {sigma} | " + " | ".join(f"{score:.2f}" for score in scores) + " |"
    columns = [fluorescence(data / "test" / "fmd", denoisers[name]) for name in names]
    for field in columns[0]:
        yield f"| FMD, {field.replace('_', ' ')} | " + " | ".join(f"{column[field]:.2f}" for column in columns) + " |"
