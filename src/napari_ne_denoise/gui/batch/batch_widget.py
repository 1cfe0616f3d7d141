"""The dock that denoises many files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ProgressBar, PushButton
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_ne_denoise.core.batch.events import DONE, FAILED, SKIPPED, JobAdvanced, JobBegun, say_unnamed
from napari_ne_denoise.core.batch.jobs import DENOISED, Job, plan_jobs, plan_targets, result_name
from napari_ne_denoise.core.errors import FileError, NEDenoiseError
from napari_ne_denoise.core.io import READABLE, WHAT_IS_READ, images_in, is_zarr, place_in_home
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.boxes import choice_box, offer
from napari_ne_denoise.gui.base.choices import explain_models, find_devices, model_box
from napari_ne_denoise.gui.base.dock import WorkDock
from napari_ne_denoise.gui.base.docks import Fold, Message, form, show_progress
from napari_ne_denoise.gui.base.pace import duration
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.batch.batching import UNKNOWN, AllEnded, Looking, NoiseFound, QualityFound, Told, denoise_files, image_files
from napari_ne_denoise.gui.batch.file_table import NOISE, QUALITY, STATE, TIME, FileTable
from napari_ne_denoise.gui.batch.remedies import BATCH_REMEDIES, UNNAMED
from napari_ne_denoise.gui.denoise.advanced import ADVANCED, ADVANCED_TOOLTIP, Advanced
from napari_ne_denoise.gui.layers.readings import usual_axes

if TYPE_CHECKING:
    import napari


START, CANCEL = "Denoise", "Cancel"
ENDS = (DONE, SKIPPED, FAILED)
AS_FILE_SAYS = "as each file says"
EMPTY = "Add files or a folder, or drop them on the table."
BESIDE, IN_FOLDER, IN_ANOTHER = "beside the images", "in a folder…", "in another folder…"
RESULTS = "Where results go: NAME_denoised.ome.tif, or .ome.zarr of an OME-Zarr.\nImages are never changed."
REMOVE, REMOVE_ALL = "Remove", "Remove all"
SKIP, REPLACE = "stay: do the others", "are replaced"
REPLACED = "They are computed again, but for those of a batch that left files over: it is gone on with."
OLD = "The result was there already, perhaps made in another way: quality is estimated of results that are made now."
KINDS = f"Images ({' '.join(f'*{ending}' for ending in READABLE if ending != '.zarr')})"


class BatchWidget(WorkDock):
    """Denoise many files, each into a file of its own, and tell what becomes of each.

    Parameters
    ----------
    viewer
        napari hands it over; files that are double-clicked open there.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._jobs: list[Job] = []
        self._cancelled: Task | None = None  # whose thread may be at work on the same files still
        self._finished, self._to_do, self._began = 0, 0, 0.0
        self._summary_said = ""  # of the last run
        self.files: list[Path] = []
        self.folder: Path | None = None
        self.table, self.message = FileTable(), Message()
        self.model, self.advanced = model_box(), Advanced()
        self.axes = choice_box("axes", "Axes", "What the axes of all files are. A file with another number of axes fails, and says so.")
        as_said = (AS_FILE_SAYS, None, "Each file's own metadata. Where they say nothing, planes are the last two axes.")
        offer(self.axes, [as_said, *((letters, letters, "") for letters in usual_axes())])
        self.quality = CheckBox(
            text="Estimate quality",
            value=False,
            tooltip="Tell of each result how good it is, as “How good is it?” of the Denoise dock does. It takes some seconds a file.",
        )
        self.results = choice_box("results", "Results", RESULTS)
        self.existing = choice_box(
            "existing", "Old results", "What to do where a result is there already. Staying goes on with a batch that was stopped."
        )
        self._offer_targets()
        offer(self.existing, ((SKIP, SKIP, "Results that are there stay as they are."), (REPLACE, REPLACE, REPLACED)))
        self.button = PushButton(text=START, tooltip="Denoise all files, one after another. A file that fails does not stop the others.")
        self.bar = ProgressBar(min=0, max=1000, visible=False, tooltip="Share of the files, and time left")
        super().__init__(viewer, [self.button, self.bar, self.message])
        self._lay_out()
        self._listen()
        self._device_search = Task("finding devices", find_devices, found=self.advanced.offer_devices, failed=self.message.complain)
        self._device_search.start()

    def add(self, paths: Sequence[Path]) -> None:
        """Add files, and of folders and plates the images in them; what is in the table already stays once."""
        try:
            found = [file for path in paths for file in (image_files(path) if path.is_dir() and not is_zarr(path) else [path])]
        except FileError as error:
            self.message.complain(in_window(error))
            return
        self.files = list(dict.fromkeys([*self.files, *(image for file in found for image in images_in(file))]))
        self._show_files()
        self._show_state()
        if paths and not found:
            self.message.complain(f"{paths[0].name}: no image in it; {WHAT_IS_READ}")

    def take_away(self) -> None:
        """Take the selected files from the table, or all where none is selected; the files themselves stay."""
        chosen = set(self.table.chosen_rows() or range(len(self.files)))
        self.files = [path for row, path in enumerate(self.files) if row not in chosen]
        self._show_files()
        self._show_state()

    def denoise(self) -> None:
        """Start with the files of the table."""
        try:
            replace, skip = self.existing.value == REPLACE, self.existing.value == SKIP
            self._jobs = plan_jobs(self.files, self.folder, overwrite=replace, skip_existing=skip)
        except NEDenoiseError as error:
            self.message.complain(in_window(error, BATCH_REMEDIES))
            return
        except OSError as error:
            self.message.complain(f"{error}.")
            return
        for row, job in enumerate(self._jobs):
            if not job.skipped:
                self._clear(row)
        self._finished, self._to_do, self._began = 0, sum(not job.skipped for job in self._jobs), perf_counter()
        wishes = {"model": self.model.value, "axes": self.axes.value, **self.advanced.values}
        work = (denoise_files, self._jobs, wishes, bool(self.quality.value))
        self._task = Task(f"denoising {len(self._jobs)} files", *work, found=self._show, failed=self._fail)
        show_progress(self.bar.native, 0, "starting…")  # not the 100 % of the run before
        self.message.say("Preparing…")
        self._show_state()
        self._task.start(after=self._cancelled)

    @property
    def device(self) -> Any:
        """The box of devices."""
        return self.advanced.device

    def cancel(self) -> None:
        """Stop at once; finished results stay, and nothing is half-written."""
        if self._task is not None:
            self._task.stop()
            self._cancelled = self._task
            for row in range(self.table.count):
                if self.table.text(row, STATE) not in ("", *ENDS):
                    self.table.show_in(row, STATE, "cancelled")
            self._end("Cancelled. Finished results stay; starting again goes on with the others.")

    def open_row(self, row: int) -> None:
        """Open an image, and its result if there is one, in the viewer."""
        paths = [self.files[row]]
        paths.extend(job.target for job in self._jobs if job.source == paths[0] and job.target.exists())
        for path in paths:
            try:
                self._viewer.open(str(path), plugin="napari" if path.suffix != ".zarr" else None)
            except Exception as error:  # readers raise what they like
                self.message.complain(f"{path.name}: cannot be opened ({error}).")

    def _lay_out(self) -> None:
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for text, call, tooltip in (
            ("Files…", self._ask_for_files, "Add image files"),
            ("Folder…", self._ask_for_folder, "Add all images of a folder; those of its folders are left out"),
            (REMOVE_ALL, self.take_away, "Take the selected files from the table, or all if none is selected. The files themselves stay."),
        ):
            button = QPushButton(text)
            button.setToolTip(tooltip)
            button.clicked.connect(lambda *_, call=call: call())
            row.addWidget(button)
        self._choosing, self._removing = buttons, button
        self._form = form(self.results, self.existing, self.axes, self.model)
        self.fold = Fold(ADVANCED, self.advanced, ADVANCED_TOOLTIP)
        for place, part in enumerate((buttons, self.table, self._form, self.fold, self.quality.native)):
            self.column.insertWidget(place, part, 1 if part is self.table else 0)

    def _listen(self) -> None:
        self.button.changed.connect(self._press)
        self.results.changed.connect(self._choose_target)
        self.model.changed.connect(lambda: explain_models(self.model))
        self.table.dropped.connect(self.add)
        self.table.doubleClicked.connect(lambda place: self.open_row(place.row()))
        self.table.opened.connect(self.open_row)
        self.table.removed.connect(self._take_chosen_away)
        self.table.chosen.connect(self._explain)
        self.advanced.changed.connect(lambda: self.fold.rename(self.advanced.title))
        self._show_state()

    def _press(self) -> None:
        if self._task is None:
            self.denoise()
        else:
            self.cancel()

    def _ask_for_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self.native, "Add images", "", KINDS)
        self.add([Path(path) for path in paths])

    def _ask_for_folder(self) -> None:
        if path := QFileDialog.getExistingDirectory(self.native, "Add the images of a folder"):
            self.add([Path(path)])

    def _choose_target(self, where: str) -> None:
        if where == BESIDE:
            self.folder = None
        elif path := QFileDialog.getExistingDirectory(self.native, "Results go into"):
            self.folder = Path(path)
        self._offer_targets()
        self._show_files()

    def _offer_targets(self) -> None:
        """Offer where results can go; the folder that was chosen is called by its name, and can be changed for another one."""
        beside = (BESIDE, BESIDE, "Each result lies in the folder of its image.")
        if self.folder is None:
            others = [(IN_FOLDER, IN_FOLDER, "All in one folder.")]
        else:
            here = (f"in {self.folder.name or self.folder}", IN_FOLDER, f"All in {self.folder}.")
            others = [here, (IN_ANOTHER, IN_ANOTHER, "All in one that you choose now.")]
        offer(self.results, (beside, *others))
        with self.results.changed.blocked():  # also of a dialog that was cancelled
            self.results.value = BESIDE if self.folder is None else IN_FOLDER
        self.results.tooltip = RESULTS if self.folder is None else f"Results go into {self.folder}."

    def _take_chosen_away(self) -> None:
        if self._task is None:
            self.take_away()

    def _explain(self) -> None:
        """Tell why the chosen file failed, or what was noted of it: a tooltip is only for those who have a mouse."""
        rows = self.table.chosen_rows()
        self._removing.setText(REMOVE if rows else REMOVE_ALL)
        if self._task is not None or not rows:
            return
        state, why = (self.table.text(rows[0], STATE), self.table.explanation(rows[0], STATE)) if len(rows) == 1 else ("", "")
        if why == state:
            self.message.say(self._summary_said)
        else:
            path = self.files[rows[0]]
            told = why if str(path) in why else f"{path.name}: {why}"
            (self.message.complain if state == FAILED else self.message.say)(told)

    def _show_files(self) -> None:
        """Show the files, and what results will be called where that is not obvious."""
        try:
            targets = plan_targets(self.files, self.folder)
        except NEDenoiseError as error:
            self.message.complain(in_window(error, BATCH_REMEDIES))
            return
        names = Counter(path.name for path in self.files)

        def name(row: int) -> tuple[str, str]:
            source, target = self.files[row], targets[row]
            called = place_in_home(source)
            called = called if called != source.name or names[called] == 1 else str(Path(*source.parts[-2:]))
            usual = target.name == result_name(source)
            return called if usual else f"{called} → {target.name.rpartition(DENOISED)[0]}", f"{source}\n→ {target}"

        self.table.show_files(self.files, name)

    def _clear(self, row: int) -> None:
        for column in (NOISE, QUALITY, TIME):
            self.table.show_in(row, column, "")
        self.table.show_in(row, STATE, "waiting")

    def _show(self, event: Told) -> None:
        if isinstance(event, NoiseFound):
            self.table.show_in(event.number, NOISE, event.strength, event.words)
        elif isinstance(event, QualityFound):
            self.table.show_in(event.number, QUALITY, event.shortly, event.words)
        elif isinstance(event, Looking):
            self.table.show_in(event.number, STATE, "measuring", "The result is there; now the noise of the image is measured.")
        elif isinstance(event, JobBegun):
            self.table.show_in(event.number, STATE, "reading")
            self.table.show_row(event.number)
            self.message.say(f"{event.number + 1} of {len(self._jobs)}: {place_in_home(event.job.source)}")
        elif isinstance(event, JobAdvanced):
            share = event.done / event.total
            self.table.show_in(event.number, STATE, percent(share))
            self._show_share(self._finished + share)
        elif isinstance(event, AllEnded):
            self._end(self._summary())
        else:
            self._finish(event.number, event.record, event.error)

    def _finish(self, number: int, record: dict[str, Any], error: Exception | None) -> None:
        job = self._jobs[number]
        if record["status"] == SKIPPED:
            said = [f"{job.target} is there already; it was left as it is.", *record.get("notes", [])]
            if self.quality.value and not self.table.text(number, QUALITY):
                self.table.show_in(number, QUALITY, UNKNOWN, OLD)
        else:
            self._finished += 1
            failed = in_window(error, BATCH_REMEDIES) if isinstance(error, NEDenoiseError) else record.get("error", "")
            said = [failed, *record.get("notes", []), *say_unnamed(record, UNNAMED)]
        if "seconds" in record:
            took = duration(record["seconds"])
            self.table.show_in(number, TIME, took)
            said.append(f"{record['status']} in {took}")
        self.table.show_in(number, STATE, record["status"], "\n".join(filter(None, said)))
        self._show_share(float(self._finished))

    def _summary(self) -> str:
        states = Counter(self.table.text(row, STATE) for row in range(len(self._jobs)))
        counts = {state: states[state] for state in ENDS}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        hint = " Click a file that failed to see why; starting again tries what failed." if counts["failed"] else ""
        return f"{said} in {duration(perf_counter() - self._began)}.{hint}"

    def _show_share(self, finished: float) -> None:
        share = finished / max(self._to_do, 1)  # what is skipped takes no time
        left = (perf_counter() - self._began) * (1 - share) / max(share, 1e-3)
        text = f"{percent(share)} · {duration(left)} left" if 0 < share < 1 else percent(share)
        show_progress(self.bar.native, int(1000 * share), text)

    def _fail(self, reason: str) -> None:
        self._end("")
        self.message.complain(reason)

    def _end(self, said: str) -> None:
        self._task, self._summary_said = None, said
        self.message.say(said)
        self._show_state()

    def _show_state(self) -> None:
        busy, empty = self._task is not None, not self.files
        count = f" {len(self.files)} file{'s' if len(self.files) > 1 else ''}" if self.files else ""
        self.button.text = CANCEL if busy else f"{START}{count}"
        self.button.enabled = busy or not empty
        for part in (self._form, self._choosing, self.fold, self.quality.native):
            part.setEnabled(not busy)
        self._removing.setEnabled(not empty)
        self.table.setAcceptDrops(not busy)  # the rows are those of the run
        self.bar.visible = busy
        if empty and not busy:
            self.message.say(EMPTY)
        elif self.message.value == EMPTY:
            self.message.say("")

    def _disconnect(self) -> None:
        self._device_search.stop()
