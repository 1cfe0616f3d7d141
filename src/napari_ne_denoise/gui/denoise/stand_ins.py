"""Results of single planes that take the place of their image only where they stand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from napari_ne_denoise.gui.base.per_viewer import forget
from napari_ne_denoise.gui.compare.kept_view import KeptView

if TYPE_CHECKING:
    from napari.viewer import Viewer


class StandIns:
    """Hides layers while the viewer shows a plane of which there is a result that they would shine through.

    One for each viewer, which outlives the dock that made the results; ask `one_of` for it.

    Parameters
    ----------
    viewer
        Where.
    """

    def __init__(self, viewer: "Viewer") -> None:
        self._viewer_now = ref(viewer)
        self._kept = KeptView()
        self._results: list[tuple[Any, Sequence[Any]]] = []

    @property
    def _viewer(self) -> "Viewer":
        viewer = self._viewer_now()
        assert viewer is not None  # this goes with it
        return viewer

    def add(self, result: Any, below: Sequence[Any]) -> None:
        """Let a result stand in for the layers below it, until it is removed."""
        if not self._results:
            self._connect()
        self._results.append((result, below))
        result.events.visible.connect(self._update)
        self._update()

    def _update(self, *_: object) -> None:
        self._kept.restore()
        for result, below in self._results:
            if result.visible and self._is_seen(result):
                for layer in below:
                    self._kept.set(layer, "visible", False)

    def _is_seen(self, result: Any) -> bool:
        """Whether the plane of a result is the one that is shown; a volume in 3D is more than that."""
        dims = self._viewer.dims
        if dims.ndisplay == 3:
            return False
        at, missing = np.rint(result.world_to_data(dims.point)), dims.ndim - result.ndim
        others = [axis for axis in range(result.ndim) if axis + missing not in dims.displayed]
        return all(0 <= at[axis] < result.data.shape[axis] for axis in others)

    def _notice_removal(self, *_: object) -> None:
        layers = self._viewer.layers
        for result, _below in [pair for pair in self._results if pair[0] not in layers]:
            result.events.visible.disconnect(self._update)
        self._results = [pair for pair in self._results if pair[0] in layers]
        self._update()
        if not self._results:
            self._disconnect()

    def _connect(self) -> None:
        for event in self._outside():
            event.connect(self._update)
        self._viewer.layers.events.removed.connect(self._notice_removal)

    def _disconnect(self) -> None:
        for event in self._outside():
            event.disconnect(self._update)
        self._viewer.layers.events.removed.disconnect(self._notice_removal)
        forget(StandIns, self._viewer)

    def _outside(self) -> tuple[Any, ...]:
        events = self._viewer.dims.events
        return events.current_step, events.order, events.ndisplay
