"""Painting with Qt."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from qtpy.QtGui import QImage, QPaintDevice, QPainter


@contextmanager
def painting(device: QPaintDevice) -> Iterator[QPainter]:
    """A painter on a widget or an image, which ends with the ``with``.

    Python would end it when nobody holds it any more, which is too late where a tracer, a debugger or an error does: Qt then paints the
    next time with what is gone, and the program ends.
    """
    painter = QPainter(device)
    try:
        yield painter
    finally:
        painter.end()


def qt_image(rgba: np.ndarray) -> QImage:
    """Bytes (Y, X, RGBA) as an image of Qt."""
    rows, columns, _ = rgba.shape
    # copy: the image must outlive the array
    return QImage(rgba.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
