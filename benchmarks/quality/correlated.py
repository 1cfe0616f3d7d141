"""Spatially correlated noise, simulated: what it costs against white noise of the same variance, and what it must cost.

The noise is white noise under a Gaussian kernel, wrapped around the borders, so that its spectrum is known exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.images import MICROGRAPH_SIDE, MICROGRAPH_SIGMA, Sample, micrographs
from benchmarks.options import Options
from benchmarks.quality.classical import BM3D
from benchmarks.quality.methods import NOISY, TRUTH, peers_for_known_spectra
from benchmarks.quality.scores import Comparison, Method, Scoreboard
from benchmarks.report import Report, Table, Target

WHITE, WIDTHS = 0.0, (0.4, 0.7, 1.0)  # standard deviations of the kernel, in pixels
REACH = 4  # of the kernel, in pixels

BEYOND_WIENER, BELOW_BM3D, LAG = 1.0, 0.5, 0.1
CAPTION = (
    f"Noise of {MICROGRAPH_SIGMA:.0%} of the range under a Gaussian kernel, on clean micrographs (at most "
    f"{MICROGRAPH_SIDE}×{MICROGRAPH_SIDE} pixels, 0…1). Wiener: the linear filter that is told the power spectra of this noise and of this "
    "very clean image. BM3D is told the spectrum of the noise."
)


def correlated(options: Options, board: Scoreboard, models: Sequence[Method]) -> Report:
    """Three tables: PSNR, loss against white noise, correlation of what was taken away."""
    methods = [NOISY, *models, WIENER, *(peers_for_known_spectra() if options.peers else [])]
    folder = options.data / "test" / "clean_micro"
    found = {
        width: board.compare(name_of(width), islice(samples(folder, width), options.limit), [*methods, TRUTH]) for width in (WHITE, *WIDTHS)
    }
    return Report("Correlated", list(_tables(found, methods)), list(_targets(found, [model for model in models if model.aims])))


def samples(folder: Path, width: float) -> Iterator[Sample]:
    """`micrographs`, with their noise under a kernel.

    Parameters
    ----------
    folder
        With the micrographs.
    width
        Standard deviation of the kernel in pixels, 0 for white noise.
    """
    for sample in micrographs(folder):
        kernel = transfer(sample.truth.shape, width)
        noise = np.fft.ifft2(np.fft.fft2(sample.noisy - sample.truth) * kernel).real
        spectrum = MICROGRAPH_SIGMA**2 * sample.truth.size * np.abs(kernel) ** 2
        yield replace(sample, noisy=sample.truth + noise, spectrum=spectrum)


def transfer(shape: tuple[int, ...], width: float) -> np.ndarray:
    """Fourier transform of the kernel that keeps the variance."""
    at = np.arange(-REACH, REACH + 1)
    profile = np.exp(-0.5 * (at / width) ** 2) if width else (at == 0).astype(float)
    kernel = np.outer(profile, profile)
    return np.asarray(np.fft.fft2(kernel / np.sqrt(np.square(kernel).sum()), shape))


def wiener(sample: Sample) -> np.ndarray:
    """The linear filter that knows both spectra: better than any linear filter that does not."""
    signal = np.abs(np.fft.fft2(sample.truth)) ** 2
    return np.asarray(np.fft.ifft2(np.fft.fft2(sample.noisy) * signal / (signal + sample.spectrum)).real)


def name_of(width: float) -> str:
    """As it stands in the tables."""
    return f"kernel of {width:g} px" if width else "white"


WIENER = Method("Wiener, oracle", "Wiener, both spectra known", wiener)


def _tables(found: Mapping[float, Comparison], methods: Sequence[Method]) -> Iterator[Table]:
    names = [method.name for method in methods]
    psnrs = [[name_of(width), *(f"{found[width].mean(name):.2f}" for name in names)] for width in found]
    yield Table(["PSNR, dB", *names], psnrs, CAPTION)
    denoisers = names[1:]
    losses = [[name_of(width), *(f"{_loss(found, width, name):.2f}" for name in denoisers)] for width in WIDTHS]
    yield Table(["loss against white noise, dB", *denoisers], losses)
    lags = [[name_of(width), *(f"{found[width].lag(name):.2f}" for name in (TRUTH.name, *denoisers))] for width in found]
    yield Table(["correlation at one pixel of", "the noise", *(f"residual, {name}" for name in denoisers)], lags)


def _targets(found: Mapping[float, Comparison], models: Sequence[Method]) -> Iterator[Target]:
    for name in (model.name for model in models):
        for width in WIDTHS:
            comparison, where = found[width], f"{name}, {name_of(width)}"
            beyond = _loss(found, width, name) - _loss(found, width, WIENER.name)
            yield Target(f"{where}: loss beyond that of Wiener", beyond, BEYOND_WIENER, "dB")
            if BM3D.name in comparison.found:
                yield Target(
                    f"{where}: below {BM3D.name}, true spectrum", comparison.mean(BM3D.name) - comparison.mean(name), BELOW_BM3D, "dB"
                )
            difference = abs(comparison.lag(name) - comparison.lag(TRUTH.name))
            yield Target(f"{where}: correlation of residual from that of noise", difference, LAG)


def _loss(found: Mapping[float, Comparison], width: float, name: str) -> float:
    return found[WHITE].mean(name) - found[width].mean(name)
