"""Filters of pixels spread over what is visible, in a layer of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import PushButton, SpinBox
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.gui.base.boxes import ignore_wheel
from napari_ne_denoise.gui.base.docks import Message, form, side_by_side
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.inside.filter_layer import is_kind, replace_layers
from napari_ne_denoise.gui.inside.filter_making import FilterMaking, Found
from napari_ne_denoise.gui.inside.filter_pins import ask_where
from napari_ne_denoise.gui.inside.filtering import Pixel, layout_of, piece_of, pixel_at
from napari_ne_denoise.gui.layers.layer_data import shown_position
from napari_ne_denoise.gui.layers.view import visible_window

if TYPE_CHECKING:
    from napari.viewer import Viewer

KIND = "grid"  # of the layer
NAME = "filters on a grid"
DRAW, CANCEL = "Draw", "Cancel"


class GridPart:
    """The part of the dock that computes many filters at once.

    Parameters
    ----------
    viewer, making, layer, side, seen, message
        As in `PinsPart`.
    """

    def __init__(
        self,
        viewer: "Viewer",
        making: FilterMaking,
        layer: Callable[[], Any],
        side: Callable[[], int],
        seen: Callable[[np.ndarray], np.ndarray],
        message: Message,
    ) -> None:
        self._viewer, self._making, self._layer, self._side, self._seen, self._message = viewer, making, layer, side, seen, message
        self._task: Task | None = None
        self.found: list[Found] = []
        self.count = SpinBox(
            name="count", label="Along", value=6, min=1, max=40, tooltip="How many filters along the longer side of what is visible."
        )
        ignore_wheel(self.count.native)
        self.button = PushButton(
            text=DRAW, tooltip="Compute filters spread over what is visible, in float32, and draw them over the image."
        )
        self.save = PushButton(text="Save…", tooltip="Save these filters in float64: weights as TIFF or NPY, or a figure as PNG.")
        self._show_state()
        self.content = QWidget()
        column = QVBoxLayout(self.content)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (form(self.count), side_by_side(self.button.native, self.save.native)):
            column.addWidget(part)
        self.button.changed.connect(self._press)
        self.save.changed.connect(self._ask_where)

    def draw(self) -> None:
        """Compute and draw the filters of a grid over what is visible."""
        try:
            pixels = self._pixels()
        except NEDenoiseError as error:
            self._message.complain(in_window(error))
            return
        self.found = []  # now: two grids may be too much for the memory
        coming: list[Found] = []
        self._start(self._making.quickly, pixels, found=lambda each: self._take(each, coming, len(pixels)))

    def redraw(self, *_: object) -> None:
        """Draw what was computed as it is to be seen now, where it is drawn already."""
        if self._task is None and self.found and any(is_kind(layer, KIND) for layer in self._viewer.layers):
            self._draw()

    def write(self, path: Path) -> None:
        """Save the filters that were drawn, computed once more in float64."""
        pixels = [each.pixel for each in self.found]
        exact: list[Found] = []

        def take(each: Found) -> None:
            exact.append(each)
            self._message.say(f"Computing in float64: {len(exact)} of {len(pixels)}")
            if len(exact) == len(pixels):
                self._start(self._making.write, path, exact, self._side(), found=self._say_written)

        self._start(self._making.several, pixels, found=take)

    def stop(self) -> None:
        """Hear nothing more of what is computed."""
        if self._task is not None:
            self._task.stop()
            self._task = None
        self._show_state()

    def _show_state(self) -> None:
        busy = self._task is not None
        self.button.text = CANCEL if busy else DRAW
        self.save.enabled = bool(self.found) and not busy

    def _start(self, work: Callable[..., Any], *arguments: Any, found: Callable[[Any], None]) -> None:
        self._task = Task("computing a grid of filters", work, *arguments, found=found, failed=self._fail)
        self._show_state()
        self._task.start()

    def _pixels(self) -> list[Pixel]:
        from napari_ne_denoise.core.jacobian.filters import grid_positions

        layer = self._layer()
        centre = pixel_at(self._viewer, layer, layer.data_to_world(shown_position(self._viewer, layer)[: layer.ndim]))
        layout = layout_of(centre)
        window = visible_window(self._viewer, layer, layout)
        positions = grid_positions(layout, centre.position, int(self.count.value), window)
        origin = tuple(at - shown for at, shown in zip(centre.position, centre.layer_position, strict=False))
        places = [tuple(at - first for at, first in zip(position, origin, strict=False))[: layer.ndim] for position in positions]
        return [pixel_at(self._viewer, layer, layer.data_to_world(place)) for place in places]

    def _press(self) -> None:
        if self._task is None:
            if self._layer() is not None:
                self.draw()
        else:
            self.stop()
            self._message.say("Cancelled.")

    def _take(self, each: Found, coming: list[Found], total: int) -> None:
        coming.append(each)
        self._message.say(f"Computing filters: {len(coming)} of {total}")
        if len(coming) == total:
            self._task, self.found = None, coming  # a part of a grid is none, and cannot be saved
            self._show_state()
            self._draw()

    def _draw(self) -> None:
        layer = self.found[0].pixel.layer
        if layer not in self._viewer.layers:
            return
        pieces = [piece_of(each.pixel, each.filter, self._side(), self._seen) for each in self.found]
        replace_layers(self._viewer, layer, KIND, pieces, [NAME], layout_of(self.found[0].pixel))
        self._message.say(f"{len(pieces)} filters, each drawn by its own largest weight; where some overlap, the larger weight is seen.")

    def _say_written(self, name: str) -> None:
        self.stop()
        self._message.say(f"Saved {name}.")

    def _fail(self, reason: str) -> None:
        self.stop()
        self._message.complain(reason)

    def _ask_where(self) -> None:
        ask_where(self.content, "Save the filters of the grid", "filters.png", self._message, self.write)
