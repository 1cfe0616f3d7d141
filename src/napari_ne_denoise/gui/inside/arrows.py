"""Directions of filters as lines over a map of them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, MAP_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

MOST_ALONG = 48  # lines along the longer side of a plane
CLOSEST = 8  # pixels from one to the next
LENGTH, WIDTH = 0.8, 0.12  # of a line, in distances between two
LINES_KEY = f"{MAP_KEY} lines"


def show_lines(viewer: "Viewer", layer: "Image", rows: int, columns: int) -> Any:
    """Draw the directions of a map in degrees as lines, in the layer that there is for it or in a new one.

    Parameters
    ----------
    viewer, layer
        A map of directions: 0 along X, 90 along Y, NaN where there is none.
    rows, columns
        Numbers of its axes.
    """
    lines, spacing = lines_of(np.asarray(layer.data), rows, columns)
    look: dict[str, Any] = {"edge_width": WIDTH * spacing, "edge_color": "white", "vector_style": "line", "length": 1}
    for other in viewer.layers:
        if other.metadata.get(LINES_KEY) == layer.name:
            other.data, other.edge_width = lines, look["edge_width"]
            return other
    notes = {HELPER_KEY: True, LINES_KEY: layer.name}
    active = viewer.layers.selection.active
    look |= {"name": f"{layer.name} lines", "metadata": notes, "ndim": layer.ndim}
    added = viewer.add_vectors(lines, **look, **place_at(layer, (0,) * layer.ndim))
    viewer.layers.selection.active = active
    return added


def lines_of(degrees: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, int]:
    """Begins and extents (N, 2, axes) of lines through pixels of a lattice, and its spacing; no line where there is no direction."""
    spacing = max(CLOSEST, -(-max(degrees.shape[rows], degrees.shape[columns]) // MOST_ALONG))
    lattice = [slice(spacing // 2, None, spacing) if axis in (rows, columns) else slice(None) for axis in range(degrees.ndim)]
    seen = degrees[tuple(lattice)]
    places = np.argwhere(np.isfinite(seen)).astype(float)
    angles = np.radians(seen[np.isfinite(seen)])
    for axis in (rows, columns):
        places[:, axis] = spacing // 2 + spacing * places[:, axis]
    extents = np.zeros_like(places)
    extents[:, rows], extents[:, columns] = (LENGTH * spacing * part for part in (np.sin(angles), np.cos(angles)))
    return np.stack([places - extents / 2, extents], 1), spacing
