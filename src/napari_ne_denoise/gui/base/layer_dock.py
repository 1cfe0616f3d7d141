"""What the docks do that work on a chosen image layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, Widget

from napari_ne_denoise.gui.base.choices import choose_active, offer_layers
from napari_ne_denoise.gui.base.dock import WorkDock

if TYPE_CHECKING:
    import napari


class LayerDock(WorkDock):
    """A dock with a box of image layers, which follows the active one.

    Parameters
    ----------
    viewer
        napari hands it over.
    layer
        The box of layers.
    widgets
        Below each other, as a `Container` takes them.
    results_too
        Whether the box follows to layers that were made by denoising.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", layer: ComboBox, widgets: Sequence[Widget], results_too: bool) -> None:
        self._results_too = results_too
        self.layer = layer
        super().__init__(viewer, widgets)
        viewer.layers.selection.events.active.connect(self._follow_active)
        self._follow_active()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers there are now; napari calls this when they change."""
        if not self._closed:
            with self.layer.changed.blocked():  # while a renamed layer is offered anew, another one is chosen for a moment
                offer_layers(self.layer)
            self._layers_changed()

    def _layers_changed(self) -> None:
        """After layers came, went or were renamed."""

    def _follow_active(self, *_: object) -> None:
        choose_active(self.layer, self._viewer, self._results_too)

    def _let_go(self) -> None:
        if not self._closed:
            self._viewer.layers.selection.events.active.disconnect(self._follow_active)
        super()._let_go()
