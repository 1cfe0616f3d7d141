"""A filter enlarged: its weights as squares, the pixel that they made, and a scale of colours."""

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QRect, QSize, Qt
from qtpy.QtGui import QHelpEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_ne_denoise.gui.base.painting import painting, qt_image
from napari_ne_denoise.gui.inside.weight_colours import limit_of, to_rgba

SIDE = 240  # pixels
SCALE_HEIGHT = 10
GAP = 6


class FilterView(QWidget):
    """Paints weights (Y, X); empty until `show_weights`.

    Parameters
    ----------
    side
        Of the square, in screen pixels.
    empty
        What stands in it before.
    """

    def __init__(self, side: int = SIDE, empty: str = "no pixel clicked yet") -> None:
        super().__init__()
        self._side, self._empty = side, empty
        self._limit: float | None = None
        self._weights: np.ndarray | None = None
        self._centre = (0, 0)
        self._caption = ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Of the square, the scale and its numbers."""
        return QSize(self._side, self._side + GAP + SCALE_HEIGHT + self.fontMetrics().height() + GAP)

    def show_weights(self, weights: np.ndarray, centre: tuple[int, int], caption: str = "", limit: float | None = None) -> None:
        """Show weights, mark the pixel that they made, and write a caption over them.

        Colours go from minus to plus a limit; None: the largest weight.
        """
        self._weights, self._centre, self._caption, self._limit = weights, centre, caption, limit
        self.update()

    def clear(self) -> None:
        """Show no weights."""
        self._weights = None
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the weights and the scale, or an empty frame."""
        with painting(self) as painter:
            if self._weights is None:
                self._paint_frame(painter)
            else:
                self._paint_weights(painter, self._weights, self._limit or limit_of(self._weights))

    def event(self, event: QEvent | None) -> bool:
        """Tell the weight under the mouse."""
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.text_at(event.pos()), self)
            return True
        return bool(super().event(event))

    def text_at(self, point: QPoint) -> str:
        """The weight at a point of this widget, and how far it is from the pixel it made."""
        if self._weights is None or not self._image_area().contains(point):
            return "Weights of the noisy pixels around the one you clicked: orange adds, blue subtracts."
        area = self._image_area()
        rows, columns = self._weights.shape
        row = (point.y() - area.top()) * rows // area.height()
        column = (point.x() - area.left()) * columns // area.width()
        return f"weight {self._weights[row, column]:+.4f}\n{row - self._centre[0]:+d} in y, {column - self._centre[1]:+d} in x"

    def _square(self) -> QRect:
        return QRect((self.width() - self._side) // 2, 0, self._side, self._side)

    def _image_area(self) -> QRect:
        assert self._weights is not None
        rows, columns = self._weights.shape
        zoom = self._side / max(rows, columns)
        area = QRect(0, 0, max(round(columns * zoom), 1), max(round(rows * zoom), 1))
        area.moveCenter(self._square().center())
        return area

    def _paint_frame(self, painter: QPainter) -> None:
        pen = QPen(self.palette().windowText().color())
        pen.setStyle(Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.drawRect(self._square().adjusted(0, 0, -1, -1))
        painter.drawText(self._square(), Qt.AlignmentFlag.AlignCenter, self._empty)

    def _paint_weights(self, painter: QPainter, weights: np.ndarray, limit: float) -> None:
        area = self._image_area()
        painter.drawImage(area, qt_image(to_rgba(weights, limit)))
        painter.setPen(self.palette().windowText().color())
        painter.drawRect(area.adjusted(0, 0, -1, -1))
        self._mark_centre(painter, area)
        painter.drawText(area.adjusted(GAP, GAP, -GAP, -GAP), Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, self._caption)
        self._paint_scale(painter, limit)

    def _mark_centre(self, painter: QPainter, area: QRect) -> None:
        assert self._weights is not None
        rows, columns = self._weights.shape
        height, width = area.height() / rows, area.width() / columns
        pixel = QRect(
            round(area.left() + self._centre[1] * width), round(area.top() + self._centre[0] * height), round(width), round(height)
        )
        painter.drawRect(pixel.adjusted(-1, -1, 0, 0))

    def _paint_scale(self, painter: QPainter, limit: float) -> None:
        bar = QRect(self._square().left(), self._side + GAP, self._side, SCALE_HEIGHT)
        painter.drawImage(bar, qt_image(to_rgba(np.linspace(-limit, limit, self._side)[None], limit)))
        numbers = QRect(bar.left(), bar.bottom() + 2, self._side, self.fontMetrics().height())
        for text, side in ((f"−{limit:.2g}", "AlignLeft"), ("0", "AlignHCenter"), (f"+{limit:.2g}", "AlignRight")):
            painter.drawText(numbers, getattr(Qt.AlignmentFlag, side), text)
