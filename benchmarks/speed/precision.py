"""What half precision changes: the constant by which ``precision="auto"`` predicts it, and what it costs in dB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.images import Sample, fluorescence_samples, gaussian_samples
from benchmarks.options import Options
from benchmarks.ours import chosen_precision, denoised
from benchmarks.report import Report, Table, Target
from benchmarks.speed.architectures import HALVES
from napari_ne_denoise import load_denoiser

SIGMAS = (5, 10, 15, 25, 50)
CONTRAST_SIGMA = 25.0
DIM = 0.01
BEAD = 25500.0  # grey levels, a hundred times the brightest of the image

SHARE_OF_NOISE, LOSS = 0.05, 0.02


@dataclass(frozen=True)
class Case:
    """An image of some kind; half precision is judged in its first columns, as many as `judged` says, or in all of them."""

    kind: str
    sample: Sample
    judged: int | None = None


@dataclass(frozen=True)
class Change:
    """What half precision changed in one image.

    Attributes
    ----------
    kind
        Of image.
    error
        rms(half − float32) over the standard deviation of the noisy plane: the constant c is its maximum over images.
    share
        rms(half − float32) over rms(input − float32).
    loss
        PSNR of float32 less that of half, in dB.
    chosen
        Whether ``precision="auto"`` took this half precision.
    """

    kind: str
    error: float
    share: float
    loss: float
    chosen: bool


def precision(options: Options) -> Report:
    """How far half precision is from float32, on images of every contrast."""
    denoiser = load_denoiser(options.models[0])
    report = Report(
        f"Half precision, {denoiser.name}",
        notes=[
            "error = rms(half − float32) / std of the noisy plane, the constant c of the model being its maximum over images; share = "
            "rms(half − float32) / rms(input − float32); loss = PSNR(float32) − PSNR(half). `auto` is to take half precision only where "
            f"the share is at most {SHARE_OF_NOISE:.0%} and the loss at most {LOSS} dB."
        ],
    )
    cases = list(cases_of(options.data / "test"))
    singles = [denoised(case.sample.noisy, denoiser, precision="float32") for case in cases]
    autos = [chosen_precision(case.sample.noisy, denoiser) for case in cases]
    for half in HALVES:
        changes = [
            change(case, single, denoised(case.sample.noisy, denoiser, precision=half), auto == half)
            for case, single, auto in zip(cases, singles, autos, strict=True)
        ]
        report.tables.append(_table(half, changes))
        report.targets.extend(_targets(half, [found for found in changes if found.chosen]))
    return report


def change(case: Case, single: np.ndarray, half: np.ndarray, chosen: bool) -> Change:
    """Compare the results of two precisions."""
    spread = float(np.std(case.sample.noisy, dtype=np.float64))
    noisy, truth, single, half = (image[:, : case.judged] for image in (case.sample.noisy, case.sample.truth, single, half))
    judged = replace(case.sample, noisy=noisy, truth=truth)
    difference, removed = _rms(half - single), _rms(noisy - single)
    before, after = (judged.psnr(image) for image in (single, half))
    return Change(case.kind, difference / spread, difference / removed, before - after, chosen)


def cases_of(folder: Path) -> Iterator[Case]:
    """Strong and weak noise, micrographs, and images whose contrast is not where the structure is."""
    for sigma in SIGMAS:
        yield from (Case(f"Set12, σ = {sigma}", sample) for sample in gaussian_samples(folder / "set12", sigma))
    yield from (Case("FMD", sample) for sample in fluorescence_samples(folder / "fmd"))
    yield from chain.from_iterable(other_contrasts(sample) for sample in gaussian_samples(folder / "set12", CONTRAST_SIGMA))


def other_contrasts(sample: Sample) -> Iterator[Case]:
    """The same image in other units; beside a dimmed half, which alone is judged; with a few bright beads."""
    kind = f"Set12, σ = {CONTRAST_SIGMA:g}"
    yield Case(f"{kind}, 0.01 y + 1000", Sample(sample.name, 0.01 * sample.noisy + 1000, 0.01 * sample.truth + 1000, 0.25))
    middle = sample.truth.shape[1] // 2
    gain = np.where(np.arange(sample.truth.shape[1]) < middle, DIM, 1.0)
    dimmed = Sample(sample.name, gain * sample.noisy, gain * sample.truth, sample.sigma)
    yield Case(f"{kind}, left half × {DIM:g}", dimmed, middle)
    beads = np.zeros(sample.truth.shape)
    beads[16::64, 16::64] = BEAD
    yield Case(f"{kind}, bright beads", Sample(sample.name, sample.noisy + beads, sample.truth + beads, sample.sigma))


def _table(half: str, changes: list[Change]) -> Table:
    figures = [f"{name}, {which}" for name in ("error", "share") for which in ("median", "max")]
    columns = ["image", "number", *figures, "loss, mean dB", "loss, max dB", "auto took it"]
    kinds = list(dict.fromkeys(found.kind for found in changes))
    rows = [_row(kind, [found for found in changes if found.kind == kind]) for kind in kinds]
    return Table(columns, [*rows, _row("all", changes)], half)


def _row(name: str, changes: list[Change]) -> list[str]:
    errors, shares, losses = ([getattr(found, part) for found in changes] for part in ("error", "share", "loss"))
    figures = [f"{value:.3%}" for values in (errors, shares) for value in (median(values), max(values))]
    taken = sum(found.chosen for found in changes)
    return [name, str(len(changes)), *figures, f"{np.mean(losses):.3f}", f"{max(losses):.3f}", f"{taken} of {len(changes)}"]


def _targets(half: str, chosen: list[Change]) -> Iterator[Target]:
    if chosen:
        yield Target(f"largest share of the noise where auto took {half}", max(found.share for found in chosen), SHARE_OF_NOISE)
        yield Target(f"largest loss where auto took {half}", max(found.loss for found in chosen), LOSS, "dB")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
