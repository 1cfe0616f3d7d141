"""Which stripes a map of contrast is of: their period, in pixels or in the layer's unit, and the direction across them."""

import numpy as np
from magicgui.widgets import ComboBox, FloatSpinBox

from napari_ne_denoise.core.jacobian.kinds import DEFAULT_STRIPES, LONGEST_PERIOD, Stripes
from napari_ne_denoise.gui.base.boxes import choice_box, ignore_wheel, offer
from napari_ne_denoise.gui.base.docks import Rows, form

FINEST = 2  # pixels
DIGITS = 3
EVERY = "every"
DIRECTIONS = [
    ("mean of four directions", EVERY, "The mean of what stripes across X, Y and both diagonals keep."),
    ("across X (0°)", 0.0, "Stripes that lie along Y."),
    ("45°", 45.0, "Stripes across one diagonal, down to the right."),
    ("across Y (90°)", 90.0, "Stripes that lie along X."),
    ("135°", 135.0, "Stripes across the other diagonal."),
]


class StripesField:
    """Two fields in a form; the period stays the same number of pixels when the layer changes."""

    def __init__(self) -> None:
        self.period = FloatSpinBox(name="period", label="Stripes", tooltip="Period of the stripes whose contrast is told.")
        self.direction: ComboBox = choice_box("direction", "Across", "Direction across the stripes.")
        ignore_wheel(self.period.native)
        offer(self.direction, DIRECTIONS)
        self._pixel, self._pixels = 1.0, DEFAULT_STRIPES.period
        self.rows: Rows = form(self.period, self.direction)
        self.show_unit(1.0, "px")
        self.period.changed.connect(self._take)

    @property
    def stripes(self) -> Stripes:
        """What is chosen."""
        direction = self.direction.value
        return Stripes(min(max(self._pixels, FINEST), LONGEST_PERIOD), None if direction == EVERY else float(direction))

    def show_unit(self, pixel: float, unit: str) -> None:
        """Show the period in a unit, of which a pixel is so much."""
        self._pixel = pixel
        native = self.period.native
        with self.period.changed.blocked():
            native.setDecimals(max(0, DIGITS - 1 - int(np.floor(np.log10(pixel)))))
            self.period.min, self.period.max, self.period.step = FINEST * pixel, LONGEST_PERIOD * pixel, pixel
            native.setSuffix(f" {unit}")
            self.period.value = self._pixels * pixel

    def _take(self, value: float) -> None:
        self._pixels = value / self._pixel
