"""Where a part of a layer lies in the viewer, and which part of it is shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.gui.layers.layer_data import finest, translate_at

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer


def place_at(layer: "Layer", origin: tuple[float, ...]) -> dict[str, Any]:
    """Place, units and axis labels, as arguments of ``add_image``, of what begins at a place of a layer's array."""
    return {
        "scale": layer.scale,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "translate": translate_at(layer.scale, layer.rotate, layer.shear, layer.translate, origin),
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


@dataclass(frozen=True)
class ShownPlane:
    """The plane of a layer's array that the viewer shows.

    Attributes
    ----------
    position
        In the array, colours left out; 0 along `rows` and `columns`.
    rows, columns
        Numbers of the axes that run down and across the canvas.
    """

    position: tuple[int, ...]
    rows: int
    columns: int

    @property
    def index(self) -> Index:
        """Of the plane in the array; every axis is kept, those that are not shown with a length of one."""
        shown = (self.rows, self.columns)
        return tuple(slice(None) if axis in shown else slice(at, at + 1) for axis, at in enumerate(self.position))

    def read(self, array: Any) -> np.ndarray:
        """The plane, with every axis of the array; of one in memory a view."""
        return np.asarray(array[self.index])

    def flat(self, plane: np.ndarray) -> np.ndarray:
        """What `read` gave, as (rows, columns), colours behind."""
        others = tuple(axis for axis in range(len(self.position)) if axis not in (self.rows, self.columns))
        two = plane.squeeze(others)
        return two if self.rows < self.columns else two.swapaxes(0, 1)

    def at(self, row: float, column: float) -> tuple[float, ...]:
        """A place of the plane, in the array."""
        places = {self.rows: row, self.columns: column}
        return tuple(places.get(axis, at) for axis, at in enumerate(self.position))

    def within(self, place: Any) -> tuple[float, float]:
        """Row and column of a place in the array."""
        return float(place[self.rows]), float(place[self.columns])


def shown_plane(viewer: "Viewer", layer: "Image") -> ShownPlane:
    """Of a layer, in the 2D view.

    Raises
    ------
    ImageError
        If the view is in 3D, or along axes that the layer has not got.
    """
    if viewer.dims.ndisplay != 2:
        raise ImageError("This needs the 2D view: switch to it with the button below the layers.")
    missing = viewer.dims.ndim - layer.ndim
    rows, columns = (axis - missing for axis in viewer.dims.displayed)
    if min(rows, columns) < 0:
        raise ImageError(f"{layer.name} has only {layer.ndim} axes, and the view is along another one.")
    lengths = np.array(finest(layer).shape[: layer.ndim])
    point = np.clip(np.rint(layer.world_to_data(viewer.dims.point)), 0, lengths - 1)
    point[[rows, columns]] = 0
    return ShownPlane(tuple(int(at) for at in point), rows, columns)
