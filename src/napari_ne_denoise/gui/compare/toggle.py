"""A key that shows a result, or the image it was made from, in turn."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_ne_denoise.gui.compare.flip import FLIP_KEY, FlipKey, Flipped

if TYPE_CHECKING:
    from napari.viewer import Viewer


class BeforeAfter:
    """Binds the key as long as a dock is open.

    Parameters
    ----------
    viewer, dock
        Where the key works.
    shown
        Gives what is shown of the chosen layer, its preview or a result; None if there is none.
    source
        Gives the layer that this was made from; None if that has gone.
    """

    tooltip = f"Key {FLIP_KEY}: the noisy image and the result in turn; held, as long as it is held."

    def __init__(self, viewer: "Viewer", dock: QWidget, shown: Callable[[], Any], source: Callable[[Any], Any]) -> None:
        self._viewer, self._shown, self._source_of = viewer, shown, source
        self._flipped: Flipped | None = None
        self._key = FlipKey(viewer, dock, self.toggle)

    def toggle(self) -> None:
        """Show the image instead of its result, or again what was shown before."""
        result, flipped = self._shown(), self._flipped
        self.leave()
        if result is None:
            self._viewer.status = "There is no result yet to compare: press Denoise."
        elif flipped is not None and flipped.layers[1] == result:
            self._viewer.status = result.name
        else:
            self._flip(result)

    def _flip(self, result: Any) -> None:
        source = self._source_of(result)
        if source is None:
            result.visible = not result.visible
            return
        self._flipped = Flipped(self._viewer, source, result)
        self._viewer.status = self._flipped.shown.name

    def leave(self) -> None:
        """Show again what was shown before the key was pressed."""
        flipped, self._flipped = self._flipped, None
        if flipped is not None:
            flipped.leave()

    def let_go(self) -> None:
        """Give the key back."""
        self._key.let_go()
