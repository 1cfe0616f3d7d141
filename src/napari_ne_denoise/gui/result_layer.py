"""A result layer that shows tiles as they come."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layer_data import SOURCE_KEY, Source

if TYPE_CHECKING:
    from napari.viewer import Viewer

SHORTEST_PAUSE = 0.1  # seconds between two redraws
# redrawing a large layer takes long: it gets at most one sixth of the window's time
PAUSE_PER_REDRAW = 5


class ResultLayer:
    """A layer for an array that a thread is filling; everything here runs on the main thread.

    Parameters
    ----------
    viewer
        Where it appears.
    source
        What it is made from.
    values
        The array.
    """

    def __init__(self, viewer: "Viewer", source: Source, values: np.ndarray) -> None:
        self._viewer, self._source, self._values = viewer, source, values
        self._layer: Any = None
        self._pause = SHORTEST_PAUSE
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)

    @property
    def was_removed(self) -> bool:
        """Whether the user has taken the layer away."""
        return self._layer is not None and self._layer not in self._viewer.layers

    def show_progress(self) -> None:
        """Add the layer, or redraw it soon."""
        if self._layer is None:
            self._layer = self._add()
        elif not self._timer.isActive():
            self._timer.start(int(1000 * self._pause))

    def _add(self) -> Any:
        look = self._source.result_look()
        look["metadata"][SOURCE_KEY] = self._source
        layer = self._viewer.add_image(self._values, **look)
        if self._source.contrast_range is not None:
            layer.contrast_limits_range = self._source.contrast_range
        self._put_above_source(layer)
        return layer

    def _put_above_source(self, layer: Any) -> None:
        """On top of the list a result would hide the other channels of its image."""
        layers = self._viewer.layers
        if self._source.name in layers:
            layers.move(layers.index(layer), layers.index(self._source.name) + 1)

    def finish(self, record: dict[str, Any]) -> None:
        """Show everything, and note how it was made."""
        self._timer.stop()
        previous = self._source.metadata.get(KEY)
        self._layer.metadata = {**self._layer.metadata, KEY: {**record, "source_record": previous} if previous else record}
        self._layer.refresh()

    def discard(self) -> None:
        """Take the layer away."""
        self._timer.stop()
        if self._layer is not None and not self.was_removed:
            self._viewer.layers.remove(self._layer)
            self._select_source()

    def _select_source(self) -> None:
        layers = self._viewer.layers
        if layers.selection.active is None and self._source.name in layers:
            layers.selection.active = layers[self._source.name]

    def _redraw(self) -> None:
        begin = perf_counter()
        self._layer.refresh()
        self._pause = max(SHORTEST_PAUSE, PAUSE_PER_REDRAW * (perf_counter() - begin))
