"""What the docks do whose button computes, and cancels what it computes."""

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, ProgressBar, PushButton, Widget

from napari_ne_denoise.gui.base.docks import NO_IMAGE, Message, show_progress
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.workers import Task

if TYPE_CHECKING:
    import napari

CANCEL = "Cancel"


class ComputingDock(LayerDock):
    """A dock of an image layer with a button, a bar of progress and a message, which computes one thing at a time.

    Parameters
    ----------
    viewer
        napari hands it over.
    layer
        The box of layers.
    text, tooltip
        Of the button.
    instruction
        What the message says while there is an image and nothing was done.
    progress
        What the bar tells.
    above, below
        Widgets around the button, the bar and the message.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        layer: ComboBox,
        *,
        text: str,
        tooltip: str,
        instruction: str = "",
        progress: str = "Share done, time left",
        above: Sequence[Widget] = (),
        below: Sequence[Widget] = (),
    ) -> None:
        self._text, self._instruction = text, instruction
        self._began = 0.0
        self.button = PushButton(text=text, tooltip=f"{tooltip} Cancel stops at once.")
        self.bar = ProgressBar(min=0, max=100, tooltip=progress, visible=False)
        self.message = Message(instruction)
        super().__init__(viewer, layer, [*above, self.button, self.bar, self.message, *below], results_too=True)
        self.button.changed.connect(self._press)

    def compute(self) -> None:
        """Start computing."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop at once."""
        self._stop_work()
        self.message.say("Cancelled.")
        self._show_state()

    def _take(self, found: Any) -> None:
        """What the work found, on the main thread."""
        raise NotImplementedError

    def _start(self, title: str, work: Callable[..., Iterator[Any]], *arguments: Any, said: str, first: str = "starting…") -> None:
        """Begin the work of a thread, in place of what is at work."""
        self._stop_work()
        self._began = perf_counter()
        self._task = Task(title, work, *arguments, found=self._take, failed=self._fail)
        self.message.say(said)
        self._show_progress(0, first)
        self._show_state()
        self._task.start()

    def _stop_work(self) -> None:
        if self._task is not None:
            self._task.stop()
            self._task = None

    @property
    def _seconds(self) -> float:
        """Since the work began."""
        return perf_counter() - self._began

    def _press(self) -> None:
        if self._task is None:
            self.compute()
        else:
            self.cancel()

    def _fail(self, reason: str) -> None:
        self._task = None
        self.message.complain(reason)
        self._show_state()

    def _show_progress(self, percent: int, text: str) -> None:
        show_progress(self.bar.native, percent, text)

    def _show_state(self, *_: object) -> None:
        busy, empty = self._task is not None, self.layer.value is None
        self.button.text = CANCEL if busy else self._text
        self.button.enabled = busy or not empty
        self.bar.visible = busy
        if empty and not busy:
            self.message.say(NO_IMAGE)
        elif self.message.value == NO_IMAGE:
            self.message.say(self._instruction)
