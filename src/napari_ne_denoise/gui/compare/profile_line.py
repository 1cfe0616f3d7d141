"""The line of a profile on the canvas: it is drawn, moved and turned with the mouse."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.gui.base.dragging import REACH, Drags, Move, World, pixels_apart
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, finest
from napari_ne_denoise.gui.layers.places import ShownPlane, place_at, shown_plane

if TYPE_CHECKING:
    from napari.viewer import Viewer

NAME = "profile line"
COLOUR = "#ffc83d"
WIDTH = 2.0  # screen pixels
SHARE = 0.5  # of the width of the image that is seen, of the first line


class ProfileLine:
    """A line in the plane of a layer that is shown.

    Shift-drag draws a new one; an end that is dragged moves, and the line moves with what is between.

    Parameters
    ----------
    viewer, layer
        Where, and on what.
    changed
        Called after it has changed, or another plane is shown.
    ends
        As in `put`.  None: through the middle of what is seen.
    """

    def __init__(self, viewer: "Viewer", layer: Any, changed: Callable[[], None], ends: np.ndarray | None = None) -> None:
        self._viewer, self._layer, self._changed = viewer, layer, changed
        shown = shown_plane(viewer, layer)
        self.ends = _first_ends(viewer, layer, shown) if ends is None else ends
        active = viewer.layers.selection.active
        self.layer = viewer.add_shapes(
            self._vertices(),
            shape_type="line",
            name=NAME,
            edge_color=COLOUR,
            edge_width=self._width(),
            metadata={HELPER_KEY: True},
            **place_at(layer, (0,) * layer.ndim),
        )
        viewer.layers.selection.active = active
        self._drags = Drags(viewer, self._grab)
        dims = viewer.dims.events
        self._outside = [(dims.current_step, self._follow), (dims.order, self._begin_again), (viewer.scene.camera.events.zoom, self._thin)]
        for event, slot in self._outside:
            event.connect(slot)

    @property
    def is_alive(self) -> bool:
        """Whether it is still there."""
        return self.layer in self._viewer.layers

    def leave(self) -> None:
        """Take the line away."""
        for event, slot in self._outside:
            event.disconnect(slot)
        self._drags.stop()
        if self.is_alive:
            self._viewer.layers.remove(self.layer)

    def put(self, ends: np.ndarray) -> None:
        """Draw it from one (row, column) to another, in pixels of the layer."""
        self.ends = ends
        self.layer.data = [self._vertices()]
        self._changed()

    def _vertices(self) -> np.ndarray:
        shown = shown_plane(self._viewer, self._layer)
        return np.array([shown.at(*end) for end in self.ends])

    def _follow(self, *_: object) -> None:
        if self._viewer.dims.ndisplay == 2:
            self.put(self.ends)

    def _begin_again(self, *_: object) -> None:
        """Along other axes the old line means nothing."""
        if self._viewer.dims.ndisplay == 2:
            self.put(_first_ends(self._viewer, self._layer, shown_plane(self._viewer, self._layer)))

    def _thin(self, *_: object) -> None:
        self.layer.edge_width = self._width()

    def _width(self) -> float:
        """Of the line in pixels of the layer."""
        shown = shown_plane(self._viewer, self._layer)
        pixel = [self._layer.data_to_world(shown.at(0, column)) for column in (0, 1)]
        return WIDTH / max(pixels_apart(self._viewer, *self._in_view(*pixel)), 1e-9)

    def _in_view(self, *places: World) -> list[World]:
        """Places in the world with all axes of the viewer."""
        missing = (0.0,) * (self._viewer.dims.ndim - self._layer.ndim)
        return [(*missing, *place) for place in places]

    def _grab(self, event: Any) -> Move | None:
        """What the mouse would do: draw a line, move an end, or the line."""
        try:
            shown = shown_plane(self._viewer, self._layer)
        except ImageError:
            return None
        if not self.layer.visible:
            return None
        start = self._at(shown, event.position)
        if "Shift" in event.modifiers:
            return lambda world: self.put(np.array([start, self._at(shown, world)]))
        ends = self.ends.copy()
        distances = [self._apart(shown, end, event.position) for end in ends]
        near = int(np.argmin(distances))
        if distances[near] <= REACH:
            return lambda world: self.put(np.array([ends[1 - near], self._at(shown, world)]))
        if self._apart(shown, _foot(ends, start), event.position) <= REACH:
            return lambda world: self.put(ends + self._at(shown, world) - start)
        return None

    def _at(self, shown: ShownPlane, world: World) -> np.ndarray:
        return np.array(shown.within(self._layer.world_to_data(world)))

    def _apart(self, shown: ShownPlane, place: np.ndarray, world: World) -> float:
        (there,) = self._in_view(self._layer.data_to_world(shown.at(*place)))
        return pixels_apart(self._viewer, there, world)


def _foot(ends: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The place of a line that is next to a point."""
    along = ends[1] - ends[0]
    share = float((point - ends[0]) @ along) / (float(along @ along) or 1.0)
    return np.asarray(ends[0] + min(max(share, 0.0), 1.0) * along)


def _first_ends(viewer: "Viewer", layer: Any, shown: ShownPlane) -> np.ndarray:
    """A horizontal line through the middle of what is seen of a plane; of all of it where nothing is."""
    lengths = np.array(finest(layer).shape)[[shown.rows, shown.columns]]
    # not from the layer's corner_pixels, which are those of the last drawing: a grid may have come since
    grid = viewer.canvas.grid.actual_shape(viewer.layers)
    reach = np.array(viewer.canvas.size) / grid / viewer.scene.camera.zoom / 2
    point = np.array(viewer.dims.point, float)
    point[list(viewer.dims.displayed)] = viewer.scene.camera.center[-2:]
    origin, *steps = (np.array(layer.data_to_world(shown.at(*place))) for place in ((0, 0), (1, 0), (0, 1)))
    reach = reach / [np.linalg.norm(step - origin) for step in steps]
    middle = np.array(shown.within(layer.world_to_data(point)))
    first, last = np.maximum(middle - reach, 0), np.minimum(middle + reach, lengths - 1)
    if (first > last).any():
        first, last = np.zeros(2), lengths - 1.0
    (row, column), half = (first + last) / 2, SHARE * (last[1] - first[1]) / 2
    return np.rint([(row, column - half), (row, column + half)])
