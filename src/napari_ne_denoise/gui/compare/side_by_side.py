"""Two layers beside each other, moved and zoomed together."""

from typing import TYPE_CHECKING

from napari.layers import Shapes

from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.compare.kept_view import KeptView
from napari_ne_denoise.gui.layers.kinship import is_helper

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SideBySide:
    """napari's grid of just two layers, the one from before on the left, until it is left.

    The line of a profile is seen on the left, too, where it lies above both.
    """

    def __init__(self, viewer: "Viewer", pair: Pair) -> None:
        self._kept, self._pair = KeptView(), pair
        before, after = (viewer.layers.index(layer) for layer in pair.layers)
        in_order = before < after
        for number, layer in enumerate(viewer.layers):
            # a grid of two begins again on the left with a third layer
            is_line = in_order and number > after and is_helper(layer) and isinstance(layer, Shapes)
            self._kept.set(layer, "visible", layer in pair.layers or is_line)
        for layer in pair.layers:
            self._kept.set(layer.name_overlay, "visible", True)
        grid = viewer.canvas.grid
        self._kept.set(grid, "stride", 1 if in_order else -1)
        self._kept.set(grid, "shape", (1, 2))
        self._kept.set(grid, "enabled", True)

    def leave(self) -> None:
        """Show what was shown before, as it was shown."""
        self._kept.restore()

    def is_alive(self, viewer: "Viewer") -> bool:
        """Whether there is still something to leave."""
        return all(layer in viewer.layers for layer in self._pair.layers) and bool(viewer.canvas.grid.enabled)
