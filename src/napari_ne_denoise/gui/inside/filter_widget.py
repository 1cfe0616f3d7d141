"""The dock that shows which noisy pixels made a denoised one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, SpinBox
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget
from scipy.ndimage import gaussian_filter

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.gui.base.boxes import ignore_wheel
from napari_ne_denoise.gui.base.choices import layer_box
from napari_ne_denoise.gui.base.docks import Message, form
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.readout import NO_VALUE, Readout
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.inside.filter_layer import hide_filter, show_filter
from napari_ne_denoise.gui.inside.filter_pins import add_pin, describe_pin
from napari_ne_denoise.gui.inside.filter_view import FilterView
from napari_ne_denoise.gui.inside.filtering import (
    Pixel,
    at_present,
    compute_filter,
    cut_out,
    describe,
    on_layer_axes,
    pixel_at,
    strength_of,
)
from napari_ne_denoise.gui.layers.kinship import is_helper

if TYPE_CHECKING:
    import napari

INSTRUCTION = "Move the mouse over a denoised image, and click a pixel to stay there."
LIVE = "Live, in float32. Rest the mouse, or click, for exact numbers."
PINNED = "Click another pixel, or follow the mouse again."
SMOOTHED = "smoothed for display"
REST = 300  # ms without a movement, after which the exact filter is computed
# a hand trembles: a press and a release this close, in screen pixels, are a click
LARGEST_TREMOR = 4
ROWS = {
    "Pixel": "Place in the array, in pixels",
    "World": "Place in the world, in the layer's units",
    "Sum of weights": "1 for a normalization-equivariant model: the output is a weighted mean of the input",
    "of these": "Where an image's sides do not fit a DRUNet, it continues the image with its mean",
    "Output value": "The denoised pixel, in image units",
    "Σ w·y": "Weights times noisy pixels, summed, in image units: the output value",
    "Pixels averaged": "1 / Σw²: so many equal weights would reduce noise as much",
}


class FilterWidget(LayerDock):
    """Click a pixel: see the weights that made it, beside their sum and the sum of weights times pixels.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._waiting: Pixel | None = None
        self._asked: Pixel | None = None  # whose filter was computed last, or is
        self.current: tuple[Pixel, Any] | None = None
        self._watched: Any = None  # the layer whose strength may change
        self.message = Message(INSTRUCTION)
        layer = layer_box(viewer, "The image to click on: a denoised one, or a noisy one to see what denoising would do.")
        self.side = SpinBox(
            name="side",
            label="Size (px)",
            value=41,
            min=3,
            max=401,
            step=2,
            tooltip="Side of the square of weights that is shown, in pixels.\nThe sums count all weights.",
        )
        ignore_wheel(self.side.native)
        self.follow = CheckBox(
            name="follow",
            text="Follow",
            value=True,
            tooltip="Show the filter of the pixel under the mouse; a click stays at its pixel.",
        )
        self.smooth = CheckBox(
            name="smooth",
            text="Smooth",
            value=False,
            tooltip="Blur the shown weights by one pixel: signs that alternate then hide the shape less.\nNumbers stay what they are.",
        )
        self.keep = CheckBox(
            name="keep",
            text="Keep pins",
            value=False,
            tooltip="Let every click leave a point, whose features say what its filter does: width in pixels, orientation in degrees,\n"
            "residual noise at the brightness of the pixel. Save them as any points of napari.",
        )
        self._pinning: list[Task] = []
        self.view, self.readout = FilterView(), Readout(ROWS)
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST)
        self._clear_readout()
        super().__init__(viewer, layer, [self.message], results_too=True)
        for part in (
            form(self.layer, self.side),
            _side_by_side(self.follow.native, self.keep.native, self.smooth.native),
            self.view,
            self.readout,
        ):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self._listen()

    def _layers_changed(self) -> None:
        for pixel in (self._asked, None if self.current is None else self.current[0]):
            if pixel is not None and pixel.layer not in self._viewer.layers:
                self._forget()
                return

    def show_at(self, world: tuple[float, ...]) -> None:
        """Show the filter of the pixel of the chosen layer at a place in the world; the latest call wins."""
        if self.layer.value is None:
            return
        try:
            self._waiting = replace(pixel_at(self._viewer, self.layer.value, world), is_kept=bool(self.keep.value))
        except NEDenoiseError as error:
            self.message.complain(str(error))
        else:
            self._work()

    def hover(self, world: tuple[float, ...]) -> None:
        """Show the filter under the mouse; the latest call wins, and what is computed exactly for another pixel is given up."""
        if self.layer.value is None:
            return
        try:
            pixel = replace(pixel_at(self._viewer, self.layer.value, world), is_live=True)
        except NEDenoiseError:  # a click would tell
            return
        if pixel.is_at(self._asked):
            return
        if self._task is not None and self._asked is not None and not self._asked.is_live:
            self._task.stop()
            self._task = None
        self._waiting = pixel
        self._rest.start()
        self._work()

    def _settle(self) -> None:
        """The mouse rests: compute exactly what is shown."""
        if self._asked is not None and self._asked.is_live:
            self._waiting = replace(self._asked if self._waiting is None else self._waiting, is_live=False)
            self._work()

    def _forget(self) -> None:
        """Show no filter; its arrays may be needed by nobody else."""
        self._rest.stop()
        if self._task is not None:
            self._task.stop()
        self.current = self._waiting = self._asked = self._task = None
        hide_filter(self._viewer)
        self._watch(None)
        self.view.clear()
        self._clear_readout()
        self.message.say(INSTRUCTION)

    def _clear_readout(self) -> None:
        self.readout.show_values(dict.fromkeys(ROWS, NO_VALUE) | {"of these": ""})

    def _listen(self) -> None:
        self.side.changed.connect(self._show_again)
        self.smooth.changed.connect(self._show_again)
        self._rest.timeout.connect(self._settle)
        self._viewer.mouse_drag_callbacks.append(self._on_press)
        self._viewer.mouse_move_callbacks.append(self._on_move)

    def _on_move(self, viewer: object, event: Any) -> None:
        if self.follow.value and self._viewer.dims.ndisplay == 2 and self._is_listening():
            self.hover(event.position)

    def _on_press(self, viewer: object, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or not self._is_listening():
            return
        pressed = event.pos
        yield
        while event.type == "mouse_move":
            yield
        if max(abs(now - then) for now, then in zip(event.pos, pressed, strict=True)) <= LARGEST_TREMOR:
            self._on_click(event.position)

    def _on_click(self, world: tuple[float, ...]) -> None:
        if self._viewer.dims.ndisplay == 3:
            self.message.say("Switch to the 2D view, then click a pixel.")
        else:
            self.follow.value = False
            self._rest.stop()
            self.show_at(world)

    def _is_listening(self) -> bool:
        """Not while the dock is hidden, nor while the click means something else to the active layer."""
        active = self._viewer.layers.selection.active
        at_rest = active is None or ((active in self.layer.choices or is_helper(active)) and active.mode == "pan_zoom")
        return at_rest and self.native.isVisibleTo(self.native.window())

    def _work(self) -> None:
        if self._task is None and self._waiting is not None:
            pixel, self._waiting = self._waiting, None
            self._asked = pixel
            if not pixel.is_live:
                self.message.say("Computing…")
            self._task = Task("computing a filter", compute_filter, pixel, found=lambda found: self._show(pixel, found), failed=self._fail)
            self._task.start()

    def _show(self, pixel: Pixel, found: Any) -> None:
        self._task = None
        was_overtaken = self._waiting is not None
        self._work()
        if pixel.is_kept:
            self._pin(pixel, found)
        if was_overtaken and not pixel.is_live:
            return
        self.current = pixel, found
        self._watch(pixel.layer)
        self.readout.show_values(describe(pixel, found))
        self.message.say(LIVE if pixel.is_live else INSTRUCTION if self.follow.value else PINNED)
        self._show_again()

    def _pin(self, pixel: Pixel, found: Any) -> None:
        task = Task(
            "describing a filter", describe_pin, pixel, found, found=lambda said: self._keep(pixel, said), failed=self.message.complain
        )
        self._pinning.append(task)
        task.start()

    def _keep(self, pixel: Pixel, features: dict[str, float]) -> None:
        if pixel.layer in self._viewer.layers:
            add_pin(self._viewer, pixel, features)

    def _watch(self, layer: Any) -> None:
        if self._watched is not None:
            self._watched.events.metadata.disconnect(self._notice_strength)
        self._watched = layer
        if layer is not None:
            layer.events.metadata.connect(self._notice_strength)

    def _notice_strength(self, *_: object) -> None:
        """A weaker result has another filter: more of the pixel itself."""
        pixel = None if self.current is None else self.current[0]
        if pixel is not None and pixel.value is not None and strength_of(pixel.layer) != pixel.strength:
            self._waiting = at_present(pixel)
            self._work()

    def _show_again(self) -> None:
        if self.current is None:
            return
        pixel, found = self.current
        weights, centre = cut_out(pixel, found, self.side.value)
        if self.smooth.value:
            weights = gaussian_filter(weights, 1.0)
        self.view.show_weights(weights, centre, SMOOTHED if self.smooth.value else "")
        if pixel.layer in self._viewer.layers:
            show_filter(self._viewer, pixel.layer, *on_layer_axes(pixel, weights, centre))

    def _fail(self, reason: str) -> None:
        self._task = None
        self.message.complain(reason)
        self._work()

    def _give_up(self) -> None:
        hide_filter(self._viewer)

    def _disconnect(self) -> None:
        self._watch(None)
        self._rest.stop()
        for task in self._pinning:
            task.stop()
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._viewer.mouse_drag_callbacks.remove(self._on_press)


def _side_by_side(*parts: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)
    return row
