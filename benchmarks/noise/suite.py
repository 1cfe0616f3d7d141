"""Noise that is found in an image against noise that is known, what finding it costs, and whether stabilising it helps `fast`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy import ndimage

from benchmarks.images import clean_images, fluorescence_samples, from_zero_to_one, middle
from benchmarks.options import Options
from benchmarks.ours import denoised
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.timing import seconds
from napari_ne_denoise import NoiseModel, estimate_noise, load_denoiser
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.noise.correlation import laplacian_gain, sharing_of
from napari_ne_denoise.core.statistics import laplacian
from napari_ne_denoise.core.training.dataset import read_clean_images, synthetic_images

MODEL = "fast"
SIDE = 512
FRAMES = 50  # that the truth of FMD is a mean of
STD_WITHIN, COST = 0.08, 0.03  # relative; s/MPix
TIMED_SIDE = 2048
# correlation with the next pixel that must be flagged from, and must not be up to
FLAGGED, UNFLAGGED = 0.25, 0.17
PHOTONS, BACKGROUNDS = (1, 3, 10, 30, 100, 1000), (0.001, 0.05)

Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Simulated:
    """Noise of a known kind.

    Attributes
    ----------
    name
        What it is.
    add
        Gives the noisy image of a clean one, 0 to 1.
    variance
        Of the noise, over the image.
    correlation
        With the next pixel.
    """

    name: str
    add: Noise
    variance: Callable[[np.ndarray], np.ndarray]
    correlation: float = 0.0


def noise(options: Options) -> Report:
    """All of it; the tables on clean training-side images need ``train/`` beside ``test/``."""
    test = options.data / "test"
    report = Report("Noise, found in the image")
    _on_fmd(test / "fmd", report)
    _on_simulated(test, report)
    if (options.data / "files.csv").is_file():
        _stabilising(options.data, report)
    _cost(options.runs, report)
    return report


def _on_fmd(folder: Path, report: Report) -> None:
    """Predicted over true standard deviation of the noise, image by image."""
    rows, worst = [], 0.0
    fields: dict[str, list[tuple[float, NoiseModel]]] = {}
    for sample in fluorescence_samples(folder):
        found, rest = estimate_noise(sample.noisy), sample.noisy - sample.truth
        ratio = float(np.sqrt(found.variance(sample.truth).mean() / _known_variance(rest)))
        fields.setdefault(sample.group, []).append((ratio, found))
    for name, images in fields.items():
        ratios, models = [ratio for ratio, _ in images], [found for _, found in images]
        worst = max(worst, max(abs(ratio - 1) for ratio in ratios))
        gains, offsets = [found.gain for found in models], [found.offset for found in models]
        along = [max(lags[0] for lags in found.correlation) for found in models]
        spans = [f"{min(values):.{digits}f} to {max(values):.{digits}f}" for values, digits in ((gains, 2), (offsets, 1), (along, 2))]
        rows.append([name, " ".join(f"{ratio:.3f}" for ratio in ratios), *spans])
    caption = (
        "FMD, point-scanning: standard deviation of the noise, predicted from one frame, over that of the difference from the mean of "
        f"{FRAMES}; both over the whole image, the second from its Laplacian, since some frames are shifted against the mean."
    )
    report.tables.append(Table(["field", "predicted / true, frames 1 to 4", "gain", "offset", "correlation"], rows, caption))
    report.targets.append(Target("noise std of FMD, largest error", worst, STD_WITHIN, ""))


def _known_variance(rest: np.ndarray) -> float:
    """Of noise that is all there is in an image, but for slow changes."""
    # the frame is one of those that the mean is of
    return float(np.square(laplacian(rest)).mean()) / left_by_laplacian(rest) * FRAMES / (FRAMES - 1)


def left_by_laplacian(rest: np.ndarray) -> float:
    """The share of the variance of noise (Y, X) that is left of it in its Laplacian: less than one where neighbours share noise."""
    rows, columns = (length // 8 * 8 for length in rest.shape)
    blocks = rest[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return laplacian_gain(sharing_of(blocks).correlation)


def _on_simulated(test: Path, report: Report) -> None:
    """Predicted over true standard deviation, and flags, for known noise."""
    clean = list(_clean(test))
    rows, missed, wrong, of_own = [], 0, 0, 0
    # grain of its own, which cameras and stains leave, is noise too, whoever calls the image clean
    own = [estimate_noise(image).is_correlated for image in clean]
    for case in _cases():
        ratios, flags, along = [], 0, []
        for index, image in enumerate(clean):
            found = estimate_noise(case.add(image, np.random.default_rng(index)))
            ratios.append(float(np.sqrt(found.variance(image).mean() / case.variance(image).mean())))
            flags += found.is_correlated
            of_own += found.is_correlated and own[index] and case.correlation <= UNFLAGGED
            along.append(max(lags[0] for lags in found.correlation))
        missed += len(clean) - flags if case.correlation >= FLAGGED else 0
        wrong += flags if case.correlation <= UNFLAGGED else 0
        within = float(np.mean([abs(ratio - 1) <= STD_WITHIN for ratio in ratios]))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        flagged = f"{flags} of {len(clean)}"
        rows.append(
            [case.name, f"{median(ratios):.3f}", spread, f"{within:.0%}", f"{case.correlation:.2f}", f"{median(along):.2f}", flagged]
        )
    caption = (
        f"Simulated noise on {len(clean)} clean images (clean_micro, and the means of FMD, 0 to 1, at most {SIDE}×{SIDE} pixels). "
        "The weaker the noise, the more of an image's own texture is taken for it."
    )
    columns = ["noise", "predicted / true std, median", "range", f"within {STD_WITHIN:.0%}", "true correlation", "found, median", "flagged"]
    report.tables.append(Table(columns, rows, caption))
    report.notes.append(
        f"Of the {wrong} images that are flagged for nothing, {of_own} are of the {sum(own)} that are flagged as they are, "
        "before any noise is added."
    )
    report.targets.append(Target(f"images with a correlation of {FLAGGED} or more that are not flagged", missed, 0))
    report.targets.append(Target(f"images with a correlation of {UNFLAGGED} or less that are flagged", wrong, 0))


def _clean(test: Path) -> Iterator[np.ndarray]:
    for _, image in clean_images(test / "clean_micro"):
        yield from_zero_to_one(middle(image, SIDE))
    for name, image in clean_images(test / "fmd"):
        if name.startswith("gt__"):
            yield from_zero_to_one(middle(image, SIDE))


def _cases() -> Iterator[Simulated]:
    for sigma in (0.02, 0.05, 0.2):
        yield Simulated(f"Gaussian, σ = {sigma}", *gaussian(sigma))
    for photons in (1, 10, 100, 1000):
        yield Simulated(f"{photons} photons", *_photons(photons, 0.0))
    yield Simulated("10 photons, read noise of 2", *_photons(10, 2.0))
    for width in (0.4, 0.45, 0.5, 0.6, 0.78):
        for sigma in (0.05, 0.15):
            yield Simulated(f"σ = {sigma} under a blur of {width} px", *correlated(sigma, width), _correlation_of_blur(width))


def gaussian(sigma: float) -> tuple[Noise, Callable[[np.ndarray], np.ndarray]]:
    """White noise: what adds it to a clean image, and its variance over that image."""
    return lambda x, rng: x + sigma * rng.standard_normal(x.shape), lambda x: np.full(x.shape, sigma**2)


def _photons(photons: float, read: float) -> tuple[Noise, Callable[[np.ndarray], np.ndarray]]:
    def add(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray((rng.poisson((x + 0.02) * photons) + read * rng.standard_normal(x.shape)) / photons - 0.02)

    return add, lambda x: np.asarray((x + 0.02) / photons + (read / photons) ** 2)


def correlated(sigma: float, width: float) -> tuple[Noise, Callable[[np.ndarray], np.ndarray]]:
    """The same under a Gaussian kernel, whose standard deviation in pixels is its width."""

    def add(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        blurred = ndimage.gaussian_filter(rng.standard_normal(x.shape), width, mode="wrap")
        return np.asarray(x + sigma * blurred / np.sqrt(np.square(_kernel(width)).sum()) ** 2)

    return add, lambda x: np.full(x.shape, sigma**2)


def _kernel(width: float) -> np.ndarray:
    kernel = ndimage.gaussian_filter1d(np.eye(1, 33, 16)[0], width)
    return np.asarray(kernel)


def _correlation_of_blur(width: float) -> float:
    kernel = _kernel(width)
    return float((kernel[1:] * kernel[:-1]).sum() / np.square(kernel).sum())


def _stabilising(data: Path, report: Report) -> None:
    """PSNR of the plain call beside stabilised ones, on images that training never saw but that are no test images."""
    clean = validation_images(data)
    model = load_denoiser(MODEL)
    rows, gains = [], []
    for photons in PHOTONS:
        for background in BACKGROUNDS:
            found = []
            for index, x in enumerate(clean):
                noisy = np.random.default_rng((3, index)).poisson((x + background) * photons) / photons - background
                true = NoiseModel(gain=1 / photons, offset=-background, read_noise=0.0)
                settings: list[dict[str, object]] = [{"noise": "none"}, {"noise": true}, {"noise": "poisson-gaussian"}]
                found.append([psnr(denoised(noisy, model, **each), x, 1.0) for each in settings])
            plain, known, estimated = np.mean(found, 0)
            gains.append(known - plain)
            rows.append([f"{photons} photons, background {background:.1%}", *(f"{score:.2f}" for score in (plain, known, estimated))])
    caption = (
        f"`{MODEL}` on {len(clean)} clean images that training never saw, no test image among them, with simulated photons: "
        f"PSNR in dB. With the true noise stabilised: {min(gains):+.2f} to {max(gains):+.2f} dB."
    )
    report.tables.append(Table(["noise", "as it is", "stabilised, noise known", "stabilised, noise found"], rows, caption))


def validation_images(data: Path) -> list[np.ndarray]:
    """Clean images that training never saw, none of them a test image, at most 256×256 pixels, from 0 to 1."""
    from training.recipes import VALIDATION_SEED, read_recipe

    wanted = read_recipe(MODEL)["data"]
    _, validation = read_clean_images(data, largest_grain=wanted["largest_grain"], smallest_side=wanted["smallest_side"])
    validation += synthetic_images(8, VALIDATION_SEED)
    return [from_zero_to_one(image.pixels[:256, :256].astype(np.float64)) for image in validation[::2]]


def _cost(runs: int, report: Report) -> None:
    image = np.random.default_rng(0).poisson(50, (TIMED_SIDE, TIMED_SIDE)).astype(np.uint16)
    estimate_noise(image)
    cost = median(seconds(lambda: estimate_noise(image)) for _ in range(runs)) / (image.size / 1e6)
    small = image[:SIDE, :SIDE]
    of_small = median(seconds(lambda: estimate_noise(small)) for _ in range(runs))
    report.targets.append(Target(f"finding the noise of {TIMED_SIDE}×{TIMED_SIDE} uint16, by pixel of the image", cost, COST, "s/MPix"))
    report.notes.append(f"Finding the noise of {SIDE}×{SIDE} pixels takes {number(of_small)} s.")
