"""Before and after in turn: in the same place, with the contrast each has."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget

from napari_ne_denoise.gui.base.per_viewer import forget
from napari_ne_denoise.gui.compare.kept_view import KeptView, covering
from napari_ne_denoise.gui.layers.kinship import made_from

if TYPE_CHECKING:
    from napari.viewer import Viewer

# napari and its layers have no use for it
FLIP_KEY = "N"
# a key or button that is held longer than that flips back when it is let go, in seconds
HOLD = 0.3
NOTHING = "There is no result yet to compare: press Denoise."

# the layers from before and after; the former is None if it has gone
ToFlip = tuple[Any, Any]


class Flipped:
    """Shows the one of two layers that is hidden, or covered by the other, until it is left.

    Parameters
    ----------
    viewer, before, after
        Where, and the layers.
    """

    def __init__(self, viewer: "Viewer", before: Any, after: Any) -> None:
        self._viewer, self._kept = viewer, KeptView()
        self.layers = before, after
        upper = _on_top(viewer, before, after)
        self.shown, self.hidden = (before, after) if upper == after else (after, before)
        # noise shines through results that do not cover it: none of them is to be seen with it
        results = made_from(viewer, before) if self.shown == before else []
        others = [other for other in (upper, *covering(viewer, self.shown), *results) if other != self.shown]
        # first, and so back last: the image of a single plane's result follows when that is hidden or shown
        self._hide(others)
        self._kept.set(self.shown, "visible", True)
        self._hide(others)  # again: a preview has followed its image
        self._kept.set(self.shown.name_overlay, "visible", True)

    def _hide(self, layers: list[Any]) -> None:
        for layer in layers:
            self._kept.set(layer, "visible", False)

    def leave(self) -> None:
        """Show what was shown before, but hide nothing for the sake of a layer that is gone."""
        if self.hidden not in self._viewer.layers:
            self._kept.forget(self.shown, "visible")
        self._kept.restore()

    def is_alive(self, viewer: "Viewer") -> bool:
        """Whether both layers are still there."""
        return all(layer in viewer.layers for layer in self.layers)


def _on_top(viewer: "Viewer", before: Any, after: Any) -> Any:
    """The one that is seen: the upper one of those that are visible."""
    seen = [layer for layer in viewer.layers if layer in (before, after) and layer.visible]
    return seen[-1] if seen else before


class BeforeAfter:
    """Before and after in turn: one key and one state for each viewer, which its docks share; ask `one_of` for it.

    A tap of the key flips, and the next one back; a longer press flips while it lasts.

    Parameters
    ----------
    viewer
        Whose key it is.
    """

    begins = Signal()  # other ways of looking are to be left
    changed = Signal()  # it was flipped, or back

    tooltip = f"Key {FLIP_KEY}: the noisy image and the result in turn; held, as long as it is held."

    def __init__(self, viewer: "Viewer") -> None:
        self._viewer_now = ref(viewer)
        self.flipped: Flipped | None = None
        self._members: list[Member] = []
        self._bound: Any = None
        self._previous: Any = None

    @property
    def _viewer(self) -> "Viewer":
        viewer = self._viewer_now()
        assert viewer is not None  # this goes with it
        return viewer

    def join(self, dock: QWidget, choose: "Callable[[], ToFlip | None]") -> "Member":
        """Let the key work for a dock, and in it, until `part`.

        Parameters
        ----------
        dock
            Where the key works too.
        choose
            A method that gives which layers the dock is set to; None if there are none.  On the image, the key asks the dock first that
            was opened last.
        """
        if not self._members:
            self._begin()
        member = Member(WeakMethod(choose))
        _DockKey(dock, lambda: self.toggle(member))
        self._members.append(member)
        return member

    def part(self, member: "Member") -> None:
        """A dock goes; with the last one the key goes back to whom it belonged, unless somebody else has taken it since."""
        self._members.remove(member)
        if not self._members:
            self._end()

    def toggle(self, asked: "Member | None" = None) -> None:
        """Flip what the docks are set to, or one of them; or go back, if it is flipped."""
        if self.flipped is not None:
            self.leave()
            return
        members = reversed(self._members) if asked is None else [asked]
        pair = next((pair for member in members if (pair := member.chosen()) is not None), None)
        if pair is None:
            self._viewer.status = NOTHING
        else:
            self.show(*pair)

    def show(self, before: Any, after: Any) -> None:
        """Flip two layers; without the one from before, show or hide the one from after."""
        self.leave()
        self.begins.emit()
        if before is None:
            after.visible = not after.visible
            return
        self.flipped = Flipped(self._viewer, before, after)
        self._viewer.status = self.flipped.shown.name
        self.changed.emit()

    def leave(self) -> None:
        """Show again what was shown before it was flipped."""
        flipped, self.flipped = self.flipped, None
        if flipped is not None:
            flipped.leave()
            self._viewer.status = flipped.hidden.name
            self.changed.emit()

    def _begin(self) -> None:
        def hold(_: object) -> Iterator[None]:
            press = Press(self.toggle)
            yield
            press.end()

        self._bound = hold
        self._previous = self._viewer.bind_key(FLIP_KEY, hold, overwrite=True)
        self._viewer.layers.events.removed.connect(self._notice_removal)

    def _end(self) -> None:
        self._viewer.layers.events.removed.disconnect(self._notice_removal)
        if self._bound in self._viewer.keymap.values():
            self._viewer.bind_key(FLIP_KEY, self._previous, overwrite=True)
        forget(BeforeAfter, self._viewer)

    def _notice_removal(self, *_: object) -> None:
        if self.flipped is not None and not self.flipped.is_alive(self._viewer):
            self.leave()


@dataclass(eq=False)
class Member:
    """A dock for which the key works, and which may be gone."""

    choose: "WeakMethod[Callable[[], ToFlip | None]]"

    def chosen(self) -> "ToFlip | None":
        """What it is set to."""
        choose = self.choose()
        return None if choose is None else choose()


class Press:
    """One press of the key, or of the button."""

    def __init__(self, flip: Callable[[], None]) -> None:
        self._flip = flip
        flip()
        self._begin = monotonic()  # after it: on a slow machine that takes its time

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
