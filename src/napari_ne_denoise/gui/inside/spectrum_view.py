"""The singular values of a patch as a curve, its patterns as pictures, and all of it in words."""

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt

from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.plots import LINE, Plot
from napari_ne_denoise.gui.inside.thumbnails import Row, Thumbnail, grey
from napari_ne_denoise.gui.inside.weight_colours import limit_of, to_rgba

if TYPE_CHECKING:
    from napari_ne_denoise.core.jacobian.spectrum import PatchSpectrum

LEAST = 1e-3  # smaller values are drawn as this
PATTERNS = 5  # beside each other
ROWS = {
    "Numbers kept": "Σ s², the effective dimensionality: of so many parts, white noise of the patch is left.\n"
    "Were some patterns kept and all others removed, so many would be kept.",
    "Shared by": "(Σ s²)² / Σ s⁴: so many patterns share what is kept, if they shared alike",
    "Own weight": "Σ ∂fᵢ/∂yᵢ over the number of pixels, which Stein's estimate of the error needs:\n"
    "1 is a patch that was left as it is, 0 one whose pixels are made of others",
    "From inside": "Share of the filters' weights that lies in the patch; its surroundings give the rest,\n"
    "and are not counted among the numbers that are kept",
    "Shown by these": "Share of the contrast that as many of the first patterns as numbers are kept can show,\n"
    "of the denoised patch and of what was removed",
    "Not symmetric": "‖A − Aᵀ‖ / ‖A + Aᵀ‖: what is looked for and what the result gets for it are different patterns, unless this is 0",
}


class SpectrumView(Plot):
    """Singular values over their number, on a logarithmic scale; a line where the numbers that are kept end."""

    def __init__(self) -> None:
        self._shown: PatchSpectrum | None = None
        tooltip = "How much of each pattern gets through: 1 is all of it, 0.01 a hundredth.\nDashed: as many patterns as numbers are kept."
        super().__init__("pattern", "share kept", tooltip)
        self.getPlotItem().setLogMode(y=True)

    def redraw(self) -> None:
        """Draw what is shown in the colours of the theme."""
        self.dress()
        if self._shown is not None:
            self.show_spectrum(self._shown)

    def show_spectrum(self, spectrum: "PatchSpectrum") -> None:
        """Draw this one."""
        self.clear_spectrum()
        self._shown = spectrum
        colour = self.dress()
        number = np.arange(1, spectrum.pixels + 1)
        self.plot(number, np.maximum(spectrum.values, LEAST), pen=pyqtgraph.mkPen(LINE, width=2))
        self.addItem(pyqtgraph.InfiniteLine(spectrum.numbers_kept, pen=pyqtgraph.mkPen(colour, style=Qt.PenStyle.DashLine)))
        self.setXRange(0, spectrum.pixels, padding=0.02)
        self.setYRange(np.log10(LEAST), np.log10(max(2.0, float(spectrum.values[0]))), padding=0)

    def clear_spectrum(self) -> None:
        """Draw nothing."""
        self._shown = None
        self.clear()


def headline(spectrum: "PatchSpectrum") -> str:
    """In a sentence or two."""
    kept, pixels = spectrum.numbers_kept, spectrum.pixels
    share = kept / pixels
    if share > 0.5:
        meaning = "Nearly everything is kept, noise too."
    elif share > 0.1:
        meaning = "Much is kept: there is much structure here, and noise that looks like it stays."
    elif share > 0.02:
        meaning = "Some patterns of structure are kept, and the rest, noise above all, is removed."
    else:
        meaning = "Next to nothing is kept of the patch itself: it is taken for flat, and averaged."
    return f"Keeps {_count(kept)} of {pixels:,} numbers. {meaning}"


def describe_spectrum(spectrum: "PatchSpectrum") -> dict[str, str]:
    """A value for each row of `ROWS`."""
    of_result, of_removed = spectrum.share_in_made(spectrum.denoised), spectrum.share_in_seen(spectrum.noisy - spectrum.denoised)
    return {
        "Numbers kept": f"{_count(spectrum.numbers_kept)} of {spectrum.pixels:,}",
        "Shared by": f"{_count(spectrum.participation)} patterns",
        "Own weight": f"{spectrum.trace / spectrum.pixels:.3f} a pixel",
        "From inside": percent(spectrum.own_share),
        "Shown by these": f"{percent(of_result)} of the result, {percent(of_removed)} of what was removed",
        "Not symmetric": f"{spectrum.asymmetry:.2f}",
    }


def rows_of(spectrum: "PatchSpectrum") -> list[Row]:
    """The patch before and after, and its first and last patterns."""
    removed, both = spectrum.noisy - spectrum.denoised, np.concatenate([spectrum.noisy, spectrum.denoised])
    limits, count = (float(both.min()), float(both.max())), min(PATTERNS, spectrum.pixels)
    patch = (
        Thumbnail(grey(spectrum.noisy, limits), "The noisy patch"),
        Thumbnail(grey(spectrum.denoised, limits), "The denoised patch"),
        Thumbnail(to_rgba(removed, limit_of(removed)), "What was removed: orange was taken away, blue was added"),
    )
    last = range(spectrum.pixels - count, spectrum.pixels)
    return [
        Row("noisy, denoised, removed", patch),
        Row("looked for in the noisy one, strongest first", [_pattern(spectrum, "seen", number) for number in range(count)]),
        Row("what the result gets for it", [_pattern(spectrum, "made", number) for number in range(count)]),
        Row("what is removed", [_pattern(spectrum, "seen", number) for number in last]),
    ]


def _pattern(spectrum: "PatchSpectrum", kind: str, number: int) -> Thumbnail:
    values = getattr(spectrum, kind)[number]
    return Thumbnail(to_rgba(values, limit_of(values)), f"Pattern {number + 1:,}: {spectrum.values[number]:.3g} of it gets through")


def _count(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"
