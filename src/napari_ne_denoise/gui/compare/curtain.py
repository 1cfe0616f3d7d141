"""A curtain: left of a line the image from before, right of it the one from after, in one place."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.gui.base.dragging import REACH, Drags, Move, pixels_apart
from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.compare.kept_view import KeptView, covering, covers
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import ShownPlane, place_at, shown_plane

if TYPE_CHECKING:
    from napari.viewer import Viewer

LINE = "#ffc83d"
# what a half looks like: as its layer does, now and later
_LOOK = ("contrast_limits", "gamma", "colormap", "opacity", "blending", "interpolation2d")
_COLOUR_LOOK = ("gamma", "opacity", "blending", "interpolation2d")


class Curtain:
    """Two layers in one place, with a line between them that can be dragged, until it is left.

    The left half is a layer that holds a part of the image from before, as a view: nothing is copied.  Where the image from after
    would shine through, it is hidden, and its right half is such a layer too.

    Parameters
    ----------
    viewer, pair
        Where, and of what.
    share
        Of the width, that is left of the line, 0 to 1.
    moved
        Called with it when the line was dragged.

    Raises
    ------
    ImageError
        In 3D, or along axes that the layers have not got.
    """

    def __init__(self, viewer: "Viewer", pair: Pair, share: float, moved: Callable[[float], None]) -> None:
        shown_plane(viewer, pair.after)
        self.share = share
        self._viewer, self._pair, self._moved = viewer, pair, moved
        self._kept = KeptView()
        active = viewer.layers.selection.active
        through = not (covers(pair.before) and pair.before.opacity == 1)
        self._arrange(through)
        self._halves = [_Half(viewer, pair, "before", 0)]
        if through:
            self._halves.append(_Half(viewer, pair, "after", 1))
        viewer.layers.selection.active = active  # napari makes a new layer the active one
        self._drags = Drags(viewer, self._grab)
        self._outside = (viewer.dims.events.current_step, viewer.dims.events.order, viewer.dims.events.ndisplay)
        for event in self._outside:
            event.connect(self._draw)
        self._draw()

    def move_to(self, share: float) -> None:
        """Put the line elsewhere: so much of the width is then left of it, 0 to 1."""
        self.share = min(max(share, 0.0), 1.0)
        self._draw()

    def leave(self) -> None:
        """Take the curtain away, and show what was shown before."""
        for event in self._outside:
            event.disconnect(self._draw)
        self._drags.stop()
        for half in self._halves:
            half.leave()
        self._kept.restore()

    def is_alive(self, viewer: "Viewer") -> bool:
        """Whether there is still something to leave."""
        return all(half.layer in viewer.layers for half in self._halves)

    def _arrange(self, through: bool) -> None:
        before, after = self._pair.layers
        self._kept.set(self._viewer.canvas.grid, "enabled", False)
        self._kept.set(before, "visible", False)
        self._kept.set(after, "visible", not through)
        for layer in covering(self._viewer, after):
            self._kept.set(layer, "visible", False)

    def _draw(self, *_: object) -> None:
        try:
            shown = shown_plane(self._viewer, self._pair.after)
        except ImageError:  # the view was turned to 3D: until it is back, all is seen
            for half in self._halves:
                half.layer.visible = False
            return
        for half in self._halves:
            half.show(shown, self._edge(shown))

    def _edge(self, shown: ShownPlane) -> int:
        return round(self.share * self._pair.denoised.shape[shown.columns])

    def _grab(self, event: Any) -> Move | None:
        shown = shown_plane(self._viewer, self._pair.after)
        place = np.array(self._pair.after.world_to_data(event.position))
        row, _ = shown.within(place)
        if not 0 <= row < self._pair.denoised.shape[shown.rows]:
            return None
        line = self._pair.after.data_to_world(shown.at(row, self._edge(shown) - 0.5))
        missing = self._viewer.dims.ndim - self._pair.after.ndim
        return self._drag if pixels_apart(self._viewer, event.position, (*event.position[:missing], *line)) <= REACH else None

    def _drag(self, world: tuple[float, ...]) -> None:
        shown = shown_plane(self._viewer, self._pair.after)
        _, column = shown.within(self._pair.after.world_to_data(world))
        self.move_to((column + 0.5) / self._pair.denoised.shape[shown.columns])
        self._moved(self.share)


class _Half:
    """The layer of one side; `side` is 0 for the left one."""

    def __init__(self, viewer: "Viewer", pair: Pair, which: str, side: int) -> None:
        self._viewer, self._pair, self._side = viewer, pair, side
        self._model, self._array = (pair.before, pair.noisy) if which == "before" else (pair.after, pair.denoised)
        self._shown: ShownPlane | None = None
        self._plane: Any = None
        self._names = _COLOUR_LOOK if pair.rgb else _LOOK
        look = {name: getattr(self._model, name) for name in self._names}
        shown = shown_plane(viewer, pair.after)
        notes = {HELPER_KEY: True}
        self.layer = viewer.add_image(
            self._read(shown),
            name=f"curtain: {self._model.name}",
            rgb=pair.rgb,
            metadata=notes,
            **look,
            **place_at(pair.after, shown.at(0, 0)),
        )
        viewer.layers.move(viewer.layers.index(self.layer), max(viewer.layers.index(layer) for layer in pair.layers) + 1)
        if side == 0:
            box = self.layer.bounding_box
            box.line_color, box.points, box.visible = LINE, False, True
        for name in self._names:
            getattr(self._model.events, name).connect(self._copy_look)

    def show(self, shown: ShownPlane, edge: int) -> None:
        """Show this side of a line."""
        plane = self._read(shown)
        part = slice(0, edge) if self._side == 0 else slice(edge, None)
        cut = plane[tuple(part if axis == shown.columns else slice(None) for axis in range(plane.ndim))]
        self.layer.visible = bool(cut.size)
        if cut.size:
            self.layer.translate = place_at(self._pair.after, shown.at(0, part.start))["translate"]
            self.layer.data = cut

    def leave(self) -> None:
        """Take the layer away."""
        for name in self._names:
            getattr(self._model.events, name).disconnect(self._copy_look)
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)

    def _read(self, shown: ShownPlane) -> np.ndarray:
        """The plane; one that is not in memory is read once."""
        if self._plane is None or shown != self._shown:
            self._shown, self._plane = shown, shown.read(self._array)
        return np.asarray(self._plane)

    def _copy_look(self, *_: object) -> None:
        for name in self._names:
            if getattr(self.layer, name) != getattr(self._model, name):
                setattr(self.layer, name, getattr(self._model, name))
