"""Which part of a layer the viewer shows: the plane, and the window of it."""

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from napari_ne_denoise.core.axes import PlaneLayout
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.layers.view import corners_of_view, pixels_between, shows_planes

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

# pixels that are previewed at once, about those of a large screen; a whole slide would take minutes and gigabytes
MOST_PIXELS = 2**22

IN_3D = "Preview pauses in the 3D view."
OTHER_AXES = "Preview pauses: the viewer shows other axes than the rows and columns that are denoised."


@dataclass(frozen=True)
class Seen:
    """What is seen of a layer.

    Attributes
    ----------
    position
        A pixel of the plane, for each axis of the layer.
    window
        Rows and columns of the plane.
    is_all
        Whether the window is all that is seen; else it is the middle of that.
    """

    position: tuple[int, ...]
    window: Window
    is_all: bool


def seen_part(viewer: "Viewer", layer: "Image", layout: PlaneLayout) -> Seen | None:
    """What the viewer shows of a layer, or would show if the layer were visible; None where it shows nothing of it.

    Raises
    ------
    ImageError
        If it shows no plane that is denoised; the message is for the user.
    """
    if viewer.dims.ndisplay == 3:
        raise ImageError(IN_3D)
    if not shows_planes(viewer, layer, layout):
        raise ImageError(OTHER_AXES)
    corners = corners_of_view(viewer, layer)
    position = np.rint(corners.mean(axis=0)).astype(int)
    window = [pixels_between(corners, axis, layout.shape[axis]) for axis in (layout.rows, layout.columns)]
    others = [axis for axis in range(layer.ndim) if axis not in (layout.rows, layout.columns)]
    if any(part.start >= part.stop for part in window) or any(not 0 <= position[axis] < layout.shape[axis] for axis in others):
        return None
    rows, columns, is_all = _middle(*window)
    position[layout.rows], position[layout.columns] = rows.start, columns.start
    return Seen(tuple(int(at) for at in position), (rows, columns), is_all)


def _middle(rows: slice, columns: slice) -> tuple[slice, slice, bool]:
    """As much of the middle as is previewed."""
    lengths = [part.stop - part.start for part in (rows, columns)]
    if lengths[0] * lengths[1] <= MOST_PIXELS:
        return rows, columns, True
    side = sqrt(MOST_PIXELS)
    # a long strip is cut along its length only
    shorter = min(min(lengths), side)
    longer = MOST_PIXELS / shorter if min(lengths) < side else side
    limits = (shorter, longer) if lengths[0] < lengths[1] else (longer, shorter)
    cut = [_centred(part, int(limit)) for part, limit in zip((rows, columns), limits, strict=True)]
    return cut[0], cut[1], False


def _centred(part: slice, limit: int) -> slice:
    length = min(part.stop - part.start, limit)
    start = (part.start + part.stop - length) // 2
    return slice(start, start + length)
