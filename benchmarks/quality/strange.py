"""Images that are not what a denoiser expects: nothing but noise, no noise, any strength of it, dim beside bright, below zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.images import MICROGRAPH_SIDE, MICROGRAPH_SIGMA, Sample, binned, clean_images, micrographs
from benchmarks.options import Options
from benchmarks.quality.methods import NOISY
from benchmarks.quality.scores import Comparison, Method, Score, Scoreboard
from benchmarks.report import Report, Table, Target
from napari_ne_denoise.core.training.synthetic import synthetic_image

SIDE = 512  # of pure noise
SEEDS, OFFSETS = range(4), (0.0, 1e4)  # of pure noise with σ = 1
MADE, FIRST_SEED = 8, 10**6  # images of our generator, from seeds that training does not use
BINNING = 4
SIGMAS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of the range
BRIGHTER = 100
SEAM = 64  # pixels beside what is brighter, which may be left out
# noise that a clean image has of its own, as a share of its range: who takes that away too loses by it where little is added
GRAIN = {"drosophila_membranes_1": 0.044}

REDUCTION, FAITHFUL, DIM_LOSS, NEGATIVE_CHANGE = 15.0, 45.0, 0.5, 0.01


@dataclass(frozen=True)
class Condition:
    """One row: what a model makes of some images.

    Attributes
    ----------
    name
        Of the row.
    values
        By model, one for each image.
    limit, unit
        What is aimed for.
    at_most
        Whether small values are good.
    by_mean
        Whether the mean is to meet the limit; otherwise every image.
    """

    name: str
    values: dict[str, list[float]]
    limit: float
    unit: str
    at_most: bool = False
    by_mean: bool = False

    def worst(self, model: str) -> float:
        """Over images."""
        return max(self.values[model]) if self.at_most else min(self.values[model])

    def row(self) -> list[str]:
        """Mean, and the worst in brackets."""
        cells = [f"{np.mean(values):.2f} ({self.worst(model):.2f})" for model, values in self.values.items()]
        return [f"{self.name}{', ' * bool(self.unit)}{self.unit}", *cells]

    def target(self, model: str) -> Target:
        """Of one model."""
        measured = float(np.mean(self.values[model])) if self.by_mean else self.worst(model)
        return Target(f"{model}: {self.name}{', mean' if self.by_mean else ', worst'}", measured, self.limit, self.unit, self.at_most)


def strange(options: Options, board: Scoreboard, models: Sequence[Method]) -> Report:
    """Two tables: strange images, and noise of every strength."""
    folder = options.data / "test" / "clean_micro"
    conditions = [condition for make in CONDITIONS for condition in make(folder, options.limit, board, models)]
    strengths = [_strength(folder, sigma, options.limit, board, models) for sigma in SIGMAS]
    targets = [condition.target(model.name) for model in models if model.aims for condition in conditions]
    targets += [_never_worse(strengths, model.name) for model in models if model.aims]
    columns = ["mean over images (the worst)", *(model.name for model in models)]
    table = Table(columns, [condition.row() for condition in conditions], "Strange images.")
    return Report("Strange", [table, _strengths_table(strengths, models)], targets)


def pure_noise(_: Path, limit: int | None, board: Scoreboard, models: Sequence[Method]) -> Iterator[Condition]:
    """Nothing but white noise: how many times its standard deviation becomes smaller."""
    for offset in OFFSETS:
        noise = [np.random.default_rng(seed).standard_normal((SIDE, SIDE)) + offset for seed in islice(SEEDS, limit)]
        samples = [Sample(f"noise {seed}", image, np.full(image.shape, offset), 1.0) for seed, image in enumerate(noise)]
        name = f"pure noise at {offset:g}: its std, divided by"
        yield Condition(name, _values(board, name, samples, models, _reduction), REDUCTION, "")


def no_noise(folder: Path, limit: int | None, board: Scoreboard, models: Sequence[Method]) -> Iterator[Condition]:
    """Clean images: they should come out as they are."""
    seeds = range(FIRST_SEED, FIRST_SEED + MADE)
    made = [(f"made {seed}", synthetic_image(np.random.default_rng(seed)).astype(np.float64)) for seed in islice(seeds, limit)]
    grainless = ((name, image) for name, image in clean_images(folder) if name not in GRAIN)
    micrographs = [(name, binned(image, BINNING)) for name, image in islice(grainless, limit)]
    for kind, images in (("made images", made), (f"micrographs binned {BINNING}×{BINNING}", micrographs)):
        samples = [Sample(name, image, image, 0.0, peak=float(np.ptp(image))) for name, image in images]
        name = f"no noise, {kind}: PSNR"
        yield Condition(name, _values(board, name, samples, models, _psnr), FAITHFUL, "dB", by_mean=True)


def dim_beside_bright(folder: Path, limit: int | None, board: Scoreboard, models: Sequence[Method]) -> Iterator[Condition]:
    """The left half, with its right half made brighter, and alone: what the neighbour costs, near to it and farther away."""
    for seam, where in ((0, "all of it"), (SEAM, f"beyond {SEAM} px")):
        alone, beside = [], []
        for sample in with_noise(folder, MICROGRAPH_SIGMA, limit):
            half = sample.noisy.shape[1] // 2
            left = replace(sample, truth=sample.truth[:, : half - seam])
            alone.append(replace(left, noisy=sample.noisy[:, :half]))
            gain = np.where(np.arange(sample.noisy.shape[1]) < half, 1, BRIGHTER)
            beside.append(replace(left, noisy=sample.noisy * gain))
        name = f"dim half beside one {BRIGHTER} times as bright, {where}: loss of PSNR"
        yield Condition(name, _losses(board, name, alone, beside, models), DIM_LOSS, "dB", at_most=True, by_mean=True)


def below_zero(folder: Path, limit: int | None, board: Scoreboard, models: Sequence[Method]) -> Iterator[Condition]:
    """The image minus its largest value: what that changes."""
    usual = list(with_noise(folder, MICROGRAPH_SIGMA, limit))
    lowered = [replace(sample, noisy=sample.noisy - sample.noisy.max(), truth=sample.truth - sample.noisy.max()) for sample in usual]
    name = "nothing above zero: change of PSNR"
    changes = {model: [abs(loss) for loss in losses] for model, losses in _losses(board, name, usual, lowered, models).items()}
    yield Condition(name, changes, NEGATIVE_CHANGE, "dB", at_most=True)


CONDITIONS: tuple[Callable[[Path, int | None, Scoreboard, Sequence[Method]], Iterator[Condition]], ...] = (
    pure_noise,
    no_noise,
    dim_beside_bright,
    below_zero,
)


def with_noise(folder: Path, sigma: float, limit: int | None) -> Iterator[Sample]:
    """`micrographs`, but for those with too much noise of their own."""
    return islice((sample for sample in micrographs(folder, sigma) if sigma >= 2 * GRAIN.get(sample.name, 0)), limit)


def _strength(folder: Path, sigma: float, limit: int | None, board: Scoreboard, models: Sequence[Method]) -> Comparison:
    return board.compare(f"σ = {sigma:.1%} of the range", with_noise(folder, sigma, limit), [NOISY, *models])


def _strengths_table(strengths: Sequence[Comparison], models: Sequence[Method]) -> Table:
    rows = [
        [
            each.name,
            f"{each.mean(NOISY.name):.2f}",
            *(f"{each.mean(model.name):.2f} ({min(_gains(each, model.name)):+.2f})" for model in models),
        ]
        for each in strengths
    ]
    caption = (
        f"Noise of every strength on clean micrographs (at most {MICROGRAPH_SIDE}×{MICROGRAPH_SIDE} pixels); in brackets the least gain of "
        f"an image. Images with noise of their own ({', '.join(GRAIN)}) are left out where less than twice as much is added."
    )
    return Table(["PSNR, dB", NOISY.name, *(model.name for model in models)], rows, caption)


def _never_worse(strengths: Sequence[Comparison], model: str) -> Target:
    least = min(strengths, key=lambda each: min(_gains(each, model)))
    return Target(f"{model}: least gain of an image at any strength: {least.name}", min(_gains(least, model)), 0, "dB", at_most=False)


def _gains(comparison: Comparison, model: str) -> list[float]:
    return [after - before for after, before in zip(comparison.psnrs(model), comparison.psnrs(NOISY.name), strict=True)]


def _losses(
    board: Scoreboard, name: str, before: Sequence[Sample], after: Sequence[Sample], models: Sequence[Method]
) -> dict[str, list[float]]:
    first, second = (_values(board, name, samples, models, _psnr) for samples in (before, after))
    return {model: [one - other for one, other in zip(first[model], second[model], strict=True)] for model in first}


def _values(
    board: Scoreboard, name: str, samples: Sequence[Sample], models: Sequence[Method], judge: Callable[[Sample, Score], float]
) -> dict[str, list[float]]:
    return {
        model.name: [judge(sample, found) for sample, found in zip(samples, board.scores(name, samples, model), strict=True)]
        for model in models
    }


def _reduction(sample: Sample, found: Score) -> float:
    return float(np.std(sample.noisy)) / found.std if found.std else float("inf")


def _psnr(_: Sample, found: Score) -> float:
    return found.psnr
