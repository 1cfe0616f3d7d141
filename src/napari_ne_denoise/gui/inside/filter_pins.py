"""Pixels whose filters are kept: points with what there is to say of each, and their filters over the image."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, PushButton
from napari.layers.base import ActionType
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_ne_denoise.core.errors import FileError, NEDenoiseError
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.boxes import choice_box, offer
from napari_ne_denoise.gui.base.docks import Message, form, side_by_side
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.saving import with_ending
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.inside.filter_layer import remove_layers, replace_layers
from napari_ne_denoise.gui.inside.filter_making import FilterMaking, Found
from napari_ne_denoise.gui.inside.filtering import Pixel, layout_of, piece_of, pixel_at, pixel_size
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.viewer import Viewer

PINS_KEY = f"{KEY} pins"
NAME = "filter pins"
SIZE = 3  # pixels of the image
ON_SCREEN = (10, 10_000)  # pixels of the screen, at least and at most: of an image that fills the window, three are hardly seen
BORDER = 0.15  # of the size
COLOUR = "#ff2bd6"  # of no filter, map or residual
KIND = "pins"  # of the layers of their filters
NONE, TOGETHER, EACH = "none", "together", "each"
KINDS = "Weights (*.tif);;Weights (*.npy);;Figure (*.png)"


def features_of(found: Found) -> dict[str, float]:
    """A value for each feature of a point, their units in their names."""
    size, unit = pixel_size(found.pixel)
    return {**found.numbers, **({f"width ({unit})": found.numbers["width (px)"] * size} if unit else {})}


def pins_of(viewer: "Viewer", pixel: Pixel) -> Any:
    """The points of the noisy image of a pixel; None if there are none."""
    name = pixel.source.name
    kept = (layer for layer in viewer.layers if layer.metadata.get(PINS_KEY) == name and layer.ndim == pixel.layer.ndim)
    return next(kept, None)


def add_pin(viewer: "Viewer", pixel: Pixel, features: Mapping[str, float]) -> Any:
    """Add a point at a pixel, with its features, to the pins of its noisy image, whichever result of that was clicked.

    Returns
    -------
    Points
        The layer of the pins.
    """
    world, pins = pixel.layer.data_to_world(pixel.layer_position), pins_of(viewer, pixel)
    if pins is None:
        active = viewer.layers.selection.active
        look = {"size": SIZE, "face_color": "transparent", "border_color": COLOUR, "border_width": BORDER, "symbol": "square"}
        look |= {"canvas_size_limits": ON_SCREEN, "name": NAME, "metadata": {PINS_KEY: pixel.source.name, HELPER_KEY: True}}
        look |= place_at(pixel.layer, (0,) * pixel.layer.ndim)
        pins = viewer.add_points([pixel.layer_position], features={key: [value] for key, value in features.items()}, **look)
        viewer.layers.selection.active = active
        return pins
    pins.feature_defaults = {name: features.get(name, np.nan) for name in pins.features.columns}
    pins.add([pins.world_to_data(world)])
    pins.selected_data = set()
    return pins


class PinsPart:
    """The part of the dock that keeps pins, draws their filters, and compares two of them.

    Parameters
    ----------
    viewer, making
        Where, and what computes.
    layer
        Gives the layer that is clicked on now.
    side
        Gives the side of the squares of weights.
    seen
        Gives weights as they are to be seen.
    message
        What to say things in.
    compare
        Called with two filters and what they are called.
    """

    def __init__(
        self,
        viewer: "Viewer",
        making: FilterMaking,
        layer: Callable[[], Any],
        side: Callable[[], int],
        seen: Callable[[np.ndarray], np.ndarray],
        message: Message,
        compare: Callable[[tuple[Found, Found], tuple[str, str]], None],
    ) -> None:
        self._viewer, self._making, self._layer, self._side, self._seen = viewer, making, layer, side, seen
        self._message, self._compare = message, compare
        self._found: dict[tuple[Any, ...], Found] = {}
        # who waits for filters of which pixels, and the one that computes what the first of them lacks
        self._waiting: list[tuple[list[Pixel], Callable[[list[Found]], None]]] = []
        self._task: Task | None = None
        self._writing: Task | None = None
        self._watched: Any = None
        self.keep = CheckBox(
            name="keep",
            text="Keep pins",
            value=False,
            tooltip="Let every click leave a point, whose features say what its filter does, units in their names;\n"
            "residual noise is that at the brightness of the pixel, in image units. Save them as any points of napari.",
        )
        self.draw = choice_box("draw", "Draw", "Draw the filters of all pins over the image, in their planes.")
        offer(
            self.draw,
            [
                ("no filters of pins", NONE, ""),
                ("all in one layer", TOGETHER, "Each filter by its own largest weight; where some overlap, the larger weight is seen."),
                ("a layer for each", EACH, "Each with a contrast of its own."),
            ],
        )
        self.renew = PushButton(text="Update", tooltip="Compute the filters of all pins again, for the layer that is chosen above.")
        self.save = PushButton(text="Save…", tooltip="Save the filters of all pins: weights as TIFF or NPY, or a figure as PNG.")
        self.content = QWidget()
        self._lay_out()
        self.draw.changed.connect(self.redraw)
        self.renew.changed.connect(self.update)
        self.save.changed.connect(self._ask_where)
        viewer.layers.selection.events.active.connect(self._notice_active)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self.content)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (form(self.draw), side_by_side(self.renew.native, self.save.native)):
            column.addWidget(part)

    def add(self, found: Found) -> None:
        """Leave a pin at a pixel whose filter is known."""
        if found.pixel.layer in self._viewer.layers:
            self._found[_key(found.pixel)] = found
            self._watch(add_pin(self._viewer, found.pixel, features_of(found)))
            self.redraw()

    def pixels(self) -> list[Pixel]:
        """Of the chosen layer, where its pins are; those outside of it are left out."""
        layer = self._layer()
        if layer is None:
            return []
        found = []
        try:
            pins = pins_of(self._viewer, pixel_at(self._viewer, layer, layer.data_to_world((0,) * layer.ndim)))
        except NEDenoiseError as error:
            self._message.complain(in_window(error))
            return []
        for place in () if pins is None else pins.data:
            try:
                found.append(pixel_at(self._viewer, layer, tuple(pins.data_to_world(place))))
            except NEDenoiseError:
                continue
        self._watch(pins)
        return found

    def update(self) -> None:
        """Compute the filters of all pins again for the chosen layer, and write what is found into their features."""
        self._stop_computing()
        self._found.clear()
        self._when_known(self.pixels(), self._write_features)

    def redraw(self, *_: object) -> None:
        """Draw the filters of all pins as wished."""
        if self.draw.value == NONE:
            remove_layers(self._viewer, KIND)
        elif pixels := self.pixels():
            self._when_known(pixels, self._draw)
        else:
            remove_layers(self._viewer, KIND)

    def write(self, path: Path) -> None:
        """Save the filters of all pins."""
        self._when_known(self.pixels(), lambda found: self._write(path, found))

    def stop(self) -> None:
        """Hear nothing more of what is computed."""
        self._waiting.clear()
        self._stop_computing()
        if self._writing is not None:
            self._writing.stop()
        self._viewer.layers.selection.events.active.disconnect(self._notice_active)
        self._watch(None)

    def _write(self, path: Path, found: list[Found]) -> None:
        work = (self._making.write, path, found, self._side())
        self._writing = Task("writing filters of pins", *work, found=self._say_written, failed=self._message.complain)
        self._writing.start()

    def _say_written(self, name: str) -> None:
        self._message.say(f"Saved {name}.")

    def _when_known(self, pixels: list[Pixel], use: Callable[[list[Found]], None]) -> None:
        """Compute what is missing, then use all; whoever waits already gets his own."""
        if not pixels:
            self._message.complain("There are no pins of this image: check Keep pins, and click.")
            return
        # drawn is only what was wished last
        self._waiting = [(others, other) for others, other in self._waiting if other != use]
        self._waiting.append((pixels, use))
        self._go_on()

    def _go_on(self) -> None:
        """Serve whoever has all that he waits for, and compute what the first of the others lacks."""
        waiting, self._waiting = self._waiting, []
        for pixels, use in waiting:
            if self._missing(pixels):
                self._waiting.append((pixels, use))
            else:
                use([self._found[_key(pixel)] for pixel in pixels])
        if self._task is None and self._waiting:
            self._compute(self._missing(self._waiting[0][0]))

    def _compute(self, pixels: list[Pixel]) -> None:
        last = _key(pixels[-1])

        def take(found: Found) -> None:
            self._found[_key(found.pixel)] = found
            if _key(found.pixel) == last:
                self._task = None
                self._go_on()

        self._task = Task("computing filters of pins", self._making.several, pixels, found=take, failed=self._fail)
        self._task.start()

    def _missing(self, pixels: list[Pixel]) -> list[Pixel]:
        """Each of those once whose filter is not known."""
        return list({key: pixel for pixel in pixels if (key := _key(pixel)) not in self._found}.values())

    def _fail(self, reason: str) -> None:
        self._task = None
        self._waiting.clear()
        self._message.complain(reason)

    def _stop_computing(self) -> None:
        if self._task is not None:
            self._task.stop()
            self._task = None

    def _draw(self, found: list[Found]) -> None:
        layer = found[0].pixel.layer
        if layer not in self._viewer.layers or self.draw.value == NONE:
            return
        pieces = [piece_of(each.pixel, each.filter, self._side(), self._seen) for each in found]
        each_named = [f"filter of pin {number}" for number in range(1, len(found) + 1)]
        names = each_named if self.draw.value == EACH and len(found) > 1 else ["filters of pins"]
        replace_layers(self._viewer, layer, KIND, pieces, names, layout_of(found[0].pixel))

    def _write_features(self, found: list[Found]) -> None:
        pins = pins_of(self._viewer, found[0].pixel)
        if pins is not None and len(pins.data) == len(found):
            rows = [features_of(each) for each in found]
            pins.features = {name: [row.get(name, np.nan) for row in rows] for name in rows[0]}
        self._message.say(f"The pins say what {found[0].model} does at strength {found[0].pixel.strength:g}.")
        self.redraw()

    def _watch(self, pins: Any) -> None:
        if pins is self._watched:
            return
        if self._watched is not None:
            self._watched.selected_data.events.items_changed.disconnect(self._notice_selection)
            self._watched.events.data.disconnect(self._notice_change)
        self._watched = pins
        if pins is not None:
            pins.selected_data.events.items_changed.connect(self._notice_selection)
            pins.events.data.connect(self._notice_change)

    def _notice_active(self, *_: object) -> None:
        """Pins that were there before the dock was opened are heard once somebody turns to them."""
        active = self._viewer.layers.selection.active
        if active is not None and PINS_KEY in active.metadata:
            self._watch(active)

    def _notice_change(self, event: Any) -> None:
        """Pins that were taken away or moved take their filters along."""
        if self.draw.value != NONE and event.action in (ActionType.REMOVED, ActionType.CHANGED):
            self.redraw()

    def _notice_selection(self, *_: object) -> None:
        """Two selected pins are compared."""
        numbers = sorted(self._watched.selected_data)
        if len(numbers) != 2:
            return
        pixels = self.pixels()
        if self._watched is None or len(pixels) != len(self._watched.data):
            return
        names = (f"pin {numbers[0] + 1}", f"pin {numbers[1] + 1}")
        self._when_known([pixels[number] for number in numbers], lambda found: self._compare((found[0], found[1]), names))

    def _ask_where(self) -> None:
        ask_where(self.content, "Save the filters of all pins", "filters.tif", self._message, self.write)


def ask_where(parent: QWidget, title: str, suggested: str, message: Message, write: Callable[[Path], None]) -> None:
    """Ask for a file of filters, and write it; a name without an ending gets that of the kind that was chosen."""
    path, kind = QFileDialog.getSaveFileName(parent, title, suggested, KINDS)
    if not path:
        return
    try:
        target = Path(path) if Path(path).suffix else with_ending(Path(path), kind[kind.index("*") + 1 : -1])
    except FileError as error:
        message.complain(in_window(error))
    else:
        write(target)


def _key(pixel: Pixel) -> tuple[Any, ...]:
    return id(pixel.layer), pixel.position, pixel.strength
