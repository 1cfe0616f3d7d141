"""The plot of a line profile."""

import numpy as np
import pyqtgraph

from napari_ne_denoise.gui.base.plots import LINE, Plot, band_colour
from napari_ne_denoise.gui.compare.profile import Profile

POINT_SIZE = 3  # pixels
MANY = 300  # points that can be told from one another in a dock; more are drawn fainter
FAINT, FAINTER = 190, 100  # of 255: the line is to stand out


class ProfileView(Plot):
    """The image from before as points, the one from after as a line, with a band for its error."""

    def __init__(self) -> None:
        self._shown: Profile | None = None
        super().__init__(
            "distance",
            "intensity",
            "Both images along the line, in image units.\nPoints: before. Line: after. Band: ± the error bar, where the Filter maps\n"
            "dock has made a map of errors, else ± the standard deviation of the noise of one pixel before denoising,\n"
            "so that two thirds of the points are to be in it.",
        )
        self.band = pyqtgraph.PlotCurveItem(), pyqtgraph.PlotCurveItem()  # its lower and upper edge
        self._filled = pyqtgraph.FillBetweenItem(*self.band, brush=band_colour())
        self.addItem(self._filled)
        self._points = self.plot(pen=None, symbol="o", symbolSize=POINT_SIZE, symbolPen=None)
        self._line = self.plot(pen=pyqtgraph.mkPen(LINE, width=2))

    def show_profile(self, profile: Profile | None) -> None:
        """Show a profile, or none."""
        self._shown = profile
        self.redraw()

    def redraw(self) -> None:
        """Draw what is shown in the colours of the theme."""
        colour, profile = self.dress(), self._shown
        nothing = np.zeros(0)
        at = nothing if profile is None else profile.distance
        colour.setAlpha(FAINT if len(at) <= MANY else FAINTER)
        self._points.setData(at, nothing if profile is None else profile.noisy)
        self._points.setSymbolBrush(colour)
        self._line.setData(at, nothing if profile is None else profile.denoised)
        error = None if profile is None else profile.error
        self._filled.setVisible(error is not None)
        if profile is not None:
            self._show_range(profile)
        if profile is not None and error is not None:
            for edge, sign in zip(self.band, (-1, 1), strict=True):
                edge.setData(at, profile.denoised + sign * np.nan_to_num(error))

    def _show_range(self, profile: Profile) -> None:
        label = f"distance ({profile.unit})"
        axis = self.getPlotItem().getAxis("bottom")
        if axis.labelText != label:  # it is laid out anew each time
            axis.setLabel(label)
        values = np.concatenate([profile.noisy, profile.denoised])
        values = values[np.isfinite(values)]
        if values.size:
            self.setYRange(float(values.min()), float(values.max()), padding=0.05)
        self.setXRange(0, float(profile.distance[-1]) or 1.0, padding=0.02)
