"""The dock that shows which noisy pixels made a denoised one."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, SpinBox
from qtpy.QtCore import QTimer
from scipy.ndimage import gaussian_filter

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.jacobian.weights import centred
from napari_ne_denoise.core.models.fetch import is_here
from napari_ne_denoise.core.models.registry import list_models
from napari_ne_denoise.gui.base.boxes import choice_box, ignore_wheel, offer
from napari_ne_denoise.gui.base.choices import layer_box
from napari_ne_denoise.gui.base.docks import Fold, Message, form, side_by_side
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.readout import NO_VALUE, Readout
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.inside.filter_grid import GridPart
from napari_ne_denoise.gui.inside.filter_layer import hide_filter, show_filter
from napari_ne_denoise.gui.inside.filter_making import FilterMaking, Found
from napari_ne_denoise.gui.inside.filter_pair import PairView
from napari_ne_denoise.gui.inside.filter_pins import PinsPart
from napari_ne_denoise.gui.inside.filter_view import FilterView
from napari_ne_denoise.gui.inside.filtering import (
    WHY_NO_WIDTH,
    Pixel,
    at_present,
    cut_out,
    describe,
    piece_of,
    pixel_at,
    point_of,
    strength_of,
)
from napari_ne_denoise.gui.inside.pointing import Pointing, World
from napari_ne_denoise.gui.layers.kinship import is_helper

if TYPE_CHECKING:
    import napari

INSTRUCTION = "Move the mouse over a denoised image, and click a pixel to stay there."
LIVE = "Live, in float32. Rest the mouse, or click, for exact numbers."
PINNED = "Click another pixel, drag the filter, or follow the mouse again."
STABILISED = "The noise was made the same at every brightness first: the filter is of that image, in which noise is 1."
SMOOTHED = "smoothed for display"
REST = 300  # ms without a movement, after which the exact filter is computed
ROWS = {
    "Pixel": "Place in the array, in pixels",
    "World": "Place in the world, in the layer's units",
    "Sum of weights": "1 for a normalization-equivariant model: the output is a weighted mean of the input",
    "of these": "Where an image's sides do not fit a DRUNet, it continues the image with its mean; a wrapper (WNE) subtracts that",
    "Output value": "The denoised pixel, in image units",
    "Network gave": "The same in units of the stabilised image",
    "Σ w·y": "Weights times noisy pixels, summed: the output value, of a normalization-equivariant model that finds the noise itself",
    "Besides": "What the output has besides: from the noise level that the model was told, from the standard deviation of the image,\n"
    "or from constants of an ordinary network",
    "Pixels averaged": "1 / Σw²: so many equal weights would reduce noise as much",
    "Width": "Full width at half maximum of the Gaussian filter that blurs alike,\n"
    f"and the direction of its longer axis: 0° along X, 90° along Y;\n{WHY_NO_WIDTH}",
    "Residual noise": "Standard deviation of the noise that is left in this pixel, in image units",
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
        self.current: Found | None = None
        self._pair: tuple[tuple[Found, Found], tuple[str, str]] | None = None
        self._watched: Any = None  # the layer whose strength may change
        self._making = FilterMaking()
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
        self.beside = _beside_box()
        self.follow = CheckBox(
            name="follow",
            text="Follow",
            value=True,
            tooltip="Show the filter of the pixel under the mouse; a click stays at its pixel,\nand a drag from there takes it along.",
        )
        self.smooth = CheckBox(
            name="smooth",
            text="Smooth",
            value=False,
            tooltip="Blur the shown weights by one pixel: signs that alternate then hide the shape less.\nNumbers stay what they are.",
        )
        self.view, self.pair, self.readout = FilterView(), PairView(), Readout(ROWS)
        parts = viewer, self._making, lambda: self.layer.value, lambda: int(self.side.value), self._seen, self.message
        self.pins, self.grid = PinsPart(*parts, self._compare), GridPart(*parts)
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST)
        self._clear_readout()
        super().__init__(viewer, layer, [self.message], results_too=True)
        self._lay_out()
        self._listen()

    @property
    def keep(self) -> CheckBox:
        """Whether clicks leave pins."""
        return self.pins.keep

    def show_at(self, world: World) -> None:
        """Show the filter of the pixel of the chosen layer at a place in the world; the latest call wins."""
        if self.layer.value is None:
            return
        try:
            self._waiting = replace(pixel_at(self._viewer, self.layer.value, world), is_kept=bool(self.keep.value))
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
        else:
            self._work()

    def hover(self, world: World) -> None:
        """Show the filter under the mouse; the latest call wins, and what is computed exactly for another pixel is given up."""
        if self.layer.value is None:
            return
        try:
            pixel = replace(pixel_at(self._viewer, self.layer.value, world), is_live=True)
        except NEDenoiseError:  # a click would tell
            return
        if pixel.is_at(self._asked):
            return
        if self._task is not None and self._asked is not None and not self._asked.is_live and not self._asked.is_kept:
            self._task.stop()
            self._task = None
        self._waiting = pixel
        self._rest.start()
        self._work()

    def _settle(self) -> None:
        """Where the mouse rests, compute exactly."""
        pixel = self._waiting or self._asked
        if pixel is not None and pixel.is_live:
            self._waiting = replace(pixel, is_live=False)
            self._work()

    def _lay_out(self) -> None:
        for part in (
            form(self.layer, self.side, self.beside),
            side_by_side(self.follow.native, self.keep.native, self.smooth.native),
            self.view,
            self.readout,
            self.pair,
            Fold(
                "Pins", self.pins.content, "Draw, compare and save the filters of pixels that are kept; select two pins to compare theirs."
            ),
            Fold("Many filters", self.grid.content, "Filters spread over what is visible."),
        ):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self.pair.hide()

    def _listen(self) -> None:
        for box in (self.side, self.smooth):
            box.changed.connect(self._show_again)
        for part in (self.pins, self.grid):
            self.side.changed.connect(part.redraw)
            self.smooth.changed.connect(part.redraw)
        self.beside.changed.connect(self._ask_again)
        self._rest.timeout.connect(self._settle)
        self._pointing = Pointing(self._viewer, self._is_listening, self._on_pass, self._on_click, self._holds)

    def _layers_changed(self) -> None:
        for pixel in (self._asked, None if self.current is None else self.current.pixel):
            if pixel is not None and pixel.layer not in self._viewer.layers:
                self._forget()
                return

    def _forget(self) -> None:
        """Show no filter; its arrays may be needed by nobody else."""
        self._rest.stop()
        if self._task is not None:
            self._task.stop()
            self._task = None
        self._waiting = self._asked = self.current = self._pair = None
        self._watch(None)
        hide_filter(self._viewer)
        self._show_one(True)
        self.view.clear()
        self._clear_readout()
        self.message.say(INSTRUCTION)

    def _clear_readout(self) -> None:
        self.readout.show_values(
            dict.fromkeys(ROWS, NO_VALUE) | dict.fromkeys(("of these", "Network gave", "Besides", "Width", "Residual noise"), "")
        )

    def _on_pass(self, world: World, is_dragged: bool) -> None:
        if self.follow.value or is_dragged:
            self.hover(world)

    def _on_click(self, world: World) -> None:
        if self._viewer.dims.ndisplay == 3:
            self.message.say("Switch to the 2D view, then click a pixel.")
        else:
            self.follow.value = False
            self._rest.stop()
            self.show_at(world)

    def _holds(self, world: World) -> bool:
        """Whether a place is within the filter that stays at its pixel."""
        if self.follow.value or self.current is None or self.current.pixel.layer is not self.layer.value:
            return False
        pixel = self.current.pixel
        apart = np.abs(np.rint(pixel.layer.world_to_data(world)) - pixel.layer_position)
        return bool((apart <= self.side.value // 2).all())

    def _is_listening(self) -> bool:
        """Not while the dock is hidden, nor while the click means something else to the active layer."""
        active = self._viewer.layers.selection.active
        at_rest = active is None or ((active in self.layer.choices or is_helper(active)) and active.mode == "pan_zoom")
        return at_rest and self.native.isVisibleTo(self.native.window())

    def _ask_again(self, *_: object) -> None:
        """Another model is to be shown beside."""
        self._pair = None
        if self.current is not None:
            self._waiting = at_present(self.current.pixel)
            self._work()

    def _work(self) -> None:
        if self._task is None and self._waiting is not None:
            pixel, self._waiting = self._waiting, None
            self._asked = pixel
            if not pixel.is_live:
                self.message.say("Computing…")
            self._task = Task(
                "computing a filter",
                self._making.compute,
                pixel,
                self.beside.value or None,
                found=lambda found: self._show(*found),
                failed=self._fail,
            )
            self._task.start()

    def _show(self, found: Found, beside: Found | None) -> None:
        self._task = None
        was_overtaken = self._waiting is not None
        self._work()
        pixel = found.pixel
        if pixel.is_kept:
            self.pins.add(found)
        if was_overtaken and not pixel.is_live:
            return
        self.current, self._pair = found, None if beside is None else ((found, beside), (found.model, beside.model))
        self._watch(pixel.layer)
        self.readout.show_values(describe(pixel, found.filter, found.numbers))
        said = LIVE if pixel.is_live else INSTRUCTION if self.follow.value else PINNED
        self.message.say(STABILISED if found.filter.domain == "stabilised" else said)
        self._show_again()

    def _compare(self, pair: tuple[Found, Found], titles: tuple[str, str]) -> None:
        self._pair = pair, titles
        self._show_again()

    def _watch(self, layer: Any) -> None:
        if self._watched is not None:
            self._watched.events.metadata.disconnect(self._notice_strength)
        self._watched = layer
        if layer is not None:
            layer.events.metadata.connect(self._notice_strength)

    def _notice_strength(self, *_: object) -> None:
        """A weaker result has another filter: more of the pixel itself."""
        pixel = None if self.current is None else self.current.pixel
        if pixel is not None and pixel.value is not None and strength_of(pixel.layer) != pixel.strength:
            self._waiting = at_present(pixel)
            self._work()

    def _show_again(self, *_: object) -> None:
        self._show_one(self._pair is None)
        if self._pair is not None:
            pair, titles = self._pair
            squares = [self._seen(centred(found.filter, point_of(found.pixel), int(self.side.value))) for found in pair]
            self.pair.show_pair(pair, titles, squares, self._caption)
        if self.current is None:
            return
        pixel, found = self.current.pixel, self.current.filter
        weights, centre = cut_out(pixel, found, self.side.value)
        self.view.show_weights(self._seen(weights), centre, self._caption)
        if pixel.layer in self._viewer.layers:
            show_filter(self._viewer, pixel.layer, piece_of(pixel, found, self.side.value, self._seen), pixel.is_live)

    def _show_one(self, alone: bool) -> None:
        # what goes first: with both there the window would grow, and stay so
        for part, shown in sorted(((self.view, alone), (self.readout, alone), (self.pair, not alone)), key=lambda each: each[1]):
            part.setVisible(shown)

    @property
    def _caption(self) -> str:
        return SMOOTHED if self.smooth.value else ""

    def _seen(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(weights, 1.0)) if self.smooth.value else weights

    def _fail(self, reason: str) -> None:
        self._task = None
        self.message.complain(reason)
        self._work()

    def _give_up(self) -> None:
        hide_filter(self._viewer)

    def _disconnect(self) -> None:
        self._watch(None)
        self._rest.stop()
        self.pins.stop()
        self.grid.stop()
        self._pointing.stop()


def _beside_box() -> ComboBox:
    """Models to compare with: those that are there to compare, before all others."""
    box = choice_box("beside", "Beside", "Show the filter of another model for the same pixel beside this one, and what differs.")
    there = sorted((row for row in list_models() if is_here(row)), key=lambda row: not row.comparison_only)
    offer(box, [("nothing", "", "One filter alone."), *((f"{row.name} ({row.equivariance})", row.name, row.summary) for row in there)])
    return box
