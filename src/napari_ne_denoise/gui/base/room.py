"""Room for docks that lie below each other."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def share_room(content: QWidget) -> None:
    """Let a dock that was just opened have the height it needs, as far as those above and below it can do without.

    napari leaves it as low as it may be, however empty the others are.
    """
    docks = _column_of(content)
    heights = shares([dock.sizeHint().height() for dock in docks], sum(dock.height() for dock in docks))
    _resize(content, docks, heights)


def borrow_room(content: QWidget) -> None:
    """Let a dock that shows more than before have what others do not need; else they keep the heights that the user may have chosen."""
    docks = _column_of(content)
    spare = [dock.height() - dock.sizeHint().height() for dock in docks]
    here = next((number for number, dock in enumerate(docks) if dock is content.parentWidget()), None)
    if here is not None and spare[here] < 0:
        taken = borrowed(-spare[here], [max(0, room) for room in spare])
        heights = [dock.height() - less for dock, less in zip(docks, taken, strict=True)]
        heights[here] += sum(taken)
        _resize(content, docks, heights)


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """How much of some room each gets: what it wants, or as much as all others that want more; what nobody wants goes to the largest."""
    given, left = [0] * len(wanted), room
    smallest_first = sorted(range(len(wanted)), key=lambda number: wanted[number])
    for served, number in enumerate(smallest_first):
        given[number] = min(wanted[number], left // (len(wanted) - served))
        left -= given[number]
    if wanted:  # Qt would give each of them some of what is left, also to one that has nothing to show there
        given[smallest_first[-1]] += left
    return given


def borrowed(lacking: int, spare: Sequence[int]) -> list[int]:
    """How much is taken of each that has some to spare, where something is lacking: first of the one that has most."""
    taken = [0] * len(spare)
    for number in sorted(range(len(spare)), key=lambda number: -spare[number]):
        taken[number] = min(spare[number], lacking)
        lacking -= taken[number]
    return taken


def _column_of(content: QWidget) -> list[QDockWidget]:
    """The dock of some content, and those above and below it, from the top; none where it shares its room with nobody."""
    dock, window = content.parentWidget(), content.window()
    if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow) or dock.isFloating():
        return []
    if dock.visibleRegion().isEmpty():  # behind another tab, which has the height that it needs
        return []
    area = window.dockWidgetArea(dock)
    others = (other for other in window.findChildren(QDockWidget) if other.isVisible() and window.dockWidgetArea(other) == area)
    return sorted((other for other in others if other.x() == dock.x()), key=lambda other: int(other.y()))


def _resize(content: QWidget, docks: Sequence[QDockWidget], heights: Sequence[int]) -> None:
    window = content.window()
    if docks and isinstance(window, QMainWindow):
        window.resizeDocks(docks, heights, Qt.Orientation.Vertical)
