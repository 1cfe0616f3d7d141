"""How often the truth lies within the error bars that are told without it.

How error bars are made was chosen on the validation images alone; the test images are here to be reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.images import (
    Sample,
    clean_images,
    fluorescence_samples,
    from_zero_to_one,
    middle,
    paired_samples,
    photon_samples,
)
from benchmarks.noise.assessment import Kind, kinds
from benchmarks.noise.suite import validation_images
from benchmarks.options import Options
from benchmarks.ours import denoised
from benchmarks.report import Report, Table, Target
from napari_ne_denoise import Denoiser, NoiseModel, load_denoiser
from napari_ne_denoise.core.metrics import gain_and_offset

MODEL = "fast"
CERTAIN, WIDTH = 0.95, 1.96  # of the interval, and half its width in error bars
EVERY = 3  # of the validation images
SIDE = 256  # pixels, of clean test images
ON_MICROGRAPHS = ("10 photons", "Gaussian, σ = 0.05")
FRAMES = 50  # that the truth of FMD is a mean of, this frame among them
WEAKENED = 0.6
OFF_KNOWN, OFF_FOUND, OFF_REAL = 0.02, 0.03, 0.03
USABLE = (0.9, 0.98)  # what an image's coverage should be between
DECILES = 10


@dataclass(frozen=True)
class Covered:
    """What was found of one image.

    Attributes
    ----------
    share
        Of the pixels whose truth lies within the interval.
    scale
        Root-mean-square error over that of the error bars: 1 is right.
    by_size
        `share` in ten parts of the pixels, from small error bars to large ones.
    """

    share: float
    scale: float
    by_size: tuple[float, ...]


def coverage(options: Options) -> Report:
    """Coverage on simulated noise, known and found, and on real images."""
    report, model = Report("Error bars against the truth"), load_denoiser(MODEL)
    if (options.data / "files.csv").is_file():
        _on_validation(validation_images(options.data)[::EVERY][: options.limit], model, report)
    _on_micrographs(options.data / "test" / "clean_micro", model, report, options.limit)
    _on_real(options.data / "test", model, report, options.limit)
    report.notes.append(
        f"Where error bars are right, {CERTAIN:.0%} of the errors are below {WIDTH} of them. Beside that stands the root-mean-square error "
        "over the root-mean-square error bar, and the coverage of the tenths of the pixels with the smallest and the largest error bars."
    )
    return report


def covered(result: np.ndarray, std: np.ndarray, truth: np.ndarray, truth_variance: np.ndarray | float = 0.0) -> Covered:
    """How often the truth lies within the interval, where it may itself have noise of a known variance."""
    error, bar = np.square(result - truth).ravel(), (np.square(std, dtype=np.float64) + truth_variance).ravel()
    inside, order = error <= WIDTH**2 * bar, np.argsort(bar, kind="stable")
    parts = tuple(float(inside[part].mean()) for part in np.array_split(order, DECILES))
    return Covered(float(inside.mean()), float(np.sqrt(error.mean() / bar.mean())), parts)


def _with_bars(noisy: np.ndarray, model: Denoiser, noise: NoiseModel | None, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    result, std = denoised(noisy, model, return_std=True, noise_model=noise, strength=strength)
    return np.asarray(result, np.float64), np.asarray(std)


def _on_validation(clean: Sequence[np.ndarray], model: Denoiser, report: Report) -> None:
    rows, known, found = [], [], []
    for name, kind in kinds().items():
        of_kind = [[_simulated(x, index, kind, model, noise) for index, x in enumerate(clean)] for noise in (kind.model, None)]
        rows.append([name, *(cell for each in of_kind for cell in _cells(each))])
        known += of_kind[0]
        found += of_kind[1]
    weak = [_simulated(x, index, kinds()["10 photons"], model, kinds()["10 photons"].model, WEAKENED) for index, x in enumerate(clean)]
    rows.append([f"10 photons, strength {WEAKENED:g}", *_cells(weak), *["–"] * 4])
    caption = (
        f"`{MODEL}` on {len(clean)} clean images that training never saw, no test image among them, at most 256×256 pixels, with simulated "
        f"noise: share of the pixels whose truth lies within ±{WIDTH} error bars."
    )
    columns = ["noise", *_columns("noise known"), *_columns("noise found")]
    report.tables.append(Table(columns, rows, caption))
    report.targets.append(Target("coverage of simulated images, noise known: mean, off 95 % by", _off(known), OFF_KNOWN))
    report.targets.append(Target("the same, noise found", _off(found), OFF_FOUND))
    report.targets.append(_usable("images whose coverage is 90 % to 98 %, noise known", known))
    report.targets.append(_usable("the same, noise found", found))


def _simulated(x: np.ndarray, index: int, kind: Kind, model: Denoiser, noise: NoiseModel | None, strength: float = 1.0) -> Covered:
    y = kind.add(x, np.random.default_rng((7, index)))
    return covered(*_with_bars(y, model, noise, strength), x)


def _on_micrographs(folder: Path, model: Denoiser, report: Report, limit: int | None) -> None:
    clean = [from_zero_to_one(middle(image, SIDE)) for _, image in islice(clean_images(folder), limit)]
    rows, known, found = [], [], []
    for name in ON_MICROGRAPHS:
        kind = kinds()[name]
        of_kind = [[_simulated(x, index, kind, model, noise) for index, x in enumerate(clean)] for noise in (kind.model, None)]
        rows.append([name, *(cell for each in of_kind for cell in _cells(each))])
        known += of_kind[0]
        found += of_kind[1]
    caption = (
        f"The same on the middles of {len(clean)} clean test images (clean_micro). Four of them are electron micrographs whose grain is "
        "noise too: noise that is found holds it, and what is then removed of it counts as an error."
    )
    report.tables.append(Table(["noise", *_columns("noise known"), *_columns("noise found")], rows, caption))
    report.targets.append(Target("coverage of clean_micro, noise known: mean, off 95 % by", _off(known), OFF_KNOWN))
    report.targets.append(Target("the same, noise found", _off(found), OFF_FOUND))


def _on_real(test: Path, model: Denoiser, report: Report, limit: int | None) -> None:
    sets = {
        "FMD": lambda: fluorescence_samples(test / "fmd"),
        "photon counting": lambda: photon_samples(test / "photon_counting"),
        "W2S": lambda: islice(paired_samples(test / "w2s", scaled_apart=True), 0, None, EVERY),
        "GigaDB": partial(paired_samples, test / "gigadb", scaled_apart=True),
    }
    rows = []
    for name, samples in sets.items():
        found = [_real(name, sample, model) for sample in islice(samples(), limit)]
        if not found:
            continue
        rows.append([name, str(len(found)), *_cells(found)])
        report.targets.append(Target(f"coverage of {name}: mean, off 95 % by", _off(found), OFF_REAL))
    caption = (
        f"The same on real pairs, noise found in the image. The truth of FMD is the mean of the other {FRAMES - 1} frames, and that of "
        "photon counts of the other 15, which has more noise than the result: the truth's own noise is added to the interval. Those of W2S "
        "(400 frames) and GigaDB (a longer exposure) were scaled apart: results and error bars are fitted to them by one gain and one "
        "offset, and whatever else tells the two exposures apart counts as an error."
    )
    report.tables.append(Table(["set", "images", *_columns("noise found")], rows, caption))


def _real(name: str, sample: Sample, model: Denoiser) -> Covered:
    result, std = _with_bars(sample.noisy, model, None)
    truth, variance = sample.truth, np.zeros(()) + sample.truth_variance
    if name == "FMD":
        noisy = sample.noisy.astype(np.float64)
        truth = (FRAMES * truth - noisy) / (FRAMES - 1)
        variance = np.zeros(()) + np.square(noisy - truth).mean() / FRAMES
    elif sample.truth_variance:  # of photons, pixel by pixel
        variance = np.maximum(truth, truth.mean() / 100) * sample.truth_variance / truth.mean()
    rows, columns = truth.shape
    result, std = result[:rows, :columns], std[:rows, :columns]
    if sample.scaled_apart:
        gain, offset = gain_and_offset(result, truth)
        result, std = gain * result + offset, abs(gain) * std
    return covered(result, std, truth, variance)


def _columns(how: str) -> list[str]:
    return [f"{how}: within", "images from – to", "error / bar", "smallest, largest bars"]


def _cells(found: Sequence[Covered]) -> Iterator[str]:
    shares = [each.share for each in found]
    yield f"{np.mean(shares):.1%}"
    yield f"{min(shares):.0%} – {max(shares):.0%}"
    yield f"{np.mean([each.scale for each in found]):.2f}"
    first, last = (float(np.mean([each.by_size[end] for each in found])) for end in (0, -1))
    yield f"{first:.0%}, {last:.0%}"


def _off(found: Sequence[Covered]) -> float:
    return abs(float(np.mean([each.share for each in found])) - CERTAIN)


def _usable(what: str, found: Sequence[Covered]) -> Target:
    low, high = USABLE
    return Target(what, float(np.mean([low <= each.share <= high for each in found])), 0.8, at_most=False)
