"""Other denoisers on the same images in the same run: what they cost and what they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from skimage.restoration import denoise_wavelet

from benchmarks import classical
from benchmarks.images import Sample, fluorescence_samples, gaussian_samples
from benchmarks.options import Options
from benchmarks.ours import chosen_precision, denoised, packaged_models
from benchmarks.report import Point, Report, Table, Target, number
from benchmarks.timing import interleaved, median_ratio
from napari_ne_denoise import Denoiser, load_denoiser

Denoise = Callable[[Sample], np.ndarray]

SIGMA = 25.0
PHOTOGRAPHS = ("01", "08", "12")  # of Set12: 256×256, 512×512, 512×512
OURS, NLM, BM3D = "fast", "NLM", "BM3D"
IN_FLOAT32 = ", float32"  # added to a model's name

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
    found |= {
        NLM: lambda sample: classical.non_local_means(_float64(sample)),
        "TV": lambda sample: classical.total_variation(_float64(sample)),
        "wavelets": wavelets,
    }
    return found | ({BM3D: bm3d} if find_spec("bm3d") else {})


def _ours(sample: Sample, model: Denoiser, **settings: Any) -> np.ndarray:
    return denoised(sample.noisy, model, **settings)


def wavelets(sample: Sample) -> np.ndarray:
    """BayesShrink, which estimates the noise itself."""
    denoised: np.ndarray = denoise_wavelet(_float64(sample), method="BayesShrink", mode="soft", rescale_sigma=True)
    return denoised


def bm3d(sample: Sample) -> np.ndarray:
    """With the true σ where there is one."""
    return classical.block_matching(_float64(sample), sample.sigma, sample.peak)


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
    if BM3D in times:
        yield Target(f"{OURS}: faster than {BM3D}, {name}", median_ratio(times, BM3D, OURS), BM3D_SPEEDUP, "×", at_most=False)
        yield Target(f"{OURS}: better than {BM3D}, {name}", scores[OURS] - scores[BM3D], 0, "dB", at_most=False)
    yield Target(f"{OURS}: time over that of {NLM}, {name}", median_ratio(times, OURS, NLM), NLM_TIME, "×")
    yield Target(f"{OURS}: better than {NLM}, {name}", scores[OURS] - scores[NLM], NLM_GAIN, "dB", at_most=False)


def _precisions(images: ImageSet, model: Denoiser) -> str:
    return ", ".join(sorted({chosen_precision(sample.noisy, model) for sample in images.samples}))


def _denoise_all(images: ImageSet, denoise: Denoise) -> None:
    for sample in images.samples:
        denoise(sample)


def _float64(sample: Sample) -> np.ndarray:
    return sample.noisy.astype(np.float64)


def _protocol() -> str:
    packages = ["scikit-image", "PyWavelets", *(["bm3d"] if find_spec("bm3d") else [])]
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"{versions}. NLM: fast mode, patches of 5, distance 6, h = 0.8 σ. TV: Chambolle, weight σ. Wavelets: BayesShrink. σ is "
        "`estimate_sigma`'s, and finding it is timed too; only BM3D is told the true σ where it is known. Nothing was tuned to these "
        "images, every denoiser got them as they are, and used as many cores as it does by itself. Our models take the precision that "
        '`precision="auto"` chose.'
    )
