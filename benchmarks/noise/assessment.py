"""Quality that is told without the truth, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from scipy import ndimage

from benchmarks.images import fluorescence_samples
from benchmarks.noise.suite import validation_images
from benchmarks.options import Options
from benchmarks.ours import DEVICE, denoised
from benchmarks.report import Report, Table, Target
from napari_ne_denoise import Denoiser, NoiseModel, Quality, load_denoiser, quality_without_truth
from napari_ne_denoise.core.metrics import psnr

MODEL = "fast"
EVERY = 2  # of the validation images
FRAMES = 50  # that the truth of FMD is a mean of, this frame among them
PEDESTAL = 0.02  # of the range, on which photons fall
WITHIN_KNOWN, WITHIN_FOUND = 0.3, 1.5  # dB
HARMFUL = 3.0  # dB; a result made worse by so much should be flagged
STRONGER = 2.0  # times the noise that the image has, of that which is added before an image is smoothed too strongly
BLUR = 2.0  # pixels


@dataclass(frozen=True)
class Kind:
    """Noise of a known kind, and how it is added to a clean image from 0 to 1."""

    model: NoiseModel
    add: Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass
class Tally:
    """What was found of one kind of noise."""

    known: list[tuple[float, bool]] = field(default_factory=list)
    found: list[tuple[float, bool]] = field(default_factory=list)
    flags: list[bool] = field(default_factory=list)
    harmed: list[bool] = field(default_factory=list)


def kinds() -> dict[str, Kind]:
    """Photons, Gaussian and correlated noise."""
    photons = {f"{count} photon{'s' if count > 1 else ''}": _photons(count) for count in (1, 3, 10, 100, 1000)}
    gaussian = {f"Gaussian, σ = {sigma}": _gaussian(sigma, 0.0) for sigma in (0.02, 0.05, 0.2)}
    return photons | gaussian | {f"σ = 0.1 under a blur of {width} px": _gaussian(0.1, width) for width in (0.5, 0.78)}


def _photons(count: float) -> Kind:
    return Kind(
        NoiseModel(gain=1 / count, offset=-PEDESTAL, read_noise=0.0),
        lambda x, rng: np.asarray(rng.poisson((x + PEDESTAL) * count) / count - PEDESTAL),
    )


def _gaussian(sigma: float, width: float) -> Kind:
    kernel = ndimage.gaussian_filter1d(np.eye(1, 33, 16)[0], width) if width else np.eye(1, 33, 16)[0]
    power = float(np.square(kernel).sum())
    one, two, three = (float((kernel[lag:] * kernel[:-lag]).sum()) / power for lag in (1, 2, 3))

    def add(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(x.shape)
        return np.asarray(x + sigma * (ndimage.gaussian_filter(noise, width, mode="wrap") / power if width else noise))

    return Kind(NoiseModel(gain=0.0, offset=0.0, read_noise=sigma, correlation=((one, two, three), (one, two, three))), add)


def assessment(options: Options) -> Report:
    """Estimated against true PSNR and rates of warnings, on simulated noise and on FMD."""
    report, model = Report("Quality, told without the truth"), load_denoiser(MODEL)
    if (options.data / "files.csv").is_file():
        _on_simulated(validation_images(options.data)[::EVERY], model, report)
    _on_fmd(options.data / "test" / "fmd", model, report, options.limit)
    return report


def _on_simulated(clean: list[np.ndarray], model: Denoiser, report: Report) -> None:
    tallies = {name: _tally(clean, kind, model) for name, kind in kinds().items()}
    rows = [[name, *_row(tally)] for name, tally in tallies.items()]
    caption = (
        f"`{MODEL}` on {len(clean)} clean images that training never saw, no test image among them, at most 256×256 pixels, with simulated "
        f"noise: |estimated − true PSNR|, how often the truth lies in the 95 % interval, and how often a loss of structure is reported: of "
        f"plain results; and of results that are too smooth ({_harm()}), as far as that costs {HARMFUL:g} dB."
    )
    columns = ["noise", "noise known, dB", "in interval", "noise found, dB", "in interval", "plain results flagged", "too smooth flagged"]
    report.tables.append(Table(columns, rows, caption))
    known, found, flags, harmed = ([each for tally in tallies.values() for each in getattr(tally, name)] for name in vars(Tally()))
    targets = [
        Target("estimated PSNR of simulated images, noise known, median error", median(error for error, _ in known), WITHIN_KNOWN, "dB"),
        Target("the same, noise found", median(error for error, _ in found), WITHIN_FOUND, "dB"),
        Target("plain results said to have lost structure, noise known or found", float(np.mean(flags)), 0.05),
        Target(f"results made worse by {HARMFUL:g} dB that are flagged", float(np.mean(harmed)), 0.9, at_most=False),
    ]
    report.targets.extend(targets)
    report.notes.append(
        f"Simulated noise: the truth lies in the 95 % interval in {_share(inside for _, inside in known)} of the images with the noise "
        f"known, and in {_share(inside for _, inside in found)} with the noise found."
    )


def _harm() -> str:
    return f"blurred by {BLUR:g} pixels, or denoised after noise {STRONGER:g} times as strong was added"


def _tally(clean: list[np.ndarray], kind: Kind, model: Denoiser) -> Tally:
    tally = Tally()
    for index, x in enumerate(clean):
        rng = np.random.default_rng((7, index))
        y = kind.add(x, rng)
        plain = denoised(y, model, precision="float32")
        true = psnr(plain, x, 1.0)
        for given, errors in ((kind.model, tally.known), (None, tally.found)):
            quality = _assess(y, plain, model, given)
            errors.append(_error(quality, true))
            tally.flags.append(bool(quality.structured))
            for worse in (ndimage.gaussian_filter(plain, BLUR), denoised(y + STRONGER * (kind.add(x, rng) - x), model)):
                if true - psnr(worse, x, 1.0) > HARMFUL:
                    tally.harmed.append(bool(_assess(y, worse, model, given).structured))
    return tally


def _assess(y: np.ndarray, result: np.ndarray, model: Denoiser, noise: NoiseModel | None) -> Quality:
    return quality_without_truth(y, result, model=model, noise_model=noise, peak=1.0, device=DEVICE)


def _error(quality: Quality, true: float) -> tuple[float, bool]:
    """In dB, and whether the interval holds the truth."""
    if quality.psnr is None or quality.psnr_interval is None:
        return float("inf"), False
    low, high = quality.psnr_interval
    return abs(quality.psnr - true), low <= true <= high


def _row(tally: Tally) -> Iterator[str]:
    for errors in (tally.known, tally.found):
        yield f"{median(error for error, _ in errors):.2f}"
        yield _share(inside for _, inside in errors)
    yield _share(tally.flags)
    yield f"{_share(tally.harmed)} of {len(tally.harmed)}" if tally.harmed else "–"


def _share(values: Iterator[bool] | list[bool]) -> str:
    return f"{np.mean(list(values)):.0%}"


def _on_fmd(folder: Path, model: Denoiser, report: Report, limit: int | None) -> None:
    """The truth of a frame is the mean of the others, and its own noise is taken from the error."""
    fields: dict[str, list[tuple[float, bool, Quality]]] = {}
    for sample in islice(fluorescence_samples(folder), limit):
        noisy = sample.noisy.astype(np.float64)
        others = (FRAMES * sample.truth - noisy) / (FRAMES - 1)
        variance = float(np.square(noisy - others).mean()) / FRAMES  # of their mean: a FRAMES−1st of a frame's
        plain = denoised(sample.noisy, model, precision="float32")
        left = float(np.square(plain - others).mean()) - variance
        true = psnr(np.sqrt(np.maximum(left, 0)), np.zeros(()), sample.peak)
        quality = quality_without_truth(sample.noisy, plain, model=model, peak=sample.peak, device=DEVICE)
        fields.setdefault(sample.group, []).append((*_signed(quality, true), quality))
    rows = [
        [
            name,
            " ".join(f"{error:+.1f}" for error, _, _ in images),
            _share(inside for _, inside, _ in images),
            f"{sum(bool(quality.structured) for _, _, quality in images)} of {len(images)}",
        ]
        for name, images in fields.items()
    ]
    caption = (
        f"`{MODEL}` on FMD, point-scanning, noise found in the image: estimated less true PSNR, in dB. The truth is the mean of the other "
        f"{FRAMES - 1} frames, whose own noise is subtracted from the error; some frames are shifted against the mean, and that is not."
    )
    report.tables.append(Table(["field", "estimated − true PSNR, frames 1 to 4", "in interval", "flagged"], rows, caption))
    errors = [abs(error) for images in fields.values() for error, _, _ in images]
    report.targets.append(Target("estimated PSNR of FMD, noise found, median error", median(errors), WITHIN_FOUND, "dB"))


def _signed(quality: Quality, true: float) -> tuple[float, bool]:
    error, inside = _error(quality, true)
    return float(np.copysign(error, (quality.psnr or -np.inf) - true)), inside
