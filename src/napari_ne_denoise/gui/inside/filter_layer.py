"""Where the weights of filters lie in the viewer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from napari_ne_denoise.core.axes import PlaneLayout
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.inside.weight_colours import COLOURMAP, limit_of
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

FILTER_KEY = f"{KEY} filter"
NAME = "adaptive filter"


@dataclass(frozen=True, eq=False)
class Piece:
    """Weights with all axes of a layer, and the place of the first one in its array."""

    weights: np.ndarray
    origin: tuple[int, ...]


def is_filter(layer: "Image") -> bool:
    """Whether a layer shows the filter of the dock."""
    return layer.metadata.get(FILTER_KEY) is True


def is_kind(layer: "Layer", kind: str) -> bool:
    """Whether a layer shows several filters of a kind."""
    return bool(layer.metadata.get(FILTER_KEY) == kind)


def hide_filter(viewer: "Viewer") -> None:
    """Take the filter layer away, if there is one."""
    for layer in [layer for layer in viewer.layers if is_filter(layer)]:
        viewer.layers.remove(layer)


def show_filter(viewer: "Viewer", layer: "Image", piece: Piece, is_passing: bool = False) -> None:
    """Show weights on an image layer: in the one filter layer there is, or in a new one.

    While the mouse passes, the canvas alone hears of it: napari's list of layers and its sliders wait until it rests.
    """
    look = _look(layer, piece)
    existing = next((other for other in viewer.layers if is_filter(other)), None)
    if existing is not None and existing.ndim == layer.ndim:
        if is_passing:
            with _unheard(viewer, existing):
                _change(existing, piece.weights, look)
        else:
            _change(existing, piece.weights, look)
            _tell(existing, look)
        return
    if existing is not None:
        viewer.layers.remove(existing)
    _add(viewer, piece.weights.copy(), NAME, True, look)


def replace_layers(viewer: "Viewer", layer: "Image", kind: str, pieces: Sequence[Piece], names: Sequence[str], layout: PlaneLayout) -> None:
    """Show several filters on an image layer, in place of those of the same kind.

    Parameters
    ----------
    viewer, layer
        Where, and on what.
    kind
        Which layers these take the place of.
    pieces, names
        Filters, and either one name for a layer of all, or one for each.
    layout
        Which axes are rows and columns.
    """
    remove_layers(viewer, kind)
    if not pieces:
        return
    if len(names) == 1:
        # a wide filter has small weights: each is drawn by its own largest
        together = mosaic(layer, [Piece(piece.weights / limit_of(piece.weights), piece.origin) for piece in pieces], layout)
        _add(viewer, together.weights, names[0], kind, {**place_at(layer, together.origin), "contrast_limits": (-1.0, 1.0)})
        return
    for piece, name in zip(pieces, names, strict=True):
        _add(viewer, piece.weights, name, kind, _look(layer, piece))


def remove_layers(viewer: "Viewer", kind: str) -> None:
    """Take the layers of a kind away."""
    for layer in [layer for layer in viewer.layers if is_kind(layer, kind)]:
        viewer.layers.remove(layer)


def mosaic(layer: "Image", pieces: Sequence[Piece], layout: PlaneLayout) -> Piece:
    """All pieces in one array, with all planes of the layer; where some overlap, the larger weight is seen.

    Of several planes each is put together when it is shown.
    """
    inner = (layout.rows, layout.columns)
    first = [min(piece.origin[axis] for piece in pieces) for axis in inner]
    last = [max(piece.origin[axis] + piece.weights.shape[axis] for piece in pieces) for axis in inner]
    lengths, origin = list(layer.data.shape if not layer.multiscale else layer.data[0].shape)[: layer.ndim], [0] * layer.ndim
    for axis, start, stop in zip(inner, first, last, strict=True):
        lengths[axis], origin[axis] = stop - start, start
    chunks = tuple((length,) if axis in inner else (1,) * length for axis, length in enumerate(lengths))

    def plane(block_info: Any = None) -> np.ndarray:
        where = block_info[None]["chunk-location"]
        drawn = np.zeros([length if axis in inner else 1 for axis, length in enumerate(lengths)], np.float32)
        for piece in pieces:
            if all(piece.origin[axis] == where[axis] for axis in range(layer.ndim) if axis not in inner):
                _draw(drawn, piece, inner, origin)
        return drawn

    if layer.ndim == 2:
        return Piece(plane({None: {"chunk-location": (0, 0)}}), tuple(origin))
    return Piece(da.map_blocks(plane, chunks=chunks, dtype=np.float32, meta=np.zeros((0,) * layer.ndim, np.float32)), tuple(origin))


def _draw(drawn: np.ndarray, piece: Piece, inner: tuple[int, int], origin: Sequence[int]) -> None:
    window = tuple(
        slice(at - start, at - start + length) if axis in inner else slice(None)
        for axis, (at, start, length) in enumerate(zip(piece.origin, origin, piece.weights.shape, strict=True))
    )
    there = drawn[window]
    there[...] = np.where(np.abs(piece.weights) > np.abs(there), piece.weights, there)


def _add(viewer: "Viewer", weights: Any, name: str, kind: str | bool, look: dict[str, Any]) -> None:
    active = viewer.layers.selection.active
    notes = {FILTER_KEY: kind, HELPER_KEY: True}
    viewer.add_image(weights, name=name, colormap=COLOURMAP, blending="translucent_no_depth", metadata=notes, rgb=False, **look)
    # napari makes a new layer the active one: the user is still looking at the image
    viewer.layers.selection.active = active


def _look(layer: "Image", piece: Piece) -> dict[str, Any]:
    limit = limit_of(piece.weights)
    return {**place_at(layer, piece.origin), "contrast_limits": (-limit, limit)}


def _change(existing: "Image", weights: np.ndarray, look: dict[str, Any]) -> None:
    # for each attribute that is set napari slices, tells everybody and draws: a filter that follows the mouse would wait for that six times
    changed = {name: value for name, value in look.items() if not _is_equal(getattr(existing, name), value)}
    if "contrast_limits" in changed:
        existing.contrast_limits = changed.pop("contrast_limits")
    if _takes(existing.data, weights):
        existing.data[...] = weights
    else:
        existing.data = weights.copy()
    for name, value in changed.items():
        setattr(existing, name, value)
    if not changed:
        existing.refresh()


def _takes(there: Any, weights: np.ndarray) -> bool:
    return isinstance(there, np.ndarray) and (there.shape, there.dtype) == (weights.shape, weights.dtype)


@contextmanager
def _unheard(viewer: "Viewer", layer: "Image") -> Iterator[None]:
    """Let a layer move unheard by the list of layers, for which Qt would draw the whole window once more, and by the sliders.

    The canvas is told what was sliced, and asks where that lies.
    """
    with viewer.layers.events.blocker_all(), layer.events.translate.blocker():
        yield


def _tell(layer: "Image", look: dict[str, Any]) -> None:
    """Let everybody know what was unheard."""
    layer.contrast_limits_range = look["contrast_limits"]
    layer.translate = look["translate"]


def _is_equal(one: Any, other: Any) -> bool:
    return np.array_equal(np.asarray(getattr(one, "affine_matrix", one)), np.asarray(other))
