"""The dock that tells how many numbers denoising keeps of a patch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, PushButton
from qtpy.QtCore import QTimer

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.jacobian.patch_sizes import SIDE, pixels_to_compute
from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.base.boxes import tame_box
from napari_ne_denoise.gui.base.choices import layer_box
from napari_ne_denoise.gui.base.computing_dock import ComputingDock
from napari_ne_denoise.gui.base.docks import Fold, Message, form, side_by_side
from napari_ne_denoise.gui.base.pace import duration, share_done
from napari_ne_denoise.gui.base.readout import Readout
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.inside.mapping import OTHER_RATE, REACH, USUAL_RATES
from napari_ne_denoise.gui.inside.plane_plan import PlanePlan, plan_plane, seen_window
from napari_ne_denoise.gui.inside.spectrum_view import ROWS, SpectrumView, describe_spectrum, headline, rows_of
from napari_ne_denoise.gui.inside.square import Square
from napari_ne_denoise.gui.inside.thumbnails import Thumbnails

if TYPE_CHECKING:
    import napari

    from napari_ne_denoise.core.jacobian.spectrum import PatchSpectrum, SpectrumStep

INSTRUCTION = "Drag the square to what you want to know about."
ELSEWHERE = "The square was moved: this is what is kept where it was."
SIDES = (16, 24, 32, 48)  # pixels
STRIDE = 8  # of the packaged models, for the estimate alone
REST = 300  # ms without a movement, after which a patch is computed


class SpectrumWidget(ComputingDock):
    """Drag a square: see how many numbers denoising keeps of what is in it, which patterns these are, and which are removed.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.current: PatchSpectrum | None = None
        self.square: Square | None = None
        self._rates: dict[str, float] = {}
        self._plan: PlanePlan | None = None
        self._of: Any = None  # the layer that the square is on
        layer = layer_box(viewer, "A denoised image, or a noisy one: then it is told what the default model would keep.")
        tooltip = "Of the square. Twice the side takes about six times as long."
        self.side = ComboBox(name="side", label="Side (px)", choices=SIDES, value=SIDE, tooltip=tooltip)
        tame_box(self.side.native)
        self.follow = CheckBox(name="follow", text="Follow", value=True, tooltip="Compute again when the square has been moved.")
        self.fetch = PushButton(text="Bring here", tooltip="Put the square into the middle of what you see.")
        self.cost, self.headline = Message(), Message()
        self.view, self.pictures, self.readout = SpectrumView(), Thumbnails(), Readout(ROWS)
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST)
        tooltip = "Take the filters of all pixels in the square apart."
        super().__init__(viewer, layer, text="Compute", tooltip=tooltip, instruction=INSTRUCTION, above=[self.cost], below=[self.headline])
        self.column.insertWidget(0, form(self.layer, self.side))
        self.column.insertWidget(1, side_by_side(self.follow.native, self.fetch.native))
        self.numbers = Fold("Numbers", self.readout, "What else there is to say of the patch.")
        self._found = (self.view, self.pictures, self.numbers)
        for part in self._found:
            self.column.addWidget(part)
        self.column.addStretch(1)
        self._listen()
        self._forget()
        self._place()

    def compute(self) -> None:
        """Start taking the patch under the square apart; what was being computed is given up."""
        self._rest.stop()
        if self.square is None or not self.square.is_alive:
            self._place()
        if self.square is None:
            return
        try:
            self._plan = plan_plane(self._viewer, self.layer.value)
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
            return
        title = f"the spectrum of a patch of {self.layer.value.name}"
        self._start(title, compute_spectrum, self._plan, self.square.window, said="Computing…")

    def _listen(self) -> None:
        self.fetch.changed.connect(self._bring)
        self.side.changed.connect(self._resize)
        self.layer.changed.connect(self._change_layer)
        self._rest.timeout.connect(self.compute)
        self._viewer.dims.events.current_step.connect(self._follow_plane)

    def _take(self, found: "SpectrumStep") -> None:
        if found.spectrum is None:
            share = share_done(found.done, found.total, self._seconds)
            self._show_progress(100 * found.done // found.total, share if found.done < found.total else "taking it apart…")
            return
        self._task, seconds = None, self._seconds
        assert self._plan is not None
        self._rates[self._plan.model] = 1e6 * seconds / pixels_to_compute(self.side.value, REACH, STRIDE)
        self.show_spectrum(found.spectrum)
        self.message.say(f"{self.layer.value.name}, in {duration(seconds)}.")
        self._show_state()

    def show_spectrum(self, spectrum: "PatchSpectrum") -> None:
        """Show what was found of a patch."""
        self.current = spectrum
        self.headline.say(headline(spectrum))
        self.view.show_spectrum(spectrum)
        self.readout.show_values(describe_spectrum(spectrum))
        self.pictures.show_rows(rows_of(spectrum))
        self._show_found()

    def _forget(self) -> None:
        """Show nothing."""
        self.current = None
        self.headline.say("")
        self.view.clear_spectrum()
        self._show_found()

    def _show_found(self) -> None:
        for part in self._found:
            part.setVisible(self.current is not None)
        self.headline.visible = self.current is not None

    def _layers_changed(self) -> None:
        if self.square is not None and not self.square.is_alive:
            self.square.stop()
            self.square = None
        if self.layer.value is not self._of:
            self._change_layer()
        self._show_state()

    def _change_layer(self, *_: object) -> None:
        """What was computed belongs to another layer."""
        if self._task is not None:
            self.cancel()
        self._forget()
        self.message.say(INSTRUCTION)
        self._place()

    def _place(self, middle: tuple[float, float] | None = None) -> None:
        """Put the square where it is wanted, or where it was, or into the middle of what is seen."""
        before, self.square, self._of = self.square, None, self.layer.value
        if before is not None:
            before.leave()
        layer = self.layer.value
        if layer is not None and layer in self._viewer.layers:
            try:
                plan = plan_plane(self._viewer, layer)
                self.square = Square(self._viewer, plan, middle or self._middle_of_view(plan), self.side.value, self._moved)
            except NEDenoiseError as error:
                self.message.complain(in_window(error))
        self._show_state()

    def _middle_of_view(self, plan: PlanePlan) -> tuple[float, float]:
        rows, columns = seen_window(self._viewer, plan)
        return (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2

    def _bring(self) -> None:
        self._place()
        self._moved()

    def _resize(self, *_: object) -> None:
        self._place(None if self.square is None else self.square.middle)
        self._moved()

    def _moved(self) -> None:
        """What is shown is that of another place; once the mouse rests, this one is computed."""
        if self.square is None:
            return
        if self.follow.value:
            self._rest.start()
        elif self.current is not None and self._task is None:
            self.message.say(ELSEWHERE)

    def _follow_plane(self, *_: object) -> None:
        if self.square is not None and self.square.is_alive:
            try:
                self.square.show_plane(plan_plane(self._viewer, self.layer.value))
            except NEDenoiseError:  # Compute would tell
                return
            if self.current is not None:
                self._moved()

    def _show_state(self, *_: object) -> None:
        super()._show_state()
        self.fetch.enabled = self.button.enabled
        self.cost.say("" if self.layer.value is None else self._cost())
        self.cost.visible = bool(self.cost.value) and self._task is None

    def _cost(self) -> str:
        side, model = int(self.side.value), "" if self._plan is None else self._plan.model
        rate = self._rates.get(model, USUAL_RATES.get(model or "fast", OTHER_RATE) / 2)
        on_what = "" if model in self._rates else " on two processor cores"
        return f"{side}×{side} pixels: about {duration(rate * pixels_to_compute(side, REACH, STRIDE) / 1e6)}{on_what}."

    def _give_up(self) -> None:
        square, self.square = self.square, None  # its layer goes, of which this dock hears
        if square is not None:
            square.leave()

    def _disconnect(self) -> None:
        self._rest.stop()
        if self.square is not None:
            self.square.stop()
        self._viewer.dims.events.current_step.disconnect(self._follow_plane)


def compute_spectrum(plan: PlanePlan, window: Window) -> "Iterator[SpectrumStep]":
    """The work of a thread."""
    from napari_ne_denoise.core.jacobian.spectrum import iter_patch_spectrum  # brings torch

    yield from iter_patch_spectrum(plan.image(), window, strength=plan.strength, **plan.settings)
