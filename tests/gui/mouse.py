"""The mouse of a test: what Qt tells a widget of it, told at once.

By way of the window system, as `QTest.mouseMove` goes, a move comes when that likes: late, or never where another window is above.
"""

from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

LEFT, NONE, NO_KEY = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
# ms after which a canvas has taken one move and hears the next: vispy leaves out what comes within 10, napari takes some 5 later
APART = 20


def move(widget: QWidget, place: QPoint, held: Qt.MouseButton = NONE, key: Qt.KeyboardModifier = NO_KEY) -> None:
    """Move to a place, perhaps with a button held, and let the widget take it."""
    where = QPointF(place), QPointF(widget.mapToGlobal(place))
    QApplication.sendEvent(widget, QMouseEvent(QEvent.Type.MouseMove, *where, NONE, held, key))
    taken = QEventLoop()
    QTimer.singleShot(APART, taken.quit)  # not `qWait`, which ends by the clock, perhaps before timers that were due earlier
    taken.exec()


def drag(widget: QWidget, start: QPoint, end: QPoint, key: Qt.KeyboardModifier = NO_KEY) -> None:
    """Drag from one place to another."""
    move(widget, start, key=key)
    QTest.mousePress(widget, LEFT, key, start)
    for share in (0.3, 0.7, 1.0):
        move(widget, start + (end - start) * share, LEFT, key)
    QTest.mouseRelease(widget, LEFT, key, end)
