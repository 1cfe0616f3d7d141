"""The array of a layer whose planes are computed when they are shown: pictures get what is there, everybody else all pixels."""

import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

import dask.array as da
from napari.layers import Layer

from napari_ne_denoise.gui.denoise.lazy_planes import planes_of_all

if TYPE_CHECKING:
    from napari_ne_denoise.core.lazy import LazyResult

# whose request for pixels is one for a picture.  Were it called otherwise one day, napari would wait for its planes, as it did before
SLICING = "napari.layers._scalar_field._slice"
# from the request up to the layer whose picture it is
MOST_FRAMES = 8


class LazyArray(da.Array):
    """A lazy result as a dask array that lets napari show planes that are not computed yet.

    Where napari makes the picture of a layer that somebody serves (`LazyPlanes.serve`), it gets what is there, at once.  Whoever else asks
    gets a dask array: saving, measuring and comparing see exact pixels only, and wait for them.

    Parameters
    ----------
    result
        What computes it.
    """

    result: "LazyResult"

    def __new__(cls, result: "LazyResult") -> "LazyArray":  # noqa: D102 said above
        whole = result.array
        array = super().__new__(cls, whole.dask, whole.name, whole.chunks, meta=whole)
        array.result = result
        return array

    def copy(self) -> "LazyArray":
        """Another one of the same result, as napari asks for when a layer is duplicated."""
        return LazyArray(self.result)

    def __getitem__(self, index: Any) -> Any:
        """What is there, as numpy array, for a picture; a dask array for everybody else."""
        layer = _layer_being_sliced(sys._getframe(1))
        picture = None if layer is None else planes_of_all().picture(layer, self.result, index)
        return super().__getitem__(index) if picture is None else picture


def _layer_being_sliced(asking: FrameType) -> Layer | None:
    """The layer whose picture napari is making in the main thread; None if pixels are wanted for anything else."""
    if asking.f_globals.get("__name__") != SLICING or threading.current_thread() is not threading.main_thread():
        return None
    frame: FrameType | None = asking
    for _ in range(MOST_FRAMES):
        if frame is None:
            return None
        layer = getattr(frame.f_locals.get("self"), "layer", None)
        if isinstance(layer, Layer):
            return layer
        frame = frame.f_back
    return None
