"""A button that tells how good a result is, without knowing the truth."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton
from psygnal import Signal

from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.noise.assessing import assess_result, judged_of, shown_channel

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ne_denoise.core.quality.assessment import QualityProgress

ASK, CANCEL = "How good is it?", "Cancel the estimate"
CHANGED = "The result has changed since its quality was asked for: ask again."
TOOLTIP = (
    "Estimate without the truth, in some seconds: the noise before and after in image units, the error as PSNR in dB with its range,\n"
    "and whether more was removed than noise."
)


class QualityButton(PushButton):
    """Estimates the quality of a result in a thread; pressed again, it stops.

    Parameters
    ----------
    viewer
        Where the result is.
    layer_now
        Gives the result; None if there is none.
    say, complain
        Show a message, or an error.
    """

    answered = Signal(str)  # what was found

    def __init__(self, viewer: "Viewer", layer_now: Callable[[], Any], say: Callable[[str], None], complain: Callable[[str], None]) -> None:
        self._viewer, self._layer_now, self._say, self._complain = viewer, layer_now, say, complain
        self._task: Task | None = None
        self.told = ""  # what was found last
        super().__init__(text=ASK, tooltip=TOOLTIP)
        self.changed.connect(self._press)

    @property
    def can_be_asked(self) -> bool:
        """Whether there is a result that can be judged."""
        return judged_of(self._viewer, self._layer_now()) is not None

    def stop(self) -> None:
        """Hear nothing more of what is at work; the button may be gone already."""
        if self._task is not None:
            self._task.stop()
            self._task = None

    def cancel(self) -> None:
        """Stop, because something else is asked for."""
        self.stop()
        self.text = ASK

    def notice_change(self, message: str) -> None:
        """The result is another one now; an estimate that is at work, or that a message still tells, is of what it was."""
        if self._task is not None or (message and message == self.told):
            self._end(CHANGED, self._say)

    def _press(self) -> None:
        if self._task is None:
            self._begin()
        else:
            self._end("The estimate was cancelled.", self._say)

    def _begin(self) -> None:
        layer = self._layer_now()
        judged = judged_of(self._viewer, layer)
        if judged is None:
            return
        channel = shown_channel(self._viewer, layer, judged.source)
        show, fail = lambda found: self._show(layer.name, found), lambda reason: self._end(reason, self._complain)
        self._task = Task(f"judging {layer.name}", assess_result, judged, channel, found=show, failed=fail)
        self.text = CANCEL
        self._say(f"Judging {layer.name}…")
        self._task.start()

    def _show(self, name: str, progress: "QualityProgress") -> None:
        if progress.quality is None:
            self._say(f"Judging {name}: {percent(progress.done / progress.total)}")
        else:
            self.told = f"{name}: {progress.quality.describe()}."
            self._end(self.told, self._say)
            self.answered.emit(self.told)

    def _end(self, text: str, tell: Callable[[str], None]) -> None:
        self.cancel()
        tell(text)
