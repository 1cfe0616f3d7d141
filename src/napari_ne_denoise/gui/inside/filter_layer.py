"""Where the weights of a filter lie in the viewer."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.tiling import inside, square_around
from napari_ne_denoise.gui.inside.weight_colours import COLOURMAP, limit_of
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

FILTER_KEY = f"{KEY} filter"
NAME = "adaptive filter"


def is_filter(layer: "Image") -> bool:
    """Whether a layer shows a filter."""
    return FILTER_KEY in layer.metadata


def hide_filter(viewer: "Viewer") -> None:
    """Take the filter layer away, if there is one."""
    for layer in [layer for layer in viewer.layers if is_filter(layer)]:
        viewer.layers.remove(layer)


def show_filter(viewer: "Viewer", layer: "Image", weights: np.ndarray, origin: tuple[int, ...]) -> None:
    """Show weights on an image layer: in the one filter layer there is, or in a new one.

    Parameters
    ----------
    viewer, layer
        Where, and on what.
    weights
        With the axes of the layer.
    origin
        Place of the first weight in the layer's array.
    """
    active = viewer.layers.selection.active
    look = _look(layer, weights, origin)
    existing = next((other for other in viewer.layers if is_filter(other)), None)
    if existing is not None and existing.ndim == layer.ndim:
        _change(existing, weights, look)
        return
    if existing is not None:
        viewer.layers.remove(existing)
    notes = {FILTER_KEY: True, HELPER_KEY: True}
    viewer.add_image(weights, name=NAME, colormap=COLOURMAP, blending="translucent_no_depth", metadata=notes, rgb=False, **look)
    # napari makes a new layer the active one: the user is still looking at the image
    viewer.layers.selection.active = active


def _look(layer: "Image", weights: np.ndarray, origin: tuple[int, ...]) -> dict[str, Any]:
    limit = limit_of(weights)
    return {**place_at(layer, origin), "contrast_limits": (-limit, limit)}


def _change(existing: "Image", weights: np.ndarray, look: dict[str, Any]) -> None:
    existing.data = weights
    limits = look.pop("contrast_limits")
    existing.contrast_limits_range = existing.contrast_limits = limits
    for name, value in look.items():
        # each change makes napari draw everything again: a filter that follows the mouse would wait for that six times
        if not _is_equal(getattr(existing, name), value):
            setattr(existing, name, value)


def _is_equal(one: Any, other: Any) -> bool:
    return np.array_equal(np.asarray(getattr(one, "affine_matrix", one)), np.asarray(other))


def crop(weights: np.ndarray, origin: tuple[int, int], point: tuple[int, int], side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Weights (Y, X) in a square around a point, cut off where the filter ends, and the place of its first one."""
    within = slice(origin[0], origin[0] + weights.shape[0]), slice(origin[1], origin[1] + weights.shape[1])
    square = square_around(point, side, within)
    return weights[inside(square, within)], (square[0].start, square[1].start)
