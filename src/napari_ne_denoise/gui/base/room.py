"""Room for docks that lie below each other."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def share_room(content: QWidget) -> None:
    """Let a dock that was just opened have the height it needs, as far as those above and below it can do without.

    napari leaves it as low as it may be, however empty the others are.
    """
    dock, window = content.parentWidget(), content.window()
    if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    if dock.visibleRegion().isEmpty():  # behind another tab, which has the height that it needs
        return
    area = window.dockWidgetArea(dock)
    others = (other for other in window.findChildren(QDockWidget) if other.isVisible() and window.dockWidgetArea(other) == area)
    docks = sorted((other for other in others if other.x() == dock.x()), key=lambda other: int(other.y()))
    heights = shares([other.sizeHint().height() for other in docks], sum(other.height() for other in docks))
    window.resizeDocks(docks, heights, Qt.Orientation.Vertical)


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
