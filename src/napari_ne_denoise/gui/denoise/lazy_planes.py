"""Computes what layers of lazy results show, in a thread: what is looked at now, and what was asked for last, first."""

from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_ne_denoise.gui.base.long_task import LongTask, giving_way
from napari_ne_denoise.gui.base.redrawing import pause_after
from napari_ne_denoise.gui.denoise.lazy_view import LazyView, window_of
from napari_ne_denoise.gui.denoise.remedies import SHOWN_REMEDIES

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ne_denoise.core.lazy import LazyResult

TITLE = "computing what is shown"
# ms that something else must be looked at until what is being computed is given up: while planes pass by faster, as they are played, each
# that was begun is finished, and there the next time
REST = 1000
NO_CONTRAST = (0, 1)  # what napari finds in a picture with nothing in it


class LazyPlanes:
    """What layers of lazy results show and wait for; one for all viewers, as all compute on one machine.

    Everything here runs on the main thread, but for what `LongTask` does.
    """

    changed = Signal()  # what some layer shows or waits for; while napari makes its picture, so that nobody may touch layers
    settled = Signal()  # the same, soon after

    def __init__(self) -> None:
        # the latest view last
        self._views: WeakKeyDictionary[Layer, LazyView] = WeakKeyDictionary()
        self._contrasts: WeakKeyDictionary[Layer, tuple[Any, Any]] = WeakKeyDictionary()
        self._served: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()  # with what they were complained of last
        self._task: LongTask | None = None
        self._at_work: LazyView | None = None
        self._redrawn, self._pause = 0.0, pause_after(0)
        self._soon, self._rest = QTimer(), QTimer()
        for timer, then in ((self._soon, self._go_on), (self._rest, self._give_up)):
            timer.setSingleShot(True)
            timer.timeout.connect(then)

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that is looked at was computed, or tried."""
        return self._at_work is None and not self._soon.isActive()

    def serve(self, layer: "Layer") -> None:
        """Compute what a layer shows from now on, and redraw it, until `forget`."""
        if layer not in self._served:
            self._served[layer] = ""
            layer.events.visible.connect(self._notice_visible)

    def forget(self, layer: "Layer") -> None:
        """A layer is gone: nothing is computed for it any more."""
        if layer in self._served:
            del self._served[layer]
            layer.events.visible.disconnect(self._notice_visible)
        view = self._views.pop(layer, None)
        self._contrasts.pop(layer, None)
        if view is not None and view is self._at_work:
            self._give_up()
        self.changed.emit()

    def view_of(self, layer: "Layer") -> LazyView | None:
        """What a layer shows; None if it was never asked for."""
        return self._views.get(layer)

    def picture(self, layer: "Layer", result: "LazyResult", index: Any) -> Any:
        """What is there of what a layer shows, at once; None where somebody has to wait for it.

        Parameters
        ----------
        layer, result
            The layer, and what its array is of.
        index
            With which napari slices that.
        """
        asked = window_of(index, result.array.shape)
        if asked is None or layer not in self._served:
            return None
        view = self._views.get(layer)
        if view is None or not view.is_of(result, *asked):
            view = self._look_at(layer, LazyView(result, *asked, layer.rgb, layer.corner_pixels.mean(axis=0)))
        return view.take_picture()

    def _look_at(self, layer: "Layer", view: LazyView) -> LazyView:
        if not view.is_begun:
            self._note_contrast(layer)
        self._views.pop(layer, None)
        self._views[layer] = view
        self._soon.start(0)
        self.changed.emit()
        return view

    def _go_on(self) -> None:
        """Compute what is looked at now."""
        layer = self._next()
        view = None if layer is None else self._views[layer]
        if self._at_work is None and view is not None:
            self._begin(view)
        elif self._at_work is not None:
            self._at_work.is_obsolete = view is not self._at_work
            if view is None or view is self._at_work:
                self._rest.stop()
            else:
                self._rest.start(REST)
        for shown in [shown for shown in self._contrasts if self._views[shown].is_seen]:
            self._settle_contrast(shown)
        self.settled.emit()

    def _next(self) -> "Layer | None":
        """The layer that waits for what was asked for last."""
        for layer, view in reversed(list(self._views.items())):
            if view.is_wanted and layer.visible and getattr(layer.data, "result", None) is view.result:
                return layer
        return None

    def _begin(self, view: LazyView) -> None:
        self._at_work, self._redrawn = view, perf_counter()
        self._task = LongTask(
            TITLE, giving_way, view.compute, view.begin(), found=self._advance, failed=self._fail, remedies=SHOWN_REMEDIES
        )
        self._task.start()

    def _give_up(self) -> None:
        """End what is being computed, within a layer of the network."""
        if self._task is not None:
            self._task.stop()
        view = self._leave_work()
        if view is not None:
            view.give_up()

    def _leave_work(self) -> LazyView | None:
        view, self._at_work, self._task = self._at_work, None, None
        self._rest.stop()
        self._soon.start(0)
        return view

    def _advance(self, is_last: bool) -> None:
        layers = self._showing(self._at_work)
        if is_last:
            self._leave_work()
        elif not layers:
            self._give_up()
        for layer in layers:
            self._served[layer] = ""
            if is_last or perf_counter() - self._redrawn > self._pause:
                self._redraw(layer)
        self.changed.emit()

    def _showing(self, view: LazyView | None) -> "list[Layer]":
        return [layer for layer, shown in list(self._views.items()) if shown is view and layer in self._served]

    def _redraw(self, layer: "Layer") -> None:
        begin = perf_counter()
        layer.refresh(highlight=False, extent=False)
        self._redrawn = perf_counter()
        self._pause = pause_after(self._redrawn - begin)

    def _fail(self, reason: str) -> None:
        """Say why, once, until something else is told or something succeeds."""
        view = self._leave_work()
        assert view is not None
        view.reason = reason
        for layer in self._showing(view):
            if self._served[layer] != reason:
                self._served[layer] = reason
                show_warning(f"{layer.name}: what it shows could not be computed. {reason}")
        self.changed.emit()

    def _notice_visible(self, event: Any) -> None:
        """What was hidden is shown, and tried again; or nobody looks at it any more."""
        view = self._views.get(event.source)
        if view is not None and event.source.visible:
            view.reason = ""
        self._soon.start(0)
        self.changed.emit()

    def _note_contrast(self, layer: "Layer") -> None:
        """Remember the contrast before a picture with nothing in it, in which napari may look for one."""
        if not layer.rgb and tuple(layer.contrast_limits) != NO_CONTRAST:
            self._contrasts[layer] = layer.contrast_limits, layer.contrast_limits_range

    def _settle_contrast(self, layer: "Layer") -> None:
        """Find the contrast now that there is something to find it in, if it was asked for before."""
        limits, span = self._contrasts.pop(layer)
        if tuple(layer.contrast_limits) == NO_CONTRAST:
            layer.contrast_limits = limits
            layer.reset_contrast_limits()
        if list(layer.contrast_limits_range) != list(span):
            low, high = layer.contrast_limits
            layer.contrast_limits_range = min(low, span[0]), max(high, span[1])


_of_all: list[LazyPlanes] = []


def planes_of_all() -> LazyPlanes:
    """The one that there is; made when it is first asked for, on the main thread."""
    if not _of_all:
        _of_all.append(LazyPlanes())
    return _of_all[0]
