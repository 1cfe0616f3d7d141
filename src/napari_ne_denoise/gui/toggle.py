"""A key that shows a result, or the image it was made from, in turn."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.gui.layer_data import source_layer_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

# napari and its layers have no use for it; the viewer's key, so that it works on the canvas
KEY = "N"


class BeforeAfter:
    """Binds the key as long as a dock is open.

    Parameters
    ----------
    viewer
        Whose key it is.
    result
        Gives the result layer that is meant; None if there is none.
    """

    tooltip = f"Key {KEY}, with the mouse on the image: the noisy image and the result in turn."

    def __init__(self, viewer: "Viewer", result: Callable[[], Any]) -> None:
        self._viewer, self._result = viewer, result
        self._bound = lambda _: self.toggle()  # one object, by which it is known again
        self._before = viewer.bind_key(KEY, self._bound, overwrite=True)

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
        """Give the key back to whom it belonged, unless somebody else took it meanwhile."""
        self._result = lambda: None
        if self._viewer.keymap.get(_binding(self._viewer, self._bound)) is self._bound:
            self._viewer.bind_key(KEY, self._before, overwrite=True)


def _binding(viewer: "Viewer", function: Callable[..., Any]) -> Any:
    """How the viewer writes the key."""
    return next((key for key, bound in viewer.keymap.items() if bound is function), None)
