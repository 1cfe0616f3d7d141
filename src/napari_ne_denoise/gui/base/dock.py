"""What every dock does: it works in a thread, and leaves nothing behind when it goes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakMethod

from magicgui.widgets import Container, Widget

from napari_ne_denoise.gui.base.docks import WIDTH
from napari_ne_denoise.gui.base.workers import Task

if TYPE_CHECKING:
    import napari


class WorkDock(Container):
    """A dock that may have work in a thread.

    Parameters
    ----------
    viewer
        napari hands it over.
    widgets
        Below each other, as a `Container` takes them.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", widgets: Sequence[Widget]) -> None:
        self._viewer = viewer
        self._task: Task | None = None
        self._closed = False
        super().__init__(widgets=widgets, labels=False)
        self.native.setMinimumWidth(WIDTH)
        self.native_parent_changed.connect(self._notice_parent)
        # Qt would hold a strong reference to the widget, the widget holds its native one: neither would ever go
        let_go = WeakMethod(self._let_go)
        self.native.destroyed.connect(lambda *_: _call_if_alive(let_go))

    def _give_up(self) -> None:
        """Undo what is unfinished, because the dock is closed while its window stays."""

    def _disconnect(self) -> None:
        """Leave what was connected outside; the widgets may be gone already."""

    def _notice_parent(self, parent: object) -> None:
        """A dock that is closed loses its parent; one that is hidden keeps it."""
        if parent is None and not self._closed:
            self._give_up()
            self._let_go()
            # its children would else be deleted wherever Python collects them, perhaps in a thread
            self.native.deleteLater()

    def _let_go(self) -> None:
        """Leave everything outside; the widgets may be gone already, with their window."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None:
            self._task.stop()
        self._disconnect()


def _call_if_alive(method: WeakMethod[Callable[[], None]]) -> None:
    call = method()
    if call is not None:
        call()
