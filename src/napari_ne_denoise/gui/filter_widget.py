"""The dock that shows which noisy pixels made a denoised one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import SpinBox

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.gui.choices import layer_box
from napari_ne_denoise.gui.docks import Message, form
from napari_ne_denoise.gui.filter_layer import show_filter
from napari_ne_denoise.gui.filter_view import FilterView
from napari_ne_denoise.gui.filtering import Pixel, at_present, compute_filter, cut_out, describe, on_layer_axes, pixel_at, strength_of
from napari_ne_denoise.gui.layer_data import is_helper
from napari_ne_denoise.gui.layer_dock import LayerDock
from napari_ne_denoise.gui.readout import NO_VALUE, Readout
from napari_ne_denoise.gui.workers import Task

if TYPE_CHECKING:
    import napari

INSTRUCTION = "Click a pixel of a denoised image."
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
        self.view, self.readout = FilterView(), Readout(ROWS)
        self._clear_readout()
        super().__init__(viewer, layer, [self.message], results_too=True)
        for part in (form(self.layer, self.side), self.view, self.readout):
            self.native.layout().addWidget(part)
        self._listen()

    def _layers_changed(self) -> None:
        if self.current is not None and self.current[0].layer not in self._viewer.layers:
            self._forget()

    def show_at(self, world: tuple[float, ...]) -> None:
        """Show the filter of the pixel of the chosen layer at a place in the world; the latest call wins."""
        if self.layer.value is None:
            return
        try:
            self._waiting = pixel_at(self._viewer, self.layer.value, world)
        except NEDenoiseError as error:
            self.message.complain(str(error))
        else:
            self._work()

    def _forget(self) -> None:
        """Show no filter; its arrays may be needed by nobody else."""
        self.current = None
        self._watch(None)
        self.view.clear()
        self._clear_readout()
        self.message.say(INSTRUCTION)

    def _clear_readout(self) -> None:
        self.readout.show_values(dict.fromkeys(ROWS, NO_VALUE) | {"of these": ""})

    def _listen(self) -> None:
        self.side.changed.connect(self._show_again)
        self._viewer.mouse_drag_callbacks.append(self._on_press)

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
            self.show_at(world)

    def _is_listening(self) -> bool:
        """Not while the dock is hidden, nor while the click means something else to the active layer."""
        active = self._viewer.layers.selection.active
        at_rest = active is None or ((active in self.layer.choices or is_helper(active)) and active.mode == "pan_zoom")
        return at_rest and self.native.isVisibleTo(self.native.window())

    def _work(self) -> None:
        if self._task is None and self._waiting is not None:
            pixel, self._waiting = self._waiting, None
            self.message.say("Computing…")
            self._task = Task("computing a filter", compute_filter, pixel, found=lambda found: self._show(pixel, found), failed=self._fail)
            self._task.start()

    def _show(self, pixel: Pixel, found: Any) -> None:
        self._task = None
        if self._waiting is not None:
            self._work()
            return
        self.current = pixel, found
        self._watch(pixel.layer)
        self.readout.show_values(describe(pixel, found))
        self.message.say(INSTRUCTION)
        self._show_again()

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
        self.view.show_weights(weights, centre)
        if pixel.layer in self._viewer.layers:
            show_filter(self._viewer, pixel.layer, *on_layer_axes(pixel, weights, centre))

    def _fail(self, reason: str) -> None:
        self._task = None
        self.message.complain(reason)
        self._work()

    def _disconnect(self) -> None:
        self._watch(None)
        self._viewer.mouse_drag_callbacks.remove(self._on_press)
