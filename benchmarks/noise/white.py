"""What to do about noise that neighbours share: nothing, denoise every second pixel apart, or make the noise white first.

The rule of "auto" follows from this; no test image is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean

import numpy as np

from benchmarks.noise.suite import Noise, correlated, gaussian, validation_images
from benchmarks.options import Options
from benchmarks.ours import denoised
from benchmarks.report import Report, Table, Target
from benchmarks.study.command import RUNS
from benchmarks.study.networks import open_variant
from napari_ne_denoise import Denoiser, estimate_noise, load_denoiser
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.noise.whitening import Whitener

BLIND, GAUSSIAN_ONLY = "fast", "study-gaussian"
WIDTHS, SIGMAS = (0.0, 0.4, 0.55, 0.7, 1.0), (0.05, 0.15)
BELOW = 0.1  # dB that "auto" may be below the best way on average
AUTO = "auto"

Way = Callable[[np.ndarray, Denoiser], np.ndarray]


def white(options: Options) -> Report:
    """PSNR of each way; the network of the study that knows white Gaussian noise only, if it is there."""
    report, images = Report("Noise that neighbours share"), validation_images(options.data)
    for name, model in _models().items():
        scores = {case: [_scores(x, add, index, model) for index, x in enumerate(images)] for case, add in _cases()}
        means = {case: {way: mean(each[way] for each in found) for way in (*WAYS, AUTO)} for case, found in scores.items()}
        rows = [[case, *(f"{score:.2f}" for score in of_case.values())] for case, of_case in means.items()]
        caption = (
            f"`{name}` on {len(images)} clean images that training never saw, no test image among them, with Gaussian noise under a "
            "Gaussian kernel: mean PSNR in dB."
        )
        report.tables.append(Table(["noise", *WAYS, AUTO], rows, caption))
        overall = {way: mean(of_case[way] for of_case in means.values()) for way in (*WAYS, AUTO)}
        behind = max(overall.values()) - overall[AUTO]
        report.targets.append(Target(f"{name}: auto below the best fixed way, mean over noises", behind, BELOW, "dB"))
    return report


def _models() -> dict[str, Denoiser]:
    models = {BLIND: load_denoiser(BLIND)}
    checkpoint = RUNS / f"{GAUSSIAN_ONLY}.pt"
    if checkpoint.is_file():
        card = ModelCard(GAUSSIAN_ONLY, gaussian_only=True)
        models[GAUSSIAN_ONLY] = Denoiser(open_variant(GAUSSIAN_ONLY, checkpoint).network, card)
    return models


def _cases() -> Iterator[tuple[str, Noise]]:
    for width in WIDTHS:
        for sigma in SIGMAS:
            if width:
                yield f"σ = {sigma} under a blur of {width} px", correlated(sigma, width)[0]
            else:
                yield f"σ = {sigma}, white", gaussian(sigma)[0]


def _scores(clean: np.ndarray, add: Noise, index: int, model: Denoiser) -> dict[str, float]:
    noisy = add(clean, np.random.default_rng((4, index)))
    found = {way: psnr(denoise(noisy, model), clean, 1.0) for way, denoise in WAYS.items()}
    return found | {AUTO: psnr(denoised(noisy, model), clean, 1.0)}


def _as_it_is(noisy: np.ndarray, model: Denoiser) -> np.ndarray:
    return denoised(noisy, model, noise="none")


def _apart(noisy: np.ndarray, model: Denoiser, step: int = 2) -> np.ndarray:
    """Every second pixel along both axes is an image of its own."""
    result = np.empty_like(noisy)
    for row in range(step):
        for column in range(step):
            result[row::step, column::step] = _as_it_is(np.ascontiguousarray(noisy[row::step, column::step]), model)
    return result


def _apart_and_again(noisy: np.ndarray, model: Denoiser) -> np.ndarray:
    return _as_it_is(_apart(noisy, model), model)


def _white(noisy: np.ndarray, model: Denoiser) -> np.ndarray:
    """Whether or not the noise is said to be correlated."""
    there = Whitener(estimate_noise(noisy).correlation)
    seen = there.forward(noisy)
    return noisy - there.back(seen - _as_it_is(seen, model))


WAYS: dict[str, Way] = {
    "as it is": _as_it_is,
    "every second pixel apart": _apart,
    "the same, denoised again": _apart_and_again,
    "every third apart": lambda noisy, model: _apart(noisy, model, 3),
    "made white": _white,
}
