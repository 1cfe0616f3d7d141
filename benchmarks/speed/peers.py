"""Other denoisers on the same images in the same run: what they cost and what they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.images import Sample, fluorescence_samples, gaussian_samples
from benchmarks.options import Options
from benchmarks.ours import chosen_precision, denoised, packaged_models
from benchmarks.quality.classical import (
    BM3D,
    NLM,
    TV,
    WAVELETS,
    Peer,
    non_local_means,
    plain,
    protocol_of,
    told_the_noise,
    total_variation,
    wavelets,
)
from benchmarks.report import Point, Report, Table, Target, number
from benchmarks.speed.timing import interleaved, median_ratio
from napari_ne_denoise import Denoiser, load_denoiser

Denoise = Callable[[Sample], np.ndarray]

SIGMA = 25.0
PHOTOGRAPHS = ("01", "08", "12")  # of Set12: 256×256, 512×512, 512×512
OURS = "fast"
IN_FLOAT32 = ", float32"  # added to a model's name

OTHERS: dict[Peer, Denoise] = {
    NLM: plain(non_local_means),
    TV: plain(total_variation),
    WAVELETS: plain(wavelets),
    BM3D: told_the_noise,
}

SLOWEST, BM3D_SPEEDUP, NLM_TIME, NLM_GAIN = 0.25, 50.0, 2.0, 0.7


@dataclass(frozen=True)
class ImageSet:
    """Images that are denoised together, and what they are called."""

    name: str
    samples: list[Sample]

    @property
    def megapixels(self) -> float:
        """Of all images together."""
        return sum(sample.noisy.size for sample in self.samples) / 1e6


def peers(options: Options) -> Report:
    """Time and PSNR of every denoiser there is, on photographs and on micrographs."""
    models = {name: load_denoiser(name) for name in packaged_models()}
    report = Report("Peers", notes=[_protocol()])
    for images in image_sets(options.data / "test"):
        _compare(images, models, options.runs, report)
    return report


def image_sets(folder: Path) -> Iterator[ImageSet]:
    """Three photographs with simulated noise, and one noisy image of each field of FMD."""
    yield ImageSet(f"Set12, σ = {SIGMA:g}", list(gaussian_samples(folder / "set12", SIGMA, PHOTOGRAPHS)))
    yield ImageSet("FMD", list(fluorescence_samples(folder / "fmd", one_per_field=True)))


def denoisers(models: Mapping[str, Denoiser]) -> dict[str, Denoise]:
    """By name: each of our models as it is and in float32, then the others; BM3D only where it is installed."""
    found: dict[str, Denoise] = {}
    for name, model in models.items():
        found[name] = partial(_ours, model=model)
        found[name + IN_FLOAT32] = partial(_ours, model=model, precision="float32")
    return found | {peer.name: denoise for peer, denoise in OTHERS.items() if peer.installed}


def _ours(sample: Sample, model: Denoiser, **settings: Any) -> np.ndarray:
    return denoised(sample.noisy, model, **settings)


def _compare(images: ImageSet, models: Mapping[str, Denoiser], runs: int, report: Report) -> None:
    contenders = denoisers(models)
    # the first pass gives the scores and is the warm-up
    scores = {name: float(np.mean([sample.psnr(denoise(sample)) for sample in images.samples])) for name, denoise in contenders.items()}
    times = interleaved({name: partial(_denoise_all, images, denoise) for name, denoise in contenders.items()}, runs, warm_up=False)
    cost = {name: median(times[name]) / images.megapixels for name in times}
    ratios = {name: median_ratio(times, name, OURS) for name in times}
    rows = [[name, number(cost[name]), number(ratios[name]), f"{scores[name]:.2f}"] for name in contenders]
    took = "; ".join(f"{name} computed in {_precisions(images, model)}" for name, model in models.items())
    caption = f"{images.name}: {len(images.samples)} images, {images.megapixels:.2f} megapixels; {took}."
    report.tables.append(Table(["denoiser", "s/MPix", "time / fast", "PSNR, dB"], rows, caption))
    report.targets.extend(_targets(images.name, cost, times, scores))
    report.points[images.name] = [Point(name, cost[name], scores[name], name.removesuffix(IN_FLOAT32) in models) for name in contenders]


def _targets(name: str, cost: dict[str, float], times: dict[str, list[float]], scores: dict[str, float]) -> Iterator[Target]:
    yield Target(f"{OURS}: time by pixel, {name}", cost[OURS], SLOWEST, "s/MPix")
    bm3d, nlm = BM3D.name, NLM.name
    if bm3d in times:
        yield Target(f"{OURS}: faster than {bm3d}, {name}", median_ratio(times, bm3d, OURS), BM3D_SPEEDUP, "×", at_most=False)
        yield Target(f"{OURS}: better than {bm3d}, {name}", scores[OURS] - scores[bm3d], 0, "dB", at_most=False)
    yield Target(f"{OURS}: time over that of {nlm}, {name}", median_ratio(times, OURS, nlm), NLM_TIME, "×")
    yield Target(f"{OURS}: better than {nlm}, {name}", scores[OURS] - scores[nlm], NLM_GAIN, "dB", at_most=False)


def _precisions(images: ImageSet, model: Denoiser) -> str:
    return ", ".join(sorted({chosen_precision(sample.noisy, model) for sample in images.samples}))


def _denoise_all(images: ImageSet, denoise: Denoise) -> None:
    for sample in images.samples:
        denoise(sample)


def _protocol() -> str:
    return (
        f"{protocol_of(OTHERS)} Finding it is timed too. Nothing was tuned to these images, every denoiser got them as they are, and used "
        'as many cores as it does by itself. Our models take the precision that `precision="auto"` chose.'
    )
