"""A square on the image, which is dragged to another place."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.base.dragging import Drags, Move, World, pixels_apart
from napari_ne_denoise.gui.inside.plane_plan import PlanePlan
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.viewer import Viewer

NAME = "patch"
COLOUR = "#ffc83d"
WIDTH = 2.0  # screen pixels


class Square:
    """A square of whole pixels in a plane.

    Parameters
    ----------
    viewer
        Where.
    plan
        The plane.
    middle
        Row and column.
    side
        In pixels; less where the plane is smaller.
    moved
        Called after it was dragged.
    """

    def __init__(self, viewer: "Viewer", plan: PlanePlan, middle: tuple[float, float], side: int, moved: Callable[[], None]) -> None:
        self._viewer, self._plan, self._moved = viewer, plan, moved
        self._lengths = np.minimum(side, plan.layout.plane_shape)
        self._corner = self._allowed(np.asarray(middle) - self._lengths / 2)
        active = viewer.layers.selection.active
        look = {"edge_color": COLOUR, "face_color": "transparent", "edge_width": 1.0, "metadata": {HELPER_KEY: True}}
        place = place_at(plan.layer, (0,) * plan.layer.ndim)
        self.layer = viewer.add_shapes([self._vertices()], shape_type="polygon", name=NAME, **look, **place)
        viewer.layers.selection.active = active
        self._thin()
        self._drags = Drags(viewer, self._grab)
        viewer.scene.camera.events.zoom.connect(self._thin)

    @property
    def is_alive(self) -> bool:
        """Whether it is still there."""
        return self.layer in self._viewer.layers

    @property
    def window(self) -> Window:
        """Rows and columns of the plane."""
        rows, columns = (slice(int(at), int(at + length)) for at, length in zip(self._corner, self._lengths, strict=True))
        return rows, columns

    @property
    def middle(self) -> tuple[float, float]:
        """Row and column."""
        row, column = self._corner + self._lengths / 2
        return float(row), float(column)

    def show_plane(self, plan: PlanePlan) -> None:
        """Go to another plane of the same layer."""
        self._plan = plan
        self._draw()

    def leave(self) -> None:
        """Take it away."""
        self.stop()
        if self.is_alive:
            self._viewer.layers.remove(self.layer)

    def stop(self) -> None:
        """Let it not be dragged any more; the window may be gone."""
        self._drags.stop()
        self._viewer.scene.camera.events.zoom.disconnect(self._thin)

    def _allowed(self, corner: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(corner), 0, np.asarray(self._plan.layout.plane_shape) - self._lengths).astype(int)

    def _vertices(self) -> np.ndarray:
        (top, left), (bottom, right) = self._corner - 0.5, self._corner + self._lengths - 0.5
        return np.array([self._plan.in_layer(*place) for place in ((top, left), (top, right), (bottom, right), (bottom, left))])

    def _grab(self, event: Any) -> Move | None:
        if not self.layer.visible:
            return None
        first, before = self._at(event.position), self._corner
        if not ((before - 0.5 <= first) & (first <= before + self._lengths - 0.5)).all():
            return None
        return lambda world: self._put(before + self._at(world) - first)

    def _put(self, corner: np.ndarray) -> None:
        corner = self._allowed(corner)
        if (corner != self._corner).any():
            self._corner = corner
            self._draw()
            self._moved()

    def _draw(self) -> None:
        self.layer.data = [self._vertices()]
        self._thin()  # napari draws new data with a width of its own

    def _at(self, world: World) -> np.ndarray:
        place = self._plan.layer.world_to_data(world)
        return np.array([place[self._plan.layout.rows], place[self._plan.layout.columns]])

    def _thin(self, *_: object) -> None:
        layer, missing = self._plan.layer, (0.0,) * (self._viewer.dims.ndim - self._plan.layer.ndim)
        pixel = [(*missing, *layer.data_to_world(self._plan.in_layer(0, column))) for column in (0, 1)]
        self.layer.edge_width = WIDTH / max(pixels_apart(self._viewer, *pixel), 1e-9)
