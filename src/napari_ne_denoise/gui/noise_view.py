"""The curve of the noise over the brightness."""

import numpy as np
import pyqtgraph
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor

from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.gui.docks import WIDTH

HEIGHT, AXIS = 190, 44  # pixels
POINTS = 200  # of the line
LINE, LEARNED = "#e8604c", "#3b9ad9"


class NoiseView(pyqtgraph.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Standard deviation of the noise over the brightness: measured points with their errors, the fitted line with its uncertainty."""

    _shown: tuple[NoiseModel, LearnedNoise | None] | None = None  # of the class too: Qt sends its first events from the constructor

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        for side, text in (("bottom", "brightness"), ("left", "noise (std)")):
            axis = self.getPlotItem().getAxis(side)
            axis.setLabel(text)
            axis.enableAutoSIPrefix(False)
        self.getPlotItem().getAxis("bottom").setHeight(AXIS)
        self._dress()
        self.setToolTip(
            "Standard deviation of the noise over the brightness, both in image units.\nPoints: measured. Line: what was fitted.\n"
            "Dashed: what self-calibration learned."
        )

    def sizeHint(self) -> QSize:
        """No wider than the dock; pyqtgraph would take 640 pixels."""
        return QSize(WIDTH, HEIGHT)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of the window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._shown is not None:
            self.show_noise(*self._shown)

    def show_noise(self, noise: NoiseModel, learned: LearnedNoise | None = None) -> None:
        """Draw the curve of this noise, and the one that self-calibration learned, if any."""
        self.clear()
        self._shown = noise, learned
        if not noise.curve:
            return
        colour = self._dress()
        levels = np.array([point.level for point in noise.curve])
        stds = np.sqrt([point.variance for point in noise.curve])
        errors = np.array([point.standard_error for point in noise.curve]) / np.maximum(2 * stds, np.finfo(float).tiny)
        at = np.linspace(min(levels.min(), noise.offset), levels.max(), POINTS)
        line, share = noise.std(at), noise.uncertainty or 0.0
        low, high = (pyqtgraph.PlotCurveItem(at, line * (1 + sign * share)) for sign in (-1, 1))
        band = QColor(LINE)
        band.setAlpha(60)
        self.addItem(pyqtgraph.FillBetweenItem(low, high, brush=band))
        self.addItem(pyqtgraph.ErrorBarItem(x=levels, y=stds, height=2 * errors, beam=0, pen=colour))
        self.plot(at, line, pen=pyqtgraph.mkPen(LINE, width=2))
        self.plot(levels, stds, pen=None, symbol="o", symbolSize=5, symbolBrush=colour, symbolPen=None)
        if learned is not None:
            seen = np.linspace(levels.min(), levels.max(), POINTS)
            self.plot(seen, learned.std(seen), pen=pyqtgraph.mkPen(LEARNED, width=2, style=Qt.PenStyle.DashLine))
        self.setYRange(0, float(max(stds.max(), line.max())) * 1.15 or 1.0)
        self.setXRange(float(at[0]), float(at[-1]))

    def _dress(self) -> QColor:
        """Take the theme's colours for ground and axes; the latter."""
        ground = self.palette().window().color()
        colour = QColor("#e0e0e0" if ground.lightness() < 128 else "#303030")
        self.setBackground(ground)
        for side in ("bottom", "left"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(colour)
        return colour
