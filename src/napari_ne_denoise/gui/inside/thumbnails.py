"""Small pictures in rows, each row with a caption."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QRect, QSize, Qt
from qtpy.QtGui import QHelpEvent, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_ne_denoise.gui.base.docks import WIDTH
from napari_ne_denoise.gui.base.painting import painting, qt_image

GAP = 4  # pixels


@dataclass(frozen=True)
class Thumbnail:
    """A picture, and what is told of it under the mouse: bytes (Y, X, RGBA)."""

    pixels: np.ndarray
    tip: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures beside each other, and a line of text above them."""

    caption: str
    pictures: Sequence[Thumbnail]


class Thumbnails(QWidget):
    """Rows of pictures, as wide as the dock; empty until `show_rows`."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """As high as the rows need."""
        return QSize(WIDTH, self._height(max(self.width(), 1)))

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these, in place of what is shown."""
        self.rows = list(rows)
        self._fit()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint captions and pictures."""
        with painting(self) as painter:
            for row, (text, places) in zip(self.rows, self._places(self.width()), strict=True):
                caption = self.fontMetrics().elidedText(row.caption, Qt.TextElideMode.ElideRight, text.width())
                painter.setPen(self.palette().windowText().color())
                painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, caption)
                painter.setPen(self.palette().mid().color())  # a picture in which nothing is to be seen is still one
                for picture, place in zip(row.pictures, places, strict=True):
                    area = _fitted(picture.pixels.shape, place)
                    painter.drawImage(area, qt_image(picture.pixels))
                    painter.drawRect(area.adjusted(0, 0, -1, -1))

    def event(self, event: QEvent | None) -> bool:
        """Tell what is under the mouse."""
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.text_at(event.pos()), self)
            return True
        return bool(super().event(event))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Grow and shrink with the dock."""
        super().resizeEvent(event)
        self._fit()

    def text_at(self, point: QPoint) -> str:
        """What there is to say of a picture, or of a row."""
        for row, (text, places) in zip(self.rows, self._places(self.width()), strict=True):
            if text.contains(point):
                return row.caption
            for picture, place in zip(row.pictures, places, strict=True):
                if place.contains(point):
                    return picture.tip
        return ""

    def _fit(self) -> None:
        self.setFixedHeight(self._height(self.width()))
        self.update()

    def _height(self, width: int) -> int:
        places = self._places(width)
        return places[-1][1][0].bottom() + GAP if places else 0

    def _places(self, width: int) -> list[tuple[QRect, list[QRect]]]:
        """Of each row that of the caption and those of its pictures."""
        top, line, found = 0, self.fontMetrics().height(), []
        for row in self.rows:
            count = len(row.pictures)
            side = (width - GAP * (count - 1)) // count
            text = QRect(0, top, width, line)
            squares = [QRect(number * (side + GAP), top + line + 2, side, _height_of(row, side)) for number in range(count)]
            found.append((text, squares))
            top = squares[0].bottom() + 2 * GAP
        return found


def grey(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Values (Y, X) as bytes (Y, X, RGBA), from black to white between two limits."""
    low, high = limits
    bytes_ = np.rint(255 * np.clip((values - low) / ((high - low) or 1.0), 0, 1)).astype(np.uint8)
    return np.stack([bytes_, bytes_, bytes_, np.full_like(bytes_, 255)], axis=-1)


def _height_of(row: Row, side: int) -> int:
    return max(min(side, round(side * picture.pixels.shape[0] / picture.pixels.shape[1])) for picture in row.pictures)


def _fitted(shape: tuple[int, ...], place: QRect) -> QRect:
    zoom = min(place.width() / shape[1], place.height() / shape[0])
    return QRect(place.left(), place.top(), max(round(shape[1] * zoom), 1), max(round(shape[0] * zoom), 1))
