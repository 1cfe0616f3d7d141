"""Which part of a layer the viewer shows."""

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_ne_denoise.core.axes import PlaneLayout
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.tiling import Window

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


def shows_planes(viewer: "Viewer", layer: "Image", layout: PlaneLayout) -> bool:
    """Whether the viewer shows the rows and columns of a layer, and nothing else."""
    return viewer.dims.ndisplay == 2 and _displayed(viewer, layer) == {layout.rows, layout.columns}


def corners_of_view(viewer: "Viewer", layer: "Image") -> np.ndarray:
    """The four corners of what the viewer shows, in pixels of the layer (4, axes)."""
    # not layer.corner_pixels: a multiscale layer updates those only when it has to load something
    half = np.array(viewer.canvas.viewbox_size(viewer.layers), float) / (2 * viewer.scene.camera.zoom)
    middle = np.array(viewer.scene.camera.center, float)[-2:]
    corners = []
    for signs in product((-1, 1), repeat=2):
        point = np.array(viewer.dims.point, float)
        point[list(viewer.dims.displayed)] = middle + half * signs
        corners.append(layer.world_to_data(point))
    return np.array(corners, float)


def pixels_between(corners: np.ndarray, axis: int, length: int) -> slice:
    """The pixels along an axis of that length between the outermost corners; a pixel reaches half a pixel to either side."""
    first, last = (int(np.floor(place + 0.5)) for place in (corners[:, axis].min(), corners[:, axis].max()))
    return slice(max(first, 0), min(last + 1, length))


def visible_window(viewer: "Viewer", layer: "Image", layout: PlaneLayout) -> Window:
    """Rows and columns that the canvas shows; all of an axis that it does not show, and in 3D.

    Raises
    ------
    ImageError
        If it shows none.
    """
    rows, columns = (slice(0, length) for length in layout.plane_shape)
    if viewer.dims.ndisplay == 2:
        corners, displayed = corners_of_view(viewer, layer), _displayed(viewer, layer)
        rows, columns = (
            pixels_between(corners, axis, whole.stop) if axis in displayed else whole
            for axis, whole in ((layout.rows, rows), (layout.columns, columns))
        )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise ImageError(f"Nothing of {layer.name} is visible: move it into view.")
    return rows, columns


def _displayed(viewer: "Viewer", layer: "Image") -> set[int]:
    missing = viewer.dims.ndim - layer.ndim
    return {axis - missing for axis in viewer.dims.displayed}
