"""What every dock does: it scrolls where the window is low, works in a thread, and leaves nothing behind when it goes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magicgui.widgets import Container, Widget
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_ne_denoise.gui.base.docks import WIDTH
from napari_ne_denoise.gui.base.leaving import leave_with
from napari_ne_denoise.gui.base.room import borrow_room, share_room
from napari_ne_denoise.gui.base.tab_order import follow_reading
from napari_ne_denoise.gui.base.workers import Task

if TYPE_CHECKING:
    import napari


LOWEST = 120  # pixels of a dock's content that are seen at least; napari puts docks below each other


class WorkDock(Container):
    """A dock that scrolls, and that may have work in a thread.

    Parameters
    ----------
    viewer
        napari hands it over.
    widgets
        Below each other, as a `Container` takes them.

    Attributes
    ----------
    column
        The layout that they are in, for what else belongs into the dock.
    """

    column: QVBoxLayout

    def __init__(self, viewer: "napari.viewer.Viewer", widgets: Sequence[Widget]) -> None:
        self._viewer = viewer
        self._task: Task | None = None
        self._closed = False
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self._content = Container(widgets=widgets, labels=False)
        self.column = self._content.native.layout()
        self.native.layout().addWidget(_Scroll(self._content.native))
        self.native_parent_changed.connect(self._notice_parent)
        leave_with(self.native, self._let_go)

    @property
    def is_closed(self) -> bool:
        """Whether it has gone, or is going."""
        return self._closed

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


class _Scroll(QScrollArea):
    """Scrolls its content up and down where there is too little room for it, and is as wide as it must be to show all of its width."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        self._was_shown = False
        self._wanted = 0  # height of all that it holds, as it was lately

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let Tab follow, and take the room that others do not need, once: afterwards the user may have chosen heights."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            content = self.widget()
            if content is not None:
                follow_reading(content)
            QTimer.singleShot(0, self._take_room)  # napari resizes docks after it has shown them

    def _take_room(self) -> None:
        around = self.parentWidget()
        if around is not None:
            share_room(around)

    def _take_more_room(self) -> None:
        around = self.parentWidget()
        if around is not None:
            borrow_room(around)

    def sizeHint(self) -> QSize:
        """All of the content, as high as it is in the width it has; Qt would cut it off at 24 lines."""
        content, view = self.widget(), self.viewport()
        if content is None or view is None:
            return super().sizeHint()
        wanted = content.sizeHint()
        if self._was_shown and content.hasHeightForWidth():  # lines wrap elsewhere than in the width that Qt supposes
            least = content.minimumHeight() or content.minimumSizeHint().height()
            wanted.setHeight(max(content.heightForWidth(view.width()), least))
        return wanted.grownBy(self.contentsMargins())  # napari's style gives it a pixel around, frame or no

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """In another width the content is as high as another number of lines."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        """Low, and wide enough for the content and the bar beside it."""
        content, bar = self.widget(), self.verticalScrollBar()
        if content is None or bar is None:
            return super().minimumSizeHint()
        least = content.minimumSizeHint().grownBy(self.contentsMargins())
        return QSize(max(WIDTH, least.width() + bar.sizeHint().width()), min(least.height(), LOWEST))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that the content needs more or less room now."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
            before, self._wanted = self._wanted, self.sizeHint().height()
            if self._was_shown and self._wanted > before:
                QTimer.singleShot(0, self._take_more_room)  # when the layout is done
        return super().eventFilter(watched, event)
