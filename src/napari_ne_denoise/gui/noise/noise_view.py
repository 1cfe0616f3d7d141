"""The curve of the noise over the brightness."""

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt

from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.gui.base.plots import LINE, Plot, band_colour

POINTS = 200  # of the line
LEARNED = "#3b9ad9"


class NoiseView(Plot):
    """Standard deviation of the noise over the brightness: measured points with their errors, the fitted line with its uncertainty."""

    def __init__(self) -> None:
        self._shown: tuple[NoiseModel, LearnedNoise | None] | None = None
        super().__init__(
            "brightness",
            "noise (std)",
            "Standard deviation of the noise over the brightness, both in image units.\nPoints: measured. Line: what was fitted.\n"
            "Dashed: what self-calibration learned.",
        )
        self._show_scales(False)

    def redraw(self) -> None:
        """Draw what is shown in the colours of the theme."""
        self.dress()
        if self._shown is not None:
            self.show_noise(*self._shown)

    def show_noise(self, noise: NoiseModel, learned: LearnedNoise | None = None) -> None:
        """Draw the curve of this noise, and the one that self-calibration learned, if any."""
        self.clear()
        self._shown = noise, learned
        self._show_scales(bool(noise.curve))
        if not noise.curve:
            return
        colour = self.dress()
        levels = np.array([point.level for point in noise.curve])
        stds = np.sqrt([point.variance for point in noise.curve])
        errors = np.array([point.standard_error for point in noise.curve]) / np.maximum(2 * stds, np.finfo(float).tiny)
        at = np.linspace(min(levels.min(), noise.offset), levels.max(), POINTS)
        line, share = noise.std(at), noise.uncertainty or 0.0
        low, high = (pyqtgraph.PlotCurveItem(at, line * (1 + sign * share)) for sign in (-1, 1))
        self.addItem(pyqtgraph.FillBetweenItem(low, high, brush=band_colour()))
        self.addItem(pyqtgraph.ErrorBarItem(x=levels, y=stds, height=2 * errors, beam=0, pen=colour))
        self.plot(at, line, pen=pyqtgraph.mkPen(LINE, width=2))
        self.plot(levels, stds, pen=None, symbol="o", symbolSize=5, symbolBrush=colour, symbolPen=None)
        if learned is not None:
            seen = np.linspace(levels.min(), levels.max(), POINTS)
            self.plot(seen, learned.std(seen), pen=pyqtgraph.mkPen(LEARNED, width=2, style=Qt.PenStyle.DashLine))
        self.setYRange(0, float(max(stds.max(), line.max())) * 1.15 or 1.0)
        self.setXRange(float(at[0]), float(at[-1]))

    def _show_scales(self, shown: bool) -> None:
        """Without a curve pyqtgraph would count from 0 to 1, which is no noise of anything."""
        for side in ("bottom", "left"):
            self.getPlotItem().getAxis(side).setStyle(showValues=shown)
