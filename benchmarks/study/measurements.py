"""What the study measures: PSNR where the noise is not that of training, the range of normalisation, the filter of one pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from skimage import io

from benchmarks.images import Sample, gaussian_samples
from benchmarks.ours import computed_by
from benchmarks.quality.scores import Method, Scoreboard
from benchmarks.study.networks import StudyError, Variant
from napari_ne_denoise.core.equivariance import (
    EquivarianceErrors,
    RangeDifference,
    compare_normalisations,
    measure_equivariance,
    with_normalisation,
)
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.tiling import inside, square_around

PEAK = 255  # all levels of noise are written in grey levels of 8 bits; networks get 0 to 1
TRAINED_AT = 25

# every image takes a second or two for each level: the larger set gets fewer
SIGMAS = {"set12": (2, 5, 11, 15, 25, 35, 53, 75, 100), "bsd68": (5, 11, 25, 53, 100)}
# the range that the darkest and the brightest pixel are mapped to: narrower and wider ones, then shifted ones
WIDTHS = tuple((0.0, high) for high in (0.25, 0.5, 1.0, 2.0, 4.0))
SHIFTS = tuple((low, low + 1) for low in (-1.0, -0.5, 0.0, 0.5, 1.0))

# actin of the sample data of the package (GigaDB 100888, CC0): rows and columns
PART = (slice(40, 296), slice(110, 366))
PIXEL = (156, 112)  # of that part, on a filament
CROP, SUPPORT = 96, 21  # sides in pixels of what is shown
POSTER_SIGMAS = (5, 25, 53)

SetScores = dict[str, dict[float, float]]  # dB by variant and noise
RangeScores = dict[str, dict[tuple[float, float], float]]  # dB by variant and range
Denoise = Callable[[np.ndarray], np.ndarray]


def all_scores(folder: Path, limit: int | None, variants: Sequence[Variant], board: Scoreboard) -> dict[str, SetScores]:
    """Mean PSNR in dB by set, variant and noise.

    Parameters
    ----------
    folder
        With the sets.
    limit
        How many images of each set to take.  None: all.
    variants, board
        What to measure, and what keeps it.
    """
    found: dict[str, SetScores] = {name: {variant.name: {} for variant in variants} for name in SIGMAS}
    for name, sigmas in SIGMAS.items():
        for sigma in sigmas:
            samples = _samples(folder / name, sigma, limit)
            for variant in variants:
                method = _method(variant.name, variant, variant.denoise)
                found[name][variant.name][sigma] = _mean(board, f"{name}, σ = {sigma}", samples, method)
    return found


def all_ranges(folder: Path, limit: int | None, variants: Sequence[Variant], board: Scoreboard) -> RangeScores:
    """Mean PSNR in dB on Set12 at the noise of training when images are mapped to a range first and back after, by variant and range.

    The range is that of the darkest and the brightest pixel of the noisy image; the rest as in `all_scores`.
    """
    samples = _samples(folder / "set12", TRAINED_AT, limit)
    found: RangeScores = {variant.name: {} for variant in variants}
    for limits in dict.fromkeys(WIDTHS + SHIFTS):
        for variant in variants:
            denoise = partial(_in_range, variant.denoise, limits)
            method = _method(f"{variant.name} in [{limits[0]:g}, {limits[1]:g}]", variant, denoise)
            found[variant.name][limits] = _mean(board, "ranges", samples, method)
    return found


def _samples(folder: Path, sigma: float, limit: int | None) -> list[Sample]:
    samples = list(islice(gaussian_samples(folder, sigma), limit))
    if not samples:
        raise StudyError(f"{folder}: holds no PNG files; give the folder above test/set12 and test/bsd68 as --data.")
    return samples


def _method(name: str, variant: Variant, denoise: Denoise) -> Method:
    return Method(name, f"{name} {variant.sha256}; {computed_by()}", lambda sample: PEAK * denoise(sample.noisy / PEAK))


def _in_range(denoise: Denoise, limits: tuple[float, float], image: np.ndarray) -> np.ndarray:
    return with_normalisation(denoise, image, *limits)


def _mean(board: Scoreboard, name: str, samples: Sequence[Sample], method: Method) -> float:
    return float(np.mean([found.psnr for found in board.scores(name, samples, method)]))


@dataclass(frozen=True)
class LawFindings:
    """How well one variant keeps the law, and what a range of normalisation does to its result (in units of 0 to 1)."""

    errors: EquivarianceErrors
    ranges: tuple[RangeDifference, ...]


def law(variant: Variant) -> LawFindings:
    """What `check` measures too, in float64, on the picture of the poster with the noise of training."""
    image = noisy_picture(TRAINED_AT)
    errors = measure_equivariance(variant.denoise_exactly, image, scales=(1e-3, 1e3), shifts=(-100.0, 1e3))
    return LawFindings(errors, compare_normalisations(variant.denoise_exactly, image))


@dataclass(frozen=True)
class PixelView:
    """What the poster shows of one variant and one level of noise.

    Attributes
    ----------
    crop : (CROP, CROP)
        Part of the result, 0 to 1.
    decibel
        PSNR of that part.
    weights : (SUPPORT, SUPPORT)
        The filter of the pixel in its middle: a row of the Jacobian.
    total
        Sum of all weights of the row, those outside of `weights` included.
    rest
        What weights times image lacks of the output, in grey levels.
    """

    crop: np.ndarray
    decibel: float
    weights: np.ndarray
    total: float
    rest: float


def view(variant: Variant, sigma: float) -> PixelView:
    """Denoise the picture of the poster, and look where one pixel came from; in float64.

    Unlike `adaptive_filter` this takes the bare network, as it was trained: an ordinary one on 0 to 1 and not on the range of the noisy
    image, and the wrapper as a whole, statistics included.
    """
    noisy = noisy_picture(sigma)
    x = torch.from_numpy(noisy)[None, None].requires_grad_()  # 1, 1, Y, X
    output = variant.in_float64(x)
    (gradient,) = torch.autograd.grad(output[0, 0, *PIXEL], x)
    denoised, weights = output.detach()[0, 0].numpy(), gradient[0, 0].numpy()
    crop = around_pixel(denoised, CROP)
    return PixelView(
        crop,
        psnr(crop, around_pixel(clean_picture(), CROP), 1),
        around_pixel(weights, SUPPORT),
        total=float(weights.sum()),
        rest=PEAK * float(denoised[PIXEL] - (weights * noisy).sum()),
    )


def clean_picture() -> np.ndarray:
    """Actin in a cultured cell, (256, 256) float64 from 0 to 1; a picture that may be published."""
    with as_file(files("napari_ne_denoise") / "sample_data" / "actin_clean.tif") as path:
        return np.asarray(io.imread(path)[PART] / PEAK, np.float64)


def noisy_picture(sigma: float) -> np.ndarray:
    """The same with white Gaussian noise of `sigma` grey levels."""
    clean = clean_picture()
    return np.asarray(clean + sigma / PEAK * np.random.default_rng(0).standard_normal(clean.shape))


def around_pixel(plane: np.ndarray, side: int) -> np.ndarray:
    """The square of a plane around the pixel that the poster looks at."""
    whole = (slice(0, plane.shape[0]), slice(0, plane.shape[1]))
    return plane[inside(square_around(PIXEL, side, whole), whole)]
