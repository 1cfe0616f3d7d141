"""The dock that shows what the choice of a normalisation does to an ordinary network, and that it does nothing to ours."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.gui.base.choices import layer_box
from napari_ne_denoise.gui.base.computing_dock import ComputingDock
from napari_ne_denoise.gui.base.docks import Fold, Message, form, side_by_side
from napari_ne_denoise.gui.base.pace import duration, share_done
from napari_ne_denoise.gui.base.readout import Readout
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.saving import as_file_name, with_ending
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.inside.lab_layers import add_results, add_spreads, show_results, write_picture, write_table
from napari_ne_denoise.gui.inside.lab_pictures import rows_of
from napari_ne_denoise.gui.inside.lab_table import LabTable, in_image_units
from napari_ne_denoise.gui.inside.lab_work import Line, Tried, asked_about, study_part, try_line
from napari_ne_denoise.gui.inside.line_sliders import LineSliders
from napari_ne_denoise.gui.inside.plane_plan import PlanePlan, plan_plane, seen_window
from napari_ne_denoise.gui.inside.thumbnails import Thumbnails

if TYPE_CHECKING:
    import napari

    from napari_ne_denoise.core.normalisation_study import NormalisationStudy, StudyStep

COMPARE = "Compare normalisations"
INSTRUCTION = "What you see, at most 512×512 pixels of it, is given to an ordinary network and to ours, normalised in six ways."
UNMOVED = "Move λ or μ: this is [0, 1] itself."
LAW = {
    "only λ": "f(λy) − λf(y), for λ of a thousandth and of a thousand",
    "only μ": "f(y + μ) − f(y) − μ, for μ of −100 and of 1000 standard deviations of the image",
    "both": "f(λy + μ) − λf(y) − μ",
}


class LabWidget(ComputingDock):
    """Compare what an ordinary network and ours make of the image, however it is normalised.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.study: NormalisationStudy | None = None
        self.tried: Tried | None = None
        self._plan: PlanePlan | None = None
        self._trying: Task | None = None
        self._waiting: Line | None = None
        self._live: list[Any] = []  # layers of results, which follow the sliders
        layer = layer_box(viewer, "The image to try normalisations on; of a denoised one the noisy image behind it.")
        self.conclusion, self.caption = Message(), Message()
        self.table, self.errors = LabTable(), Readout(LAW)
        self.sliders, self.pictures = LineSliders(), Thumbnails()
        tooltip = "For both networks: at each pixel, the largest of the six results minus the smallest."
        self.spreads = PushButton(text="Spread as layers", tooltip=tooltip)
        self.results = PushButton(
            text="Results as layers", tooltip="What both networks make of the image in the range that is chosen; they follow the sliders."
        )
        self.save_table = PushButton(text="Save table…", tooltip="As CSV, with largest differences too.")
        self.save_picture = PushButton(text="Save picture…", tooltip="All results beside each other, as PNG.")
        tooltip = "Of the part of the image that you see; takes some seconds."
        super().__init__(viewer, layer, text=COMPARE, tooltip=tooltip, instruction=INSTRUCTION, below=[self.conclusion])
        self._lay_out()
        self._listen()
        self._forget()

    def compute(self) -> None:
        """Start comparing, for what is seen now."""
        try:
            plan = plan_plane(self._viewer, self.layer.value, treated_too=True)
            window = seen_window(self._viewer, plan)
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
            return
        self._forget()
        self._plan = plan
        self._start(f"normalisations of {plan.layer.name}", study_part, plan, window, said=f"Comparing {plan.layer.name}…")

    def show_study(self, study: "NormalisationStudy") -> None:
        """Show what was found."""
        self.study = study
        self.table.show_study(study)
        self.conclusion.say(study.conclude())
        self.errors.show_values({said: _errors(study, law) for said, law in zip(LAW, ("scale", "shift", "both"), strict=True)})
        self._try()

    def keep(self, path: Path, write: "Callable[[Path, NormalisationStudy], None]", suffix: str) -> None:
        """Write what was found to a file, whose name gets the ending that it lacks."""
        assert self.study is not None
        try:
            path = with_ending(path, suffix)
            write(path, self.study)
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
        else:
            self.message.say(f"Saved {path.name}.")

    def _lay_out(self) -> None:
        trial = QWidget()
        column = QVBoxLayout(trial)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.caption.native, self.sliders, self.pictures):
            column.addWidget(part)
        self.trial = Fold("Any other range", trial, "Map the image to any range [μ, λ + μ], and see both results at once.")
        tooltip = "Largest |f(λy + μ) − λf(y) − μ| in image units, measured in float64 on the middle."
        self.law = Fold("Errors of the law", self.errors, tooltip)
        layers, files = ((self.spreads, self.results), (self.save_table, self.save_picture))
        rows = (side_by_side(*(button.native for button in pair)) for pair in (layers, files))
        self._found = (self.trial, self.law, *rows)
        self.column.insertWidget(0, form(self.layer))
        for part in (self.table, *self._found):
            self.column.addWidget(part)
        self.column.addStretch(1)

    def _listen(self) -> None:
        self.layer.changed.connect(self._change_layer)
        self.sliders.moved.connect(self._try)
        self.spreads.changed.connect(self._add_spreads)
        self.results.changed.connect(self._add_results)
        self.save_table.changed.connect(lambda: self._ask_where("Save the table", "Table", ".csv", write_table))
        self.save_picture.changed.connect(lambda: self._ask_where("Save the picture", "Picture", ".png", write_picture))

    def _take(self, found: "StudyStep") -> None:
        if found.study is None:
            self._show_progress(100 * found.done // found.total, share_done(found.done, found.total, self._seconds))
            return
        self._task = None
        rows, columns = found.study.image.shape
        noise = f"; its noise is about {found.study.noise:.3g} image units" if found.study.noise else ""
        self.message.say(f"{rows}×{columns} pixels in {duration(self._seconds)}{noise}.")
        self.show_study(found.study)
        self._show_state()

    def _try(self) -> None:
        """Compute both results in the range that the sliders say; the latest one wins."""
        if self.study is not None and self._plan is not None:
            self._waiting = self.sliders.line
            self._go_on()

    def _go_on(self) -> None:
        if self._trying is None and self._waiting is not None:
            assert self.study is not None
            assert self._plan is not None
            line, self._waiting = self._waiting, None
            work = (self.study, asked_about(self._plan), line)
            self._trying = Task("a normalisation", try_line, *work, found=self._show_tried, failed=self._fail_to_try)
            self._trying.start()

    def _show_tried(self, tried: Tried) -> None:
        self._trying, self.tried = None, tried
        assert self.study is not None
        self.caption.say(f"In {tried.line.describe()} instead of [0, 1]:" if tried.line != Line() else UNMOVED)
        self.pictures.show_rows(rows_of(self.study, tried))
        if self._live and all(layer in self._viewer.layers for layer in self._live):
            assert self._plan is not None
            show_results(self._live, self._plan, self.study, tried)
        self._show_state()
        self._go_on()

    def _fail_to_try(self, reason: str) -> None:
        self._trying = None
        self.caption.complain(reason)
        self._go_on()

    def _forget(self) -> None:
        """Show nothing."""
        self.study = self.tried = self._plan = self._waiting = None
        self._live = []
        if self._trying is not None:
            self._trying.stop()
            self._trying = None
        self.table.clear_study()
        self.pictures.show_rows([])
        self._show_state()

    def _change_layer(self, *_: object) -> None:
        """What was found belongs to another layer."""
        if self._task is not None:
            self.cancel()
        self._forget()
        self.message.say(INSTRUCTION)
        self._show_state()

    def _layers_changed(self) -> None:
        if self._plan is not None and self.layer.value != self._plan.layer:
            self._change_layer()
        self._show_state()

    def _add_spreads(self) -> None:
        assert self.study is not None
        assert self._plan is not None
        add_spreads(self._viewer, self._plan, self.study)

    def _add_results(self) -> None:
        assert self.study is not None
        assert self._plan is not None
        assert self.tried is not None
        self._live = add_results(self._viewer, self._plan, self.study, self.tried)

    def _ask_where(self, title: str, kind: str, suffix: str, write: "Callable[[Path, NormalisationStudy], None]") -> None:
        assert self._plan is not None
        suggested = f"{as_file_name(self._plan.layer.name)} normalisations{suffix}"
        path, _ = QFileDialog.getSaveFileName(self.native, title, suggested, f"{kind} (*{suffix})")
        if path:
            self.keep(Path(path), write, suffix)

    def _show_state(self, *_: object) -> None:
        super()._show_state()
        for part in self._found:
            part.setVisible(self.study is not None)
        self.conclusion.visible = self.study is not None
        self.results.enabled = self.tried is not None

    def _disconnect(self) -> None:
        if self._trying is not None:
            self._trying.stop()


def _errors(study: "NormalisationStudy", law: str) -> str:
    return ", ".join(f"{network.name} {in_image_units(getattr(network.errors, law))}" for network in study.networks)
