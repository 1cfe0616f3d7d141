"""The dock that leads through the first minute: what to do, ticked as it is done."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari import current_viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QStackedWidget, QToolButton, QWidget

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.dock import WorkDock
from napari_ne_denoise.gui.base.docks import Message, side_by_side
from napari_ne_denoise.gui.base.opening import open_dock
from napari_ne_denoise.gui.base.per_viewer import one_of
from napari_ne_denoise.gui.compare.flip import BeforeAfter
from napari_ne_denoise.gui.inside.filter_layer import is_filter
from napari_ne_denoise.gui.layers.kinship import image_layers, results_of
from napari_ne_denoise.gui.layers.sample_data import LayerTuple, actin

if TYPE_CHECKING:
    import napari

TITLE, DENOISE_DOCK, FILTER_DOCK = "First steps", "Denoise", "Adaptive filter"  # as napari.yaml calls them
SAMPLE = "actin"
TO_DO, DONE = "☐", "☑"
# what to do, and what it is good for
STEPS = (
    ("Press Denoise.", "The result is a new layer, in the units of the image; that stays as it is."),
    (
        "Press N, with the mouse on the image.",
        "Before and after in turn, in the same place. Held, it shows the other one as long as it is held.",
    ),
    (
        "Move the mouse over the result, with the Adaptive filter dock open.",
        "The filter that made each pixel follows the mouse: its weights sum to one.",
    ),
    ("Press “How good is it?” in the Denoise dock.", "The error is estimated without knowing the truth, in some seconds."),
)
BEGIN = "A minute, in four steps: "
END = "That was all. Now your own image: File\u00a0▸\u00a0Open, then Layers\u00a0▸\u00a0Filter\u00a0▸\u00a0Denoise."


class FirstSteps(WorkDock):
    """Opens a sample, if no image is open, and the Denoise dock; then ticks what the user has tried.

    One step is shown at a time, the first that is not done: beside all four, a small window has no room for what they speak of.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.message, self.end = Message(), Message(END)
        self.end.native.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.end.native.setMinimumHeight(1)  # as high as it is in the width that it gets
        super().__init__(viewer, [])
        self.rows = [_Row(number, text, tooltip) for number, (text, tooltip) in enumerate(STEPS, 1)]
        self._denoise: Any = None
        self._flips: BeforeAfter | None = None
        for number, dock in ((0, DENOISE_DOCK), (2, FILTER_DOCK), (3, DENOISE_DOCK)):
            self.rows[number].offer("Open", f"Open the {dock} dock.", lambda *_, dock=dock: self._open(dock))
        self.pages = QStackedWidget()
        for row in self.rows:
            self.pages.addWidget(row)
        self.back, self.forth = (_arrow(kind, self.pages, by) for kind, by in ((Qt.ArrowType.LeftArrow, -1), (Qt.ArrowType.RightArrow, 1)))
        self.column.addWidget(side_by_side(self.message.native, self.back, self.forth))
        self.column.addWidget(self.pages)
        self.column.addStretch(1)
        self._say_progress()
        self._content.native.setMinimumHeight(1)  # as high as its lines are, not as they would be in the narrowest dock
        viewer.layers.events.inserted.connect(self._notice_layer)
        QTimer.singleShot(0, self._begin)

    @property
    def done(self) -> list[bool]:
        """Which steps are ticked."""
        return [row.done for row in self.rows]

    def _begin(self) -> None:
        if self._closed:
            return
        if not image_layers(self._viewer):
            self._viewer.open_sample(KEY, SAMPLE)
        self._open(DENOISE_DOCK)

    def _open(self, dock: str) -> None:
        """Open a dock, or find the one that is open; the second one as a tab of the first, for three would fill the window."""
        widget = open_dock(self._viewer, dock, tabify=dock != DENOISE_DOCK)
        if dock == DENOISE_DOCK and widget is not self._denoise:
            self._unfollow()
            self._denoise, self._flips = widget, one_of(BeforeAfter, self._viewer)
            widget.queue.changed.connect(self._notice_result)
            widget.quality.answered.connect(self._notice_answer)
            self._flips.changed.connect(self._notice_flip)
            self._notice_result()

    def _unfollow(self) -> None:
        denoise, flips, self._denoise, self._flips = self._denoise, self._flips, None, None
        if denoise is not None and flips is not None and not denoise.is_closed:
            denoise.queue.changed.disconnect(self._notice_result)
            denoise.quality.answered.disconnect(self._notice_answer)
            flips.changed.disconnect(self._notice_flip)

    def _notice_result(self) -> None:
        denoise = self._denoise
        self._tick(0, bool(results_of(self._viewer, denoise.layer.value)) and not denoise.queue.is_busy)

    def _notice_flip(self) -> None:
        self._tick(1, self._flips is not None and self._flips.flipped is not None)

    def _notice_layer(self, event: Any) -> None:
        self._tick(2, is_filter(event.value))

    def _notice_answer(self, *_: object) -> None:
        self._tick(3, True)

    def _tick(self, number: int, done: bool) -> None:
        if not done or self.rows[number].done:
            return
        self.rows[number].tick()
        self.pages.setCurrentIndex(self.pages.addWidget(self.end.native) if all(self.done) else self.done.index(False))
        self._say_progress()

    def _say_progress(self) -> None:
        self.message.say(BEGIN + "".join(row.box for row in self.rows))

    def _disconnect(self) -> None:
        self._viewer.layers.events.inserted.disconnect(self._notice_layer)
        self._unfollow()


def guided() -> list[LayerTuple]:
    """The sample that opens this dock too."""
    viewer = current_viewer()
    if viewer is not None:
        QTimer.singleShot(0, lambda: open_dock(viewer, TITLE))  # once the image is there: without one, the dock would open it
    return actin()


def _arrow(kind: Qt.ArrowType, pages: QStackedWidget, by: int) -> QToolButton:
    """A button that goes so many steps on."""
    button = QToolButton()
    button.setArrowType(kind)
    button.setToolTip("The next step" if by > 0 else "The step before")
    button.clicked.connect(lambda: pages.setCurrentIndex((pages.currentIndex() + by) % pages.count()))
    return button


class _Row(QWidget):
    """A step, with a box that ticks itself."""

    def __init__(self, number: int, text: str, tooltip: str) -> None:
        super().__init__()
        self.setToolTip(tooltip)
        self.done = False
        self._box, self._text = QLabel(TO_DO), QLabel(f"{number}. {text}")
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 2, 0, 2)
        self._line.addWidget(self._box, 0, Qt.AlignmentFlag.AlignTop)
        self._line.addWidget(self._text, 1, Qt.AlignmentFlag.AlignTop)

    @property
    def box(self) -> str:
        """Ticked or not."""
        return DONE if self.done else TO_DO

    def offer(self, text: str, tooltip: str, act: Callable[..., None]) -> None:
        """Add a button."""
        self.button = button = QPushButton(text)
        button.setToolTip(tooltip)
        button.clicked.connect(act)
        self._line.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)

    def tick(self) -> None:
        """It was done."""
        self.done = True
        self._box.setText(self.box)
        self._text.setEnabled(False)
