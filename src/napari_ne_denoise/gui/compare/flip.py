"""Before and after in turn: in the same place, with the contrast each has."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget

from napari_ne_denoise.gui.compare.kept_view import KeptView, covering
from napari_ne_denoise.gui.layers.kinship import made_from

if TYPE_CHECKING:
    from napari.viewer import Viewer

# napari and its layers have no use for it
FLIP_KEY = "N"
# a key or button that is held longer than that flips back when it is let go, in seconds
HOLD = 0.3


class Flipped:
    """Shows the one of two layers that is hidden, or covered by the other, until it is left.

    Parameters
    ----------
    viewer, before, after
        Where, and the layers.
    """

    def __init__(self, viewer: "Viewer", before: Any, after: Any) -> None:
        self._kept = KeptView()
        self.layers = before, after
        upper = _on_top(viewer, before, after)
        self.shown = before if upper == after else after
        self._kept.set(self.shown, "visible", True)
        # noise shines through results that do not cover it: none of them is to be seen with it
        results = made_from(viewer, before) if self.shown == before else []
        for other in (upper, *covering(viewer, self.shown), *results):
            if other != self.shown:
                self._kept.set(other, "visible", False)
        self._kept.set(self.shown.name_overlay, "visible", True)

    def leave(self) -> None:
        """Show what was shown before."""
        self._kept.restore()

    def is_alive(self, viewer: "Viewer") -> bool:
        """Whether there is still something to leave."""
        return self.shown in viewer.layers


def _on_top(viewer: "Viewer", before: Any, after: Any) -> Any:
    """The one that is seen: the upper one of those that are visible."""
    seen = [layer for layer in viewer.layers if layer in (before, after) and layer.visible]
    return seen[-1] if seen else before


class FlipKey:
    """A key of the viewer that flips: a tap flips, and the next one back; a longer press flips while it lasts.

    Parameters
    ----------
    viewer
        Whose key it is.
    dock
        Where it works too.
    flip
        Called to flip, either way.
    """

    def __init__(self, viewer: "Viewer", dock: QWidget, flip: Callable[[], None]) -> None:
        self._viewer, self._flip = viewer, flip
        self._filter = _DockKey(dock, lambda: self._flip())

        def hold(_: object) -> Iterator[None]:
            press = Press(self._flip)
            yield
            press.end()

        self._bound = hold
        self._previous = viewer.bind_key(FLIP_KEY, hold, overwrite=True)

    def let_go(self) -> None:
        """Give the key back to whom it belonged, unless somebody else has taken it since."""
        self._flip = _nothing
        if self._bound in self._viewer.keymap.values():
            self._viewer.bind_key(FLIP_KEY, self._previous, overwrite=True)


class Press:
    """One press of the key, or of the button."""

    def __init__(self, flip: Callable[[], None]) -> None:
        self._flip, self._begin = flip, monotonic()
        flip()

    def end(self) -> None:
        """It is let go."""
        if monotonic() - self._begin > HOLD:
            self._flip()


class _DockKey(QObject):
    """The key where a dock has the focus, as after a press of one of its buttons."""

    def __init__(self, dock: QWidget, flip: Callable[[], None]) -> None:
        super().__init__(dock)
        self._flip = flip
        self._press: Press | None = None
        dock.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not (isinstance(event, QKeyEvent) and event.text().upper() == FLIP_KEY) or event.isAutoRepeat():
            return False
        if event.type() == QEvent.Type.KeyPress:
            self._press = Press(self._flip)
        elif event.type() == QEvent.Type.KeyRelease and self._press is not None:
            self._press.end()
            self._press = None
        return True


def _nothing() -> None:
    """Flip nothing."""
