"""What self-calibration learns, what denoising behind it reaches, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from benchmarks.noise.suite import validation_images
from benchmarks.options import Options
from benchmarks.ours import denoised
from benchmarks.report import Report, Table, Target, number
from benchmarks.study.command import RUNS
from benchmarks.study.networks import open_variant
from napari_ne_denoise import Denoiser, calibrate_noise, load_denoiser
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.models.card import ModelCard

BLIND, GAUSSIAN_ONLY = "fast", "sigma25-norm-equiv"
EVERY = 4  # of the validation images
SIDE, LIMIT = 512, 20.0  # pixels, seconds


@dataclass(frozen=True)
class Kind:
    """Noise: how it is added to a clean image from 0 to 1, and its standard deviation at a brightness."""

    add: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    std: Callable[[np.ndarray], np.ndarray]


KINDS = {
    "3 photons": Kind(lambda x, rng: rng.poisson(3 * (x + 0.02)) / 3 - 0.02, lambda x: np.sqrt((x + 0.02) / 3)),
    "30 photons": Kind(lambda x, rng: rng.poisson(30 * (x + 0.02)) / 30 - 0.02, lambda x: np.sqrt((x + 0.02) / 30)),
    "speckle of 8 looks": Kind(lambda x, rng: (x + 0.05) * rng.gamma(8, 1 / 8, x.shape) - 0.05, lambda x: (x + 0.05) / np.sqrt(8)),
    "Gaussian, σ = 0.1": Kind(lambda x, rng: x + 0.1 * rng.standard_normal(x.shape), lambda x: np.full(x.shape, 0.1)),
}


def calibration(options: Options) -> Report:
    """PSNR with and without, on images that training never saw; the network of the study that knows Gaussian noise only, if it is there."""
    report = Report("Self-calibration")
    images = validation_images(options.data)[::EVERY]
    for name, model in _models().items():
        rows = [[kind, *_row(images, noise, model)] for kind, noise in KINDS.items()]
        columns = ["noise", "as it is", "stabilised, noise found", "self-calibrated", "learned / true std, median of images"]
        caption = f"`{name}` on {len(images)} clean images that training never saw, no test image among them: mean PSNR in dB."
        report.tables.append(Table(columns, rows, caption))
    report.targets.append(Target(f"self-calibration of {SIDE}×{SIDE} with `{BLIND}`", _seconds(images[0]), LIMIT, "s"))
    return report


def _seconds(clean: np.ndarray) -> float:
    tiled = np.tile(clean, (2, 2))[:SIDE, :SIDE]
    noisy = KINDS["30 photons"].add(tiled, np.random.default_rng(0))
    begin = perf_counter()
    list(calibrate_noise(noisy))
    return perf_counter() - begin


def _models() -> Mapping[str, Denoiser]:
    models = {BLIND: load_denoiser(BLIND)}
    checkpoint = RUNS / f"{GAUSSIAN_ONLY}.pt"
    if checkpoint.is_file():
        card = ModelCard(GAUSSIAN_ONLY, "Trained at one strength of Gaussian noise.", "BSD-3-Clause", gaussian_only=True)
        models[GAUSSIAN_ONLY] = Denoiser(open_variant(GAUSSIAN_ONLY.partition("-")[2], checkpoint).network, card)
    return models


def _row(images: list[np.ndarray], kind: Kind, model: Denoiser) -> Iterator[str]:
    found, ratios = [], []
    for index, clean in enumerate(images):
        noisy = kind.add(clean, np.random.default_rng((5, index)))
        (*_, last) = calibrate_noise(noisy, model=model)
        choices = ["none", "poisson-gaussian", last.noise or "none"]
        found.append([psnr(denoised(noisy, model, noise=choice), clean, 1.0) for choice in choices])
        if last.noise is not None:
            at = np.quantile(clean, (0.1, 0.5, 0.9))
            ratios.append(last.noise.std(at) / kind.std(at))
    yield from (f"{score:.2f}" for score in np.mean(found, 0))
    yield ", ".join(number(ratio) for ratio in np.median(ratios, 0)) + " (darker, middle, brighter)" if ratios else "nothing was gained"
