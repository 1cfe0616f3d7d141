"""A result layer that shows tiles as they come."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.per_viewer import one_of
from napari_ne_denoise.gui.base.redrawing import pause_after
from napari_ne_denoise.gui.compare.kept_view import covers
from napari_ne_denoise.gui.denoise.blend import Blend
from napari_ne_denoise.gui.denoise.lazy_array import LazyArray
from napari_ne_denoise.gui.denoise.lazy_layers import LazyLayers
from napari_ne_denoise.gui.denoise.stand_ins import StandIns
from napari_ne_denoise.gui.layers.kinship import image_of, made_from
from napari_ne_denoise.gui.layers.layer_data import BLEND_KEY, SOURCE_KEY, Source

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ResultLayer:
    """A layer for an array that a thread is filling; everything here runs on the main thread.

    Parameters
    ----------
    viewer
        Where it appears.
    source
        What it is made from.
    values
        The array, or of a multiscale layer a list of them.
    blend
        What its strength can be changed by; None if it cannot.
    """

    def __init__(self, viewer: "Viewer", source: Source, values: Any, blend: Blend | None = None) -> None:
        self._viewer, self._source, self._values, self._blend = viewer, source, values, blend
        self.layer: Any = None
        self._hidden: list[Any] = []  # the layers below, where the result does not cover them
        self._pause = pause_after(0)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)

    @property
    def was_removed(self) -> bool:
        """Whether the user has taken the layer away."""
        return self.layer is not None and self.layer not in self._viewer.layers

    def show_progress(self) -> None:
        """Add the layer, or redraw it soon."""
        if self.layer is None:
            self.layer = self._add()
        elif not self._timer.isActive():
            self._timer.start(int(1000 * self._pause))

    def _add(self) -> Any:
        look = self._source.result_look()
        look["multiscale"] = isinstance(self._values, list)
        look["metadata"][SOURCE_KEY] = self._source
        if self._blend is not None:
            look["metadata"][BLEND_KEY] = self._blend
        layer = self._add_lazy(look) if isinstance(self._values, LazyArray) else self._viewer.add_image(self._values, **look)
        if self._source.contrast_range is not None:
            layer.contrast_limits_range = self._source.contrast_range
        below = self._put_above_source(layer)
        self._hide(below, layer)
        return layer

    def _add_lazy(self, look: dict[str, Any]) -> Any:
        """Add a layer that waits for nothing: napari makes a picture of a new layer before anybody can serve it, unless that is hidden."""
        one_of(LazyLayers, self._viewer)
        layer = self._viewer.add_image(self._values, **{**look, "visible": False})
        layer.visible = True
        return layer

    def _put_above_source(self, layer: Any) -> list[Any]:
        """Lay it over its image and older results of that, which are given; on top of the list it would hide other channels."""
        layers = self._viewer.layers
        source = image_of(self._viewer, layer)
        older = [] if source is None else made_from(self._viewer, source)
        below = [other for other in (source, *older) if other is not None and other != layer]
        if below:
            layers.move(layers.index(layer), max(layers.index(other) for other in below) + 1)
        return below

    def _hide(self, below: list[Any], layer: Any) -> None:
        """Hide what a result does not cover, where it stands: it is added to what is below it, and noise would shine through."""
        if covers(layer):
            return
        if self._source.part is not None:
            one_of(StandIns, self._viewer).add(layer, below)
        else:
            self._hidden = [other for other in below if other.visible]
            for other in self._hidden:
                other.visible = False
            if isinstance(self._values, LazyArray):
                one_of(LazyLayers, self._viewer).show_while_waiting(layer, self._hidden)

    def finish(self, record: dict[str, Any]) -> None:
        """Show everything, and note how it was made."""
        self._timer.stop()
        previous = self._source.metadata.get(KEY)
        self.layer.metadata = {**self.layer.metadata, KEY: {**record, "source_record": previous} if previous else record}
        self.layer.refresh()

    def keep(self, record: dict[str, Any], share: str) -> None:
        """Show it again although it is unfinished, and say in its name and record how much of it is done."""
        self.layer = None
        self.layer = self._add()
        self.layer.name += f" ({share} done)"
        self.finish(record)

    def discard(self) -> None:
        """Take the layer away."""
        self._timer.stop()
        if self.layer is not None and not self.was_removed:
            self._viewer.layers.remove(self.layer)
            self._select_source()
        self.show_source()

    def show_source(self) -> None:
        """Show the layers again that were hidden for this one."""
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    def _select_source(self) -> None:
        layers = self._viewer.layers
        if layers.selection.active is None and self._source.name in layers:
            layers.selection.active = layers[self._source.name]

    def _redraw(self) -> None:
        begin = perf_counter()
        self.layer.refresh(thumbnail=False)  # which is for the end
        self._pause = pause_after(perf_counter() - begin)
