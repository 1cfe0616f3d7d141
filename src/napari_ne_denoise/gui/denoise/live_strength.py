"""Strength of a finished result: what is seen of it follows a slider at once, the rest soon after."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.long_task import LongTask
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.denoise.blend import Blend
from napari_ne_denoise.gui.denoise.denoising import at_strength
from napari_ne_denoise.gui.layers.layer_data import BLEND_KEY, shown_position

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

REST = 200  # ms after the last change until the parts that are not seen follow
# what is seen is blended on the main thread up to this many pixels: some hundredths of a second
MOST_AT_ONCE = 2**22
_NOT_EVERYWHERE = "{} could not be changed everywhere: {}"


class LiveStrength:
    """Changes the strength of results; everything here runs on the main thread, but for what `Task` does.

    Parameters
    ----------
    viewer
        Whose layers are results.
    complain
        Told why a strength could not be changed.
    """

    def __init__(self, viewer: "Viewer", complain: Callable[[str], None]) -> None:
        self._viewer, self._complain = viewer, complain
        self._layer: Any = None
        self._showing: Task | None = None  # what is seen, where that has to be read
        self._task: Task | None = None  # the rest
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self._blend_rest)

    @property
    def is_at_rest(self) -> bool:
        """Whether all of a result is as the slider says."""
        return self._task is None and self._showing is None and not self._timer.isActive()

    def change(self, layer: "Image", strength: float) -> None:
        """Show a result at another strength, and note that in its record."""
        if self._layer is not None and self._layer != layer:  # napari hands out a new proxy of a layer each time
            self._finish_now()
        self._stop_rest()
        self._layer, blend = layer, blend_of(layer)
        assert blend is not None
        blend.set_strength(strength)
        if blend.is_read:
            self._show_soon()
        elif blend.shown[seen := _seen(self._viewer, layer)].size <= MOST_AT_ONCE:
            blend.update(seen)
            layer.refresh()
        layer.metadata = {**layer.metadata, KEY: at_strength(layer.metadata[KEY], strength)}
        self._timer.start()

    def let_go(self) -> None:
        """Stop; what is not seen must not stay at another strength than the record says."""
        self._finish_now()
        self._stop_rest()

    def _show_soon(self) -> None:
        """Blend what is seen in a thread; one at a time, which begins again where the strength is another one when it ends."""
        blend = blend_of(self._layer)
        if self._showing is None and blend is not None:
            work = (_blend_part, blend, _seen(self._viewer, self._layer))
            self._showing = Task("showing the strength", *work, found=self._notice_shown, failed=self._fail)
            self._showing.start()

    def _notice_shown(self, strength: float) -> None:
        self._showing, blend = None, blend_of(self._layer)
        if blend is None:
            return
        self._layer.refresh()
        if blend.strength != strength:
            self._show_soon()
        elif not self._timer.isActive() and self._task is None:
            self._layer = None

    def _finish_now(self) -> None:
        blend = None if self._layer is None else blend_of(self._layer)
        if blend is not None and not self.is_at_rest:
            self._stop_rest()
            self._finish(self._layer, blend)
        if self._showing is not None:
            self._showing.stop()
        self._timer.stop()
        self._showing = self._layer = None

    def _finish(self, layer: "Image", blend: Blend) -> None:
        if not blend.is_read and blend.noisy.size <= MOST_AT_ONCE:
            for part in blend.parts():
                blend.update(part)
        else:
            # in a thread of its own, which ends although this dock may go: an image that has to be read would keep the window waiting
            found, failed = partial(self._draw_finished, layer), partial(self._warn, layer)
            LongTask("finishing the strength", _blend_parts, blend, found=found, failed=failed).start()

    def _draw_finished(self, layer: "Image", is_last: bool) -> None:
        if is_last and layer in self._viewer.layers:
            layer.refresh()

    def _warn(self, layer: "Image", reason: str) -> None:
        """Of a result that was left: the dock speaks of another one, or is gone."""
        if layer in self._viewer.layers:
            show_warning(_NOT_EVERYWHERE.format(f"The strength of {layer.name}", reason))

    def _stop_rest(self) -> None:
        if self._task is not None:
            self._task.stop()
            self._task = None

    def _blend_rest(self) -> None:
        blend = blend_of(self._layer)
        if blend is not None:
            self._task = Task("changing the strength", _blend_parts, blend, found=self._notice, failed=self._fail)
            self._task.start()

    def _notice(self, is_last: bool) -> None:
        if is_last:
            self._task = None
            self._layer.refresh()
            if self._showing is None:
                self._layer = None  # a layer that is removed later is not to be kept in memory

    def _fail(self, reason: str) -> None:
        """Whatever could not be read: the next change begins anew."""
        for task in (self._task, self._showing):
            if task is not None:
                task.stop()
        self._timer.stop()
        self._task = self._showing = self._layer = None
        self._complain(_NOT_EVERYWHERE.format("The strength", reason))


def blend_of(layer: Any) -> Blend | None:
    """What the strength of a layer can be changed by; None if it is no finished result of this session."""
    blend = None if layer is None else layer.metadata.get(BLEND_KEY)
    return blend if blend is not None and KEY in layer.metadata and blend.belongs_to(layer) else None


def _blend_part(blend: Blend, index: tuple[Any, ...]) -> Iterator[float]:
    strength = blend.strength
    blend.update(index)
    yield strength


def _blend_parts(blend: Blend) -> Iterator[bool]:
    for part in blend.parts():
        blend.update(part)
        yield False
    yield True


def _seen(viewer: "Viewer", layer: "Image") -> tuple[Any, ...]:
    """Which part of a layer's array the viewer shows; all of it in 3-D."""
    missing = viewer.dims.ndim - layer.ndim
    shown = [axis - missing for axis in viewer.dims.displayed if axis >= missing]
    position, corners = shown_position(viewer, layer), layer.corner_pixels
    index: list[Any] = [slice(at, at + 1) for at in position]
    for axis in shown:
        known = viewer.dims.ndisplay == 2 and corners[:, axis].any()
        index[axis] = slice(int(corners[0, axis]), int(corners[1, axis]) + 1) if known else slice(None)
    if layer.rgb:
        index[-1] = slice(None)
    return tuple(index)
