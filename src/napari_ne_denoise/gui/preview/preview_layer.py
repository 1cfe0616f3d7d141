"""The layer that shows a preview exactly over its source."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.gui.compare.kept_view import covers
from napari_ne_denoise.gui.layers.kinship import made_from
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, translate_at
from napari_ne_denoise.gui.preview.preview_painting import Painted

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

PLACE = ("scale", "rotate", "shear", "translate", "affine", "units", "axis_labels")
LOOK = ("name", "visible", "opacity", "blending", "gamma", "interpolation2d", "contrast_limits_range", "contrast_limits", "colormap")
# of colour images, whose values are colours already
GREY_ONLY = ("contrast_limits_range", "contrast_limits", "colormap")


class PreviewLayer:
    """Shows what is painted of one source, and follows its place and look; on the main thread only.

    Parameters
    ----------
    viewer, source
        Where, and over what.
    """

    def __init__(self, viewer: "Viewer", source: "Image") -> None:
        self._viewer, self._source = viewer, source
        self._layer: Any = None
        self._origin: tuple[int, ...] = ()
        self._names = [name for name in (*PLACE, *LOOK) if not (source.rgb and name in GREY_ONLY)]
        for name in self._names:
            getattr(source.events, name).connect(self._follow)

    @property
    def layer(self) -> Any:
        """The layer; None before anything was painted, or after it was taken away."""
        return self._layer if self._layer in self._viewer.layers else None

    @property
    def was_removed(self) -> bool:
        """Whether the user has taken it away."""
        return self._layer is not None and self._layer not in self._viewer.layers

    def show(self, painted: Painted) -> None:
        """Show what is painted so far, in its place."""
        origin = _origin(painted)
        if self._layer is None:
            self._origin = origin
            self._layer = self._add(painted.values)
        elif self._layer.data is painted.values or _same_memory(self._layer.data, painted.values):
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)
        else:
            # nothing is drawn between the two
            self._origin = origin
            self._layer.translate = self._translate()
            self._layer.data = painted.values

    def hide(self) -> None:
        """Follow the source no more, and show nothing until it is taken away."""
        self.let_go()
        if self.layer is not None:
            self.layer.opacity = 0  # not `visible`: it has to be drawn once more

    def remove(self) -> None:
        """Take the layer away, and follow its source no more."""
        self.let_go()
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            with _kept_selection(self._viewer):
                self._viewer.layers.remove(layer)

    def let_go(self) -> None:
        """Follow the source no more."""
        for name in self._names:
            getattr(self._source.events, name).disconnect(self._follow)
        self._names = []

    def _add(self, values: np.ndarray) -> Any:
        look = {name: self._value(name) for name in self._names if name != "contrast_limits_range"}
        notes = {HELPER_KEY: True}
        with _kept_selection(self._viewer):
            layers = self._viewer.layers
            layer = self._viewer.add_image(values, rgb=self._source.rgb, metadata=notes, **look)
            if not self._source.rgb:
                layer.contrast_limits_range = self._source.contrast_limits_range
                layer.contrast_limits = self._source.contrast_limits
            layers.move(layers.index(layer), max(layers.index(below) for below in self._covered()) + 1)
        return layer

    def _covered(self) -> list[Any]:
        """The source and what was made from it: below a result nobody would see a preview."""
        return [self._source, *made_from(self._viewer, self._source)]

    def _value(self, name: str) -> Any:
        if name == "name":
            return f"{self._source.name} preview"
        if name == "translate":
            return self._translate()
        if name == "visible":  # where a result has taken the place of its source, that one is hidden
            return any(layer.visible for layer in self._covered())
        if name == "blending" and not covers(self._source):  # source and preview would mix
            return "translucent_no_depth"
        value = getattr(self._source, name)
        return value.affine_matrix if name == "affine" else value

    def _translate(self) -> np.ndarray:
        source = self._source
        return translate_at(source.scale, source.rotate, source.shear, source.translate, self._origin)

    def _follow(self, event: Any) -> None:
        if self.layer is None:
            return
        setattr(self._layer, event.type, self._value(event.type))
        if event.type in PLACE and event.type != "translate":
            self._layer.translate = self._translate()


def _origin(painted: Painted) -> tuple[int, ...]:
    """Where in the layer's array the first painted pixel is."""
    layout, origin = painted.wish.subject.layout, list(painted.wish.seen.position)
    origin[layout.rows], origin[layout.columns] = painted.window[0].start, painted.window[1].start
    return tuple(origin)


def _same_memory(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.__array_interface__["data"] == other.__array_interface__["data"]


@contextmanager
def _kept_selection(viewer: "Viewer") -> Iterator[None]:
    """Keep what is selected, which napari changes when layers come and go."""
    selected = list(viewer.layers.selection)
    yield
    viewer.layers.selection = [layer for layer in selected if layer in viewer.layers]
