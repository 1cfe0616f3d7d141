"""The figure of docs/noise.md: the noise curve found in one noisy frame, beside what the frame's difference from its truth says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.document import DOCS
from benchmarks.images import Sample, fluorescence_samples, paired_samples
from benchmarks.noise.suite import FRAMES, left_by_laplacian
from benchmarks.pictures import save
from napari_ne_denoise import NoiseModel, estimate_noise
from napari_ne_denoise.core.metrics import fit_gain_and_offset
from napari_ne_denoise.core.statistics import laplacian

BINS = 24  # of brightness, of about equally many pixels; the brightest are cut finer
BRIGHT = (0.97, 0.985, 0.995, 0.999)  # shares of pixels
LINE, DOTS = "#c0392b", "#555555"


def draw_curves(data: Path, out: Path | None = None) -> Path:
    """Draw a panel for one frame of each field of FMD, and one of GigaDB; the file written."""
    from matplotlib.figure import Figure  # of the `bench` extra

    samples = list(_samples(data / "test"))
    figure = Figure(figsize=(11, 6.4), dpi=110, layout="constrained")
    for axes, sample in zip(figure.subplots(2, 3).flat, samples, strict=True):
        _panel(axes, sample)
    figure.supxlabel("brightness, grey levels")
    figure.supylabel("noise: standard deviation, grey levels")
    path = (out or DOCS / "images") / "noise-curves.png"
    save(figure, path)
    return path


def _samples(test: Path) -> Iterator[Sample]:
    yield from fluorescence_samples(test / "fmd", one_per_field=True)
    yield next(paired_samples(test / "gigadb", scaled_apart=True))


def true_curve(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and standard deviation of the noise there, from noisy image and truth; bins in which the truth is clipped are left out."""
    noisy, truth = sample.noisy.astype(np.float64), sample.truth
    if sample.scaled_apart:
        truth = fit_gain_and_offset(truth, noisy)
    # the Laplacian takes away what the two do not share but that is smooth: bleaching, and a shift of a fraction of a pixel
    squares = (np.square(laplacian(noisy - truth)) / left_by_laplacian(noisy - truth)).ravel()
    shades = truth[1:-1, 1:-1].ravel()
    edges = np.unique(np.quantile(shades, [*np.linspace(0, BRIGHT[0], BINS)[:-1], *BRIGHT, 1.0]))
    members = np.clip(np.searchsorted(edges, shades, side="right") - 1, 0, len(edges) - 2)
    counts = np.maximum(np.bincount(members, minlength=len(edges) - 1), 1)
    levels = np.bincount(members, shades, len(edges) - 1) / counts
    # of FMD the frame is one of those that the truth is the mean of
    kept = 1.0 if sample.scaled_apart else (FRAMES - 1) / FRAMES
    return levels, np.sqrt(np.bincount(members, squares, len(edges) - 1) / counts / kept)


def _panel(axes: Any, sample: Sample) -> None:
    found: NoiseModel = estimate_noise(sample.noisy)
    levels, stds = true_curve(sample)
    at = np.linspace(min(levels.min(), found.offset), levels.max(), 200)
    line, share = found.std(at), found.uncertainty or 0.0
    axes.plot(levels, stds, "o", color=DOTS, markersize=4, label="from noisy − truth")
    axes.plot(at, line, color=LINE, label="found in the noisy frame alone")
    axes.fill_between(at, line * (1 - share), line * (1 + share), color=LINE, alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_title(sample.group.replace("_", " ") or sample.name, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
