"""A key that shows a result, or the image it was made from, in turn."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_ne_denoise.gui.flip import FLIP_KEY, FlipKey
from napari_ne_denoise.gui.layer_data import source_layer_of

if TYPE_CHECKING:
    from napari.viewer import Viewer


class BeforeAfter:
    """Binds the key as long as a dock is open.

    Parameters
    ----------
    viewer, dock
        Where the key works.
    result
        Gives the result layer that is meant; None if there is none.
    """

    tooltip = f"Key {FLIP_KEY}: the noisy image and the result in turn; held, as long as it is held."

    def __init__(self, viewer: "Viewer", dock: QWidget, result: Callable[[], Any]) -> None:
        self._viewer, self._result = viewer, result
        self._key = FlipKey(viewer, dock, self.toggle)

    def toggle(self) -> None:
        """Show the image instead of its result, or the other way round."""
        result = self._result()
        if result is None:
            self._viewer.status = "There is no result yet to compare: press Denoise."
            return
        result.visible = not result.visible
        source = source_layer_of(self._viewer, result)
        if source is not None:
            source.visible = not result.visible
        self._viewer.status = result.name if result.visible or source is None else source.name

    def let_go(self) -> None:
        """Give the key back."""
        self._key.let_go()
