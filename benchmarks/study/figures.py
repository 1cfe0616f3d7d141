"""The figures of the study; of the `bench` extra, since they are drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pictures import save
from benchmarks.study.measurements import (
    CROP,
    PEAK,
    POSTER_SIGMAS,
    SHIFTS,
    SUPPORT,
    TRAINED_AT,
    WIDTHS,
    PixelView,
    RangeScores,
    SetScores,
    around_pixel,
    clean_picture,
    noisy_picture,
    view,
)
from benchmarks.study.networks import TITLES, Variant
from napari_ne_denoise.core.metrics import psnr

COLOURS = {"ordinary": "#555555", "scale-equiv": "#2c7fb8", "norm-equiv": "#c0392b", "wne": "#d99000"}
# the widest is drawn first, so that lines on top of each other are all seen
WIDTHS_OF_LINES = {"ordinary": 4, "scale-equiv": 3, "norm-equiv": 2, "wne": 1}
SETS = {"set12": "Set12", "bsd68": "BSD68"}
_SMALL = 8  # points


def draw_scores(measured: Mapping[str, SetScores], published: Mapping[str, SetScores], path: Path) -> None:
    """PSNR over the noise of the test, a panel for each set; published figures as hollow marks."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(9.5, 4.2), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(measured), sharey=True)
    for axes, (name, scores) in zip(panels, measured.items(), strict=True):
        _plain(axes, f"{SETS[name]}, trained at σ = {TRAINED_AT} only", "σ of the noise in grey levels of 255")
        levels = np.linspace(2, 100, 200)
        axes.plot(levels, [noisy_psnr(level) for level in levels], color="#bbbbbb", linewidth=1, linestyle=":")
        axes.axvline(TRAINED_AT, color="#dddddd", linewidth=1, zorder=0)
        for variant, of_sigma in scores.items():
            axes.plot(
                list(of_sigma), list(of_sigma.values()), "o-", color=COLOURS[variant], markersize=4, linewidth=WIDTHS_OF_LINES[variant]
            )
        for variant, of_sigma in published.get(name, {}).items():
            axes.plot(list(of_sigma), list(of_sigma.values()), "D", color=COLOURS[variant], markerfacecolor="none", markersize=6)
    panels[0].set_ylabel("PSNR, dB")
    marks = [Line2D([], [], color=COLOURS[name], marker="o", markersize=4, label=title) for name, title in TITLES.items()]
    marks.append(Line2D([], [], color="black", linestyle="", marker="D", markerfacecolor="none", label="published FDnCNN of that colour"))
    marks.append(Line2D([], [], color="#bbbbbb", linestyle=":", label="noisy image"))
    panels[0].legend(handles=marks, fontsize=_SMALL, frameon=False, loc="upper right")
    save(figure, path)


def draw_ranges(measured: RangeScores, path: Path) -> None:
    """PSNR over the range that images are normalised to: how wide it is, and where it begins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.8), dpi=150, layout="constrained")
    wide, shifted = figure.subplots(1, 2, sharey=True)
    _plain(wide, "T⁻¹ ∘ f ∘ T, range [0, b]", "b")
    wide.set_xscale("log", base=2)
    wide.set_xticks([high for _, high in WIDTHS], [f"{high:g}" for _, high in WIDTHS])
    _plain(shifted, "T⁻¹ ∘ f ∘ T, range [a, a + 1]", "a")
    shifted.set_xticks([low for low, _ in SHIFTS], [f"{low:g}" for low, _ in SHIFTS])
    for name, scores in measured.items():
        style = {"color": COLOURS[name], "marker": "o", "markersize": 4, "linewidth": WIDTHS_OF_LINES[name]}
        wide.plot([high for _, high in WIDTHS], [scores[limits] for limits in WIDTHS], label=TITLES[name], **style)
        shifted.plot([low for low, _ in SHIFTS], [scores[limits] for limits in SHIFTS], **style)
    wide.set_ylabel("PSNR, dB")
    wide.legend(fontsize=_SMALL, frameon=False)
    save(figure, path)


def draw_poster(variants: Sequence[Variant], path: Path) -> None:
    """Rows are variants, columns levels of noise: the denoised crop, and beside it the filter of the pixel in its middle."""
    from matplotlib.figure import Figure

    rows = len(variants) + 1
    figure = Figure(figsize=(11.2, 2.02 * rows + 0.3), dpi=130)
    # fixed places: a layout that is solved for takes minutes for so many pictures
    groups = figure.add_gridspec(1, len(POSTER_SIGMAS), left=0.032, right=0.998, top=0.965, bottom=0.025, wspace=0.035)
    low, high = 0.0, float(around_pixel(clean_picture(), SUPPORT).max())
    for column, sigma in enumerate(POSTER_SIGMAS):
        cells: Any = groups[column].subgridspec(rows, 2, wspace=0.03, hspace=0.12).subplots()
        cells[0, 0].set_title(f"σ = {sigma}" + (", as in training" if sigma == TRAINED_AT else ""), fontsize=11, loc="left")
        _noisy_row(cells[0], sigma, low, high)
        for row, variant in zip(cells[1:], variants, strict=True):
            _variant_row(row, view(variant, sigma), low, high)
        if column == 0:
            for row, label in zip(cells, ["noisy, and clean", *(TITLES[variant.name] for variant in variants)], strict=True):
                row[0].set_ylabel(label, fontsize=9)
    save(figure, path)


def _noisy_row(cells: np.ndarray, sigma: float, low: float, high: float) -> None:
    noisy = around_pixel(noisy_picture(sigma), CROP)
    clean = clean_picture()
    _picture(cells[0], noisy, f"{psnr(noisy, around_pixel(clean, CROP), 1):.1f} dB", cmap="gray", vmin=low, vmax=high)
    _frame_middle(cells[0], SUPPORT)
    _picture(cells[1], around_pixel(clean, SUPPORT), "clean, around the pixel", cmap="gray", vmin=low, vmax=high)
    _frame_middle(cells[1], 1)


def _variant_row(cells: np.ndarray, shown: PixelView, low: float, high: float) -> None:
    _picture(cells[0], shown.crop, f"{shown.decibel:.1f} dB", cmap="gray", vmin=low, vmax=high)
    limit = float(np.abs(shown.weights).max())
    explained = f"Σw = {shown.total:.2f}, rest {shown.rest:.1f}".replace("-", "−").replace("−0.0", "0.0")
    _picture(cells[1], shown.weights, explained, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _picture(axes: Any, pixels: np.ndarray, label: str, **how: Any) -> None:
    axes.imshow(pixels, interpolation="nearest", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(label, fontsize=_SMALL, labelpad=2)


def _frame_middle(axes: Any, side: int) -> None:
    """A frame around the middle (side, side) pixels of a picture."""
    from matplotlib.patches import Rectangle

    height, width = axes.get_images()[0].get_array().shape
    corner = (width // 2 - side // 2 - 0.5, height // 2 - side // 2 - 0.5)
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="#f0c000", linewidth=1))


def noisy_psnr(sigma: float) -> float:
    """PSNR in dB of an image that nothing was done to."""
    return float(20 * np.log10(PEAK / sigma))


def _plain(axes: Any, title: str, label: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
