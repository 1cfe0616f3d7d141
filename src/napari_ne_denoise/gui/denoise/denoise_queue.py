"""Layers that are denoised one after another, each in a thread, with what is known of the one at work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.pace import Pace, duration, megapixels
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.denoise.denoising import Advanced, Begun, Finished, Prepared, denoise_source, fill_unfinished, prepare_source
from napari_ne_denoise.gui.denoise.result_layer import ResultLayer
from napari_ne_denoise.gui.denoise.storing import BegunOnDisk, Stored, store_source
from napari_ne_denoise.gui.layers.layer_data import Source

if TYPE_CHECKING:
    from napari.viewer import Viewer


@dataclass(frozen=True)
class Job:
    """One layer to denoise.

    Attributes
    ----------
    layer, source
        The layer, and as it was when the button was pressed.
    strength
        Of the result, 0 to 1.
    start_at
        The pixel whose tile comes first.
    is_lazy
        Whether the result is to be computed when it is shown.
    target
        The OME-Zarr that the result is to become.  None: none.
    """

    layer: Any
    source: Source
    strength: float
    start_at: tuple[int, ...]
    is_lazy: bool = False
    target: Path | None = None


@dataclass
class _Run:
    """The job at work, and how far it is."""

    job: Job
    task: Task | None = None
    result: ResultLayer | None = None
    begun: Begun | None = None
    pace: Pace | None = None
    done: int = 0
    finished: list[Index] = field(default_factory=list)

    def stop(self) -> None:
        """Hear nothing more of it."""
        if self.task is not None:
            self.task.stop()

    @property
    def percent(self) -> int:
        """How much is done."""
        return 0 if self.pace is None else 100 * self.done // self.pace.total


@dataclass
class _Sum:
    """What the queue has done since it began."""

    jobs: int = 0
    strength: float = 1.0  # of all of them
    done: int = 0
    pixels: int = 0
    seconds: float = 0.0
    kept: int = 0
    lazy: int = 0
    device: str = ""
    stored: str = ""
    failures: list[str] = field(default_factory=list)

    def add(self, pixels: int, finding: Finished) -> None:
        """Count a result."""
        self.done += 1
        self.pixels += pixels
        self.seconds += finding.seconds
        self.kept += finding.kept
        self.device = finding.device

    def add_stored(self, finding: Stored) -> None:
        """Count a result that is a file."""
        self.done += 1
        self.pixels += finding.levels[0].size
        self.seconds += finding.seconds
        self.device = finding.device
        self.stored = f" Written: {finding.path.name}, in {finding.path.parent}."
        if finding.lost:
            self.stored += f" The file does not hold the {' and the '.join(finding.lost)} of the layer."

    def count(self, one: str, many: str) -> str:
        """How many layers of how many, with the verb that goes with it."""
        done = self.done + self.lazy
        return f"{done} of {self.jobs} layers {one if done == 1 else many}"

    def describe(self) -> str:
        """What was done, as "0.26 MPix in 0.1 s on CPU."."""
        at = f" Strength: {percent(self.strength)}." if self.strength != 1 else ""
        return self._describe_work() + at

    def _describe_work(self) -> str:
        lazy = "Its planes are computed when they are shown." if self.lazy == 1 else "Planes are computed when they are shown."
        if not self.done:
            return lazy
        layers = f"{self.done} layers, " if self.jobs > 1 else ""
        which = "1 pixel that is NaN or infinite was" if self.kept == 1 else f"{self.kept} pixels that are NaN or infinite were"
        kept = f" {which} kept." if self.kept else ""
        return f"{layers}{megapixels(self.pixels)} in {duration(self.seconds)} on {self.device}.{kept}{self.stored}"


class DenoiseQueue(QObject):
    """Denoises layers one after another; everything here runs on the main thread, but for what `Task` does.

    Parameters
    ----------
    viewer
        Where results appear.
    """

    changed = Signal()  # whether it works, or whether there is something to keep
    progressed = Signal(int, str)  # percent of the job at work, and its pace
    said = Signal(str)
    passed = Signal(str)  # said of what just happened, and of no interest after the next action
    complained = Signal(str)

    def __init__(self, viewer: "Viewer") -> None:
        super().__init__()
        self._viewer = viewer
        self._waiting: list[Job] = []
        self._at_work: _Run | None = None
        self._cancelled: _Run | None = None
        self._filling: Task | None = None
        self._sum = _Sum()
        self._results: list[ResultLayer] = []  # that are finished and still there
        viewer.layers.events.removed.connect(self._notice_removal)

    @property
    def is_busy(self) -> bool:
        """Whether a job is at work."""
        return self._at_work is not None

    @property
    def percent_to_keep(self) -> int | None:
        """How much of a result that was cancelled could still be kept; None if there is none."""
        return None if self._cancelled is None else self._cancelled.percent

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin with these, which are then done in their order."""
        self._forget_cancelled()
        self._waiting, self._sum = list(jobs), _Sum(len(jobs), jobs[0].strength if jobs else 1.0)
        self._go_on()

    def cancel(self) -> None:
        """Stop at once; the unfinished result goes, and `keep` brings it back."""
        waiting = [job.layer for job in self._waiting]
        run = self._stop()
        if run is not None and waiting:  # each result has taken the selection that they were chosen by
            self._viewer.layers.selection = {layer for layer in (run.job.layer, *waiting) if layer in self._viewer.layers}
        if run is not None and run.finished:
            self._cancelled = run
        done = f" {self._sum.count('is', 'are')} done." if self._sum.jobs > 1 else ""
        self.passed.emit(f"Cancelled.{done} The unfinished result was removed.")
        self.changed.emit()

    def keep(self) -> None:
        """Bring back what was finished of the result that was cancelled last, with the noisy image where nothing was."""
        run, self._cancelled = self._cancelled, None
        if run is not None and run.begun is not None:
            work = (fill_unfinished, run.begun.blend, run.finished)
            self._filling = Task("keeping a part", *work, found=lambda _: self._show_kept(run), failed=self.complained.emit)
            self._filling.start()
        self.changed.emit()

    def give_up(self) -> None:
        """Stop, and take the unfinished result away."""
        self._stop()
        self._forget_cancelled()

    def let_go(self) -> None:
        """Leave everything outside, whose layers and window may be gone already."""
        for task in (self._at_work and self._at_work.task, self._filling):
            if task is not None:
                task.stop()
        self._viewer.layers.events.removed.disconnect(self._notice_removal)

    def _stop(self) -> _Run | None:
        run, self._at_work = self._at_work, None
        self._waiting.clear()
        if run is not None:
            run.stop()
            if run.result is not None:
                run.result.discard()
        return run

    def _forget_cancelled(self) -> None:
        self._cancelled = None

    def _go_on(self) -> None:
        """Begin the next job whose layer is still there."""
        self._at_work = None
        while self._waiting:
            job = self._waiting.pop(0)
            if job.layer in self._viewer.layers:
                self._begin(job)
                return
        self._end()

    def _begin(self, job: Job) -> None:
        run = self._at_work = _Run(job)
        take, fail = lambda finding: self._take(run, finding), lambda reason: self._fail(run, reason)
        run.task = Task(f"denoising {job.source.name}", *_work_of(job), found=take, failed=fail)
        self.said.emit(self._say("Preparing…"))
        # not Qt's own sign of being busy: drawing it takes a processor core from the network
        self.progressed.emit(0, "")
        self.changed.emit()
        run.task.start()

    def _say(self, text: str) -> str:
        """A text with the number of the job before it, if there are several."""
        number = self._sum.jobs - len(self._waiting)
        return f"{number} of {self._sum.jobs}: {text}" if self._sum.jobs > 1 else text

    def _take(self, run: _Run, finding: Begun | BegunOnDisk | Advanced | Finished | Prepared | Stored) -> None:
        if isinstance(finding, Prepared):
            self._show_prepared(run, finding)
        elif isinstance(finding, BegunOnDisk):
            assert run.job.target is not None
            self._start_clock(run, finding.total)
            self.said.emit(self._say(f"Writing {run.job.target.name}…"))
        elif isinstance(finding, Stored):
            self._show_stored(run, finding)
        elif isinstance(finding, Begun):
            run.begun, run.result = finding, ResultLayer(self._viewer, run.job.source, finding.blend.shown, finding.blend)
            self._start_clock(run, finding.total)
            self.said.emit(self._say(f"Denoising {run.job.source.name}…"))
        elif isinstance(finding, Advanced):
            self._advance(run, finding)
        else:
            self._finish(run, finding)

    def _start_clock(self, run: _Run, total: int) -> None:
        run.pace = Pace(total, perf_counter())
        self.progressed.emit(0, "first tile…")

    def _advance(self, run: _Run, finding: Advanced) -> None:
        assert run.pace is not None
        run.done = finding.done
        if run.result is not None:  # what becomes a file is shown when it is complete, and cannot be kept before
            run.finished.append(finding.index)
            run.result.show_progress()
        self.progressed.emit(run.percent, run.pace.describe(run.done, perf_counter()))

    def _finish(self, run: _Run, finding: Finished) -> None:
        assert run.result is not None
        assert run.begun is not None
        run.result.finish(finding.record)
        self._sum.add(run.begun.total, finding)
        self._results.append(run.result)
        self._go_on()

    def _show_prepared(self, run: _Run, finding: Prepared) -> None:
        run.result = ResultLayer(self._viewer, run.job.source, finding.array)
        run.result.show_progress()
        run.result.finish(finding.record)
        self._sum.lazy += 1
        self._results.append(run.result)
        self._go_on()

    def _show_stored(self, run: _Run, finding: Stored) -> None:
        run.result = ResultLayer(self._viewer, run.job.source, finding.levels)
        run.result.show_progress()
        run.result.finish(finding.record)
        self._sum.add_stored(finding)
        self._results.append(run.result)
        self._go_on()

    def _fail(self, run: _Run, reason: str) -> None:
        if run.result is not None:
            run.result.discard()
        self._sum.failures.append(f"{run.job.source.name}: {reason}" if self._sum.jobs > 1 else reason)
        self._go_on()

    def _end(self) -> None:
        self.changed.emit()
        if self._sum.failures:
            done = [f"{self._sum.count('was', 'were')} denoised."] if self._sum.jobs > 1 else []
            self.complained.emit("\n".join([*done, *self._sum.failures]))
        elif self._sum.done or self._sum.lazy:
            # a strength may be another one soon
            (self.said if self._sum.strength == 1 else self.passed).emit(self._sum.describe())

    def _notice_removal(self, *_: object) -> None:
        for result in [result for result in self._results if result.was_removed]:
            self._results.remove(result)
            result.show_source()  # who deletes a result wants back what was before it
        run = self._at_work
        if run is None or run.result is None or not run.result.was_removed:
            return
        run.stop()
        run.result.discard()
        self._go_on()
        if not self.is_busy:
            self.passed.emit("Stopped, because its result layer was removed.")

    def _show_kept(self, run: _Run) -> None:
        assert run.begun is not None
        assert run.result is not None
        self._filling = None
        record = {**run.begun.record(), "finished_share": round(run.done / run.begun.total, 3)}
        run.result.keep(record, f"{run.percent} %")
        self.said.emit(f"Kept: {run.percent} % is denoised, the rest is the noisy image.")


def _work_of(job: Job) -> tuple[Any, ...]:
    """What the thread does, and with what."""
    if job.target is not None:
        return store_source, job.source, job.strength, job.target
    return prepare_source if job.is_lazy else denoise_source, job.source, job.strength, job.start_at
