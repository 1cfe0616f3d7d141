"""Two filters side by side, with the same limits, their difference, and the numbers of both."""

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_ne_denoise.core.jacobian.weights import change_of
from napari_ne_denoise.gui.inside.filter_making import Found
from napari_ne_denoise.gui.inside.filter_view import FilterView
from napari_ne_denoise.gui.inside.filtering import NO_WIDTH, WHY_NO_WIDTH, besides, number
from napari_ne_denoise.gui.inside.weight_colours import limit_of

SIDE = 126  # screen pixels of a square
ROWS: Mapping[str, str] = {
    "Sum of weights": "1 where the model keeps offsets: then the pixel is a weighted mean",
    "Output value": "The denoised pixel, in image units",
    "Σ w·y": "Weights times noisy pixels, summed",
    "Besides": "What the pixel has besides: by constants, the noise level, or the spread of the image",
    "Pixels averaged": "1 / Σw²: so many equal weights would reduce noise as much",
    "Width (px)": f"Full width at half maximum of the Gaussian filter that blurs alike;\n{WHY_NO_WIDTH}",
    "Residual noise": "Standard deviation of the noise that is left, in image units",
    "Unit, offset": "How far the weights change where the network is given the image in another unit and with another offset\n"
    "(0.6 · x + 0.2 of what it is given): nothing for a normalization-equivariant model",
}


class PairView(QWidget):
    """Paints two filters and what differs."""

    def __init__(self) -> None:
        super().__init__()
        self.views = [FilterView(SIDE, "") for _ in range(3)]
        self.apart = QLabel()
        self.apart.setWordWrap(True)
        self.titles = [QLabel(), QLabel()]
        self._labels = {name: [QLabel(name), QLabel(), QLabel()] for name in ROWS}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        pictures = QGridLayout()
        for place, part in enumerate((*self.views, self.apart)):
            part.setFixedWidth(SIDE)
            pictures.addWidget(part, place // 2, place % 2)
        grid.addLayout(pictures, 0, 0, 1, 3)
        for column, title in enumerate(self.titles, start=1):
            title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
            title.setWordWrap(True)
            grid.addWidget(title, 1, column)
            grid.setColumnStretch(column, 1)
        for row, (name, labels) in enumerate(self._labels.items(), start=2):
            for column, label in enumerate(labels):
                label.setToolTip(ROWS[name])
                label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                grid.addWidget(label, row, column)

    def show_pair(self, pair: Sequence[Found], titles: Sequence[str], weights: Sequence[np.ndarray], caption: str = "") -> None:
        """Show two filters.

        Parameters
        ----------
        pair, titles
            Both, and what they are called.
        weights
            Two squares of one shape with the pixel in the middle, as they are to be seen.
        caption
            What was done to them for that.
        """
        limit = max(map(limit_of, weights))
        side = len(weights[0]) // 2
        for view, shown, title in zip(self.views, (*weights, weights[1] - weights[0]), (*titles, "difference"), strict=True):
            view.show_weights(shown, (side, side), title, limit)
        self.apart.setText(
            f"{100 * change_of(*weights):.3g} % apart: √Σ(w − w′)² over √Σw², of the squares shown{caption and ', ' + caption}"
        )
        for label, title in zip(self.titles, titles, strict=True):
            label.setText(title)
            label.setToolTip(title)
        for name, labels in self._labels.items():
            values = [values_of(found)[name] for found in pair]
            for label, value in zip(labels, (name, *values), strict=True):
                label.setText(value)
                label.setVisible(any(values))

    def values(self, name: str) -> tuple[str, str]:
        """What a row says of both."""
        _, one, other = self._labels[name]
        return one.text(), other.text()


def values_of(found: Found) -> dict[str, str]:
    """A short value for each row; empty where there is none, as while the mouse passes."""
    made, numbers = found.filter, found.numbers
    rest = made.from_sigma + made.from_spread + made.constant
    unit = " stab." if made.domain == "stabilised" else ""
    return {
        "Sum of weights": f"{made.total:.3f}",
        "Output value": number(made.output),
        "Σ w·y": f"{number(made.weighted_sum)}{unit}",
        "Besides": f"{rest:+.4g}" if besides(made) else "",
        "Pixels averaged": f"{made.pixels_averaged:.1f}",
        "Width (px)": _width(numbers["width (px)"]) if numbers else "",
        "Residual noise": number(numbers["residual noise"]) if numbers else "",
        "Unit, offset": "" if found.change is None else f"{100 * found.change:.2g} %" if found.change > 1e-5 else "0 %",
    }


def _width(width: float) -> str:
    return f"{width:.3g}" if np.isfinite(width) else NO_WIDTH
