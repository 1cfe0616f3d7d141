"""The way that Tab goes through a dock: as one reads it."""

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QWidget


def follow_reading(content: QWidget) -> None:
    """Let Tab go from top to bottom; Qt lets it go in the order in which widgets were made, and forms are put above others later."""
    stops = [part for part in _parts(content) if part.focusPolicy() & Qt.FocusPolicy.TabFocus]
    for before, after in pairwise(stops):
        QWidget.setTabOrder(before, after)


def _parts(widget: QWidget) -> Iterator[QWidget]:
    """A widget, and those in its layout."""
    yield widget
    layout = widget.layout()
    if layout is not None:
        yield from _parts_of(layout)


def _parts_of(layout: QLayout) -> Iterator[QWidget]:
    for item in (layout.itemAt(number) for number in range(layout.count())):
        if item is None:
            continue
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            yield from _parts(widget)
        elif inner is not None:
            yield from _parts_of(inner)
