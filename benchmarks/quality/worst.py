"""Pictures of the images that came out worst, to look at: figures do not say what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import Sample
from benchmarks.quality.methods import NOISY
from benchmarks.quality.scores import Comparison, Method

SHOWN = 5


def write_worst(folder: Path, comparison: Comparison, samples: Sequence[Sample], model: Method, baseline: str) -> Path:
    """Draw the worst images of a set: noisy, denoised, what was taken away, truth.

    Parameters
    ----------
    folder
        For the picture, made if it is not there.
    comparison, samples
        What the model reached on a set, and the set.
    model
        Whose results are drawn.
    baseline
        Method whose PSNR is compared with; where it was not measured, the lowest PSNR counts.
    """
    from matplotlib.figure import Figure  # of the `bench` extra

    chosen = worst(comparison, model.name, baseline)
    figure = Figure(figsize=(13, 3.5 * len(chosen)), dpi=110, layout="constrained")
    for axes, index in zip(figure.subplots(len(chosen), 4, squeeze=False), chosen, strict=True):
        reached = {name: comparison.psnrs(name)[index] for name in (NOISY.name, model.name, baseline) if name in comparison.found}
        _draw(axes, samples[index], model, reached)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_plain(model.name)}-{_plain(comparison.name)}.png"
    figure.savefig(path)
    return path


def worst(comparison: Comparison, model: str, baseline: str) -> list[int]:
    """Indices of the worst images, the worst first."""
    figures = np.array(comparison.psnrs(model))
    if baseline in comparison.found:
        figures = figures - comparison.psnrs(baseline)
    return [int(index) for index in np.argsort(figures, kind="stable")[:SHOWN]]


def _draw(axes: Any, sample: Sample, model: Method, reached: dict[str, float]) -> None:
    result = model.denoise(sample)
    taken = sample.noisy.astype(np.float64) - result
    grey = dict(zip(("vmin", "vmax"), np.percentile(sample.truth, (0.5, 99.5)), strict=True), cmap="gray")
    most = float(np.percentile(np.abs(taken), 99.5)) or 1.0
    noisy, *others = (f"{name} {psnr:.2f} dB" for name, psnr in reached.items())
    pictures = {
        f"{sample.name}: {noisy}": (sample.restored(sample.noisy), grey),
        ", ".join(others): (sample.restored(result), grey),
        f"taken away, ±{most:.3g}": (taken, {"vmin": -most, "vmax": most, "cmap": "RdBu_r"}),
        "truth": (sample.truth, grey),
    }
    for panel, (title, (image, colours)) in zip(axes, pictures.items(), strict=True):
        panel.imshow(image, interpolation="nearest", **colours)
        panel.set_title(title, fontsize=8)
        panel.set_axis_off()


def _plain(name: str) -> str:
    """For the name of a file."""
    return re.sub("[^0-9a-z]+", "-", name.lower()).strip("-")
