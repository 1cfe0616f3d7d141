"""What every dock does: it works on a chosen image layer in a thread, and leaves nothing behind when it goes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakMethod

from magicgui.widgets import ComboBox, Container, Widget

from napari_ne_denoise.gui.choices import choose_active, offer_layers
from napari_ne_denoise.gui.docks import WIDTH
from napari_ne_denoise.gui.workers import Task

if TYPE_CHECKING:
    import napari


class LayerDock(Container):
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
        self._viewer = viewer
        self._task: Task | None = None
        self._closed = False
        self._results_too = results_too
        self.layer = layer
        super().__init__(widgets=widgets, labels=False)
        self.native.setMinimumWidth(WIDTH)
        viewer.layers.selection.events.active.connect(self._follow_active)
        self.native_parent_changed.connect(self._notice_parent)
        # Qt would hold a strong reference to the widget, the widget holds its native one: neither would ever go
        let_go = WeakMethod(self._let_go)
        self.native.destroyed.connect(lambda *_: _call_if_alive(let_go))
        self._follow_active()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers there are now; napari calls this when they change."""
        if not self._closed:
            offer_layers(self.layer)
            self._layers_changed()

    def _layers_changed(self) -> None:
        """After layers came, went or were renamed."""

    def _give_up(self) -> None:
        """Undo what is unfinished, because the dock is closed while its window stays."""

    def _disconnect(self) -> None:
        """Leave what else was connected outside; the widgets may be gone already."""

    def _follow_active(self, *_: object) -> None:
        choose_active(self.layer, self._viewer, self._results_too)

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
        self._viewer.layers.selection.events.active.disconnect(self._follow_active)
        self._disconnect()


def _call_if_alive(method: WeakMethod[Callable[[], None]]) -> None:
    call = method()
    if call is not None:
        call()
