"""What a viewer says and shows of its layers of lazy results while they wait for what is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari.components.overlays import TextOverlay
from qtpy.QtWidgets import QWidget

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.leaving import leave_with
from napari_ne_denoise.gui.base.per_viewer import one_of
from napari_ne_denoise.gui.compare.flip import BeforeAfter
from napari_ne_denoise.gui.compare.kept_view import KeptView
from napari_ne_denoise.gui.denoise.lazy_array import LazyArray
from napari_ne_denoise.gui.denoise.lazy_planes import planes_of_all
from napari_ne_denoise.gui.denoise.lazy_view import LazyView
from napari_ne_denoise.gui.layers.kinship import source_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

POSITION = "bottom_center"


class LazyLayers:
    """Serves the layers of lazy results of a viewer, whoever adds them, until they are removed.

    A text on the canvas says what is being computed.  One for each viewer, which outlives the dock that made them; ask `one_of` for it.

    Parameters
    ----------
    viewer
        Where.
    """

    def __init__(self, viewer: "Viewer") -> None:
        self._viewer = ref(viewer)
        self._planes = planes_of_all()
        self._below: WeakKeyDictionary[Any, tuple[list[Any], KeptView]] = WeakKeyDictionary()
        self.note = TextOverlay(position=POSITION)
        viewer.canvas.overlays[KEY] = self.note
        self._planes.changed.connect(self._tell)
        self._planes.settled.connect(self._show_below)
        viewer.layers.events.inserted.connect(self._notice_insertion)
        viewer.layers.events.removed.connect(self._notice_removal)
        window = _window_of(viewer)
        if window is not None:
            leave_with(window, self._let_go)

    def show_while_waiting(self, layer: Any, below: Sequence[Any]) -> None:
        """Let layers that are hidden below another one, which they would shine through, be seen as long as it has nothing to show."""
        self._below[getattr(layer, "__wrapped__", layer)] = list(below), KeptView()
        self._show_below()

    def _notice_insertion(self, event: Any) -> None:
        if isinstance(event.value.data, LazyArray):
            self._planes.serve(event.value)

    def _notice_removal(self, event: Any) -> None:
        self._below.pop(event.value, None)
        self._planes.forget(event.value)

    def _waiting(self) -> "Iterator[tuple[Any, LazyView]]":
        """Layers that do not show all that they are to show, the uppermost first."""
        for layer in reversed(self._layers()):
            view = self._planes.view_of(layer)
            if view is not None and layer.visible and not view.is_complete:
                yield layer, view

    def _layers(self) -> list[Any]:
        viewer = self._viewer()
        return [] if viewer is None else list(viewer.layers)

    def _tell(self) -> None:
        text = "\n".join(_describe(layer, view) for layer, view in self._waiting())
        if text:
            self.note.text = text
        self.note.visible = bool(text)

    def _show_below(self) -> None:
        waiting = [layer for layer, _ in self._waiting()]
        for layer, (below, kept) in list(self._below.items()):
            if layer in waiting:
                for other in below:
                    kept.set(other, "visible", True)
            elif not self._is_compared():
                kept.restore()

    def _is_compared(self) -> bool:
        """Whether layers are seen or hidden for the sake of a comparison."""
        viewer = self._viewer()
        return viewer is not None and (one_of(BeforeAfter, viewer).flipped is not None or bool(viewer.canvas.grid.enabled))

    def _let_go(self) -> None:
        """The window goes: nobody looks at anything."""
        for layer in self._layers():
            self._planes.forget(layer)


def _describe(layer: Any, view: LazyView) -> str:
    """What a layer waits for, in words."""
    source = source_of(layer)
    place = f", {replace(source, part=view.window).place}" if source is not None and view.is_plane else ""
    if view.reason:
        return f"{layer.name}{place}: could not be computed"
    share = f" {percent(view.share)}" if len(view.parts) > 1 else ""
    return f"{layer.name}{place}: computing…{share}"


def _window_of(viewer: "Viewer") -> QWidget | None:
    """The window of a viewer, found from a dock in it; None if it has none."""
    for dock in viewer.window.dock_widgets.values():
        widget: Any = getattr(dock, "native", dock)
        while isinstance(widget, QWidget):
            if widget.parentWidget() is None:
                return widget
            widget = widget.parentWidget()
    return None
