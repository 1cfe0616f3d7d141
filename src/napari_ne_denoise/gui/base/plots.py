"""A plot that fits into a dock and wears the theme of the window."""

import pyqtgraph
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor

from napari_ne_denoise.gui.base.docks import WIDTH

HEIGHT, AXIS, BELOW = 190, 40, 5  # pixels; pyqtgraph puts the name of an axis a few below the axis, where the picture ends
LINE = "#e8604c"
BAND_ALPHA = 60


class Plot(pyqtgraph.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A plot without a mouse of its own.

    Parameters
    ----------
    bottom, left
        What the axes are called.
    tooltip
        What is to be seen.
    """

    _ready = False  # of the class too: Qt sends its first events from the constructor

    def __init__(self, bottom: str, left: str, tooltip: str) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        for part in (self, self.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # no key does anything here
        self.hideButtons()
        for side, text in (("bottom", bottom), ("left", left)):
            axis = self.getPlotItem().getAxis(side)
            axis.setLabel(text)
            axis.enableAutoSIPrefix(False)
        self.getPlotItem().getAxis("bottom").setHeight(AXIS)
        self.getPlotItem().layout.setContentsMargins(1, 1, 1, BELOW)
        self.dress()
        self.setToolTip(tooltip)
        self._ready = True

    def sizeHint(self) -> QSize:
        """No wider than the dock; pyqtgraph would take 640 pixels."""
        return QSize(WIDTH, HEIGHT)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of the window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._ready:
            self.redraw()

    def redraw(self) -> None:
        """Draw what is shown in the colours of the theme."""
        self.dress()

    def dress(self) -> QColor:
        """Take the theme's colours for ground and axes; the latter."""
        ground = self.palette().window().color()
        colour = QColor("#e0e0e0" if ground.lightness() < 128 else "#303030")
        self.setBackground(ground)
        for side in ("bottom", "left"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(colour)
        return colour


def band_colour() -> QColor:
    """Of an uncertainty around a line."""
    colour = QColor(LINE)
    colour.setAlpha(BAND_ALPHA)
    return colour
