"""What both docks need: a line of text that wraps, and word of being closed."""

from collections.abc import Callable
from weakref import WeakMethod

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QWidget

WIDTH = 300  # pixels; napari's own docks are about as wide

ERROR_ON_DARK, ERROR_ON_LIGHT = "#ff6b63", "#b3261e"


def call_when_closed(dock: Container, closed: Callable[[], None], window_gone: Callable[[], None]) -> None:
    """Call a method when the dock of a widget is closed, another one when its window is; none when it is only hidden."""

    def parent_changed(parent: object) -> None:
        if parent is None:
            closed()

    dock.native_parent_changed.connect(parent_changed)
    # Qt would hold a strong reference to the widget, the widget holds its native one: neither would ever go
    method = WeakMethod(window_gone)  # type: ignore[arg-type]
    dock.native.destroyed.connect(lambda *_: _call_if_alive(method))


def _call_if_alive(method: WeakMethod[Callable[[], None]]) -> None:
    call = method()
    if call is not None:
        call()


def form(*fields: ValueWidget) -> QWidget:
    """Fields below each other, with their labels in a column of their own, which magicgui's rows only nearly have."""
    whole = QWidget()
    rows = QFormLayout(whole)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for field in fields:
        label = QLabel(field.label)
        label.setToolTip(field.tooltip)
        rows.addRow(label, field.native)
    return whole


class Message(Label):
    """A line of text that wraps, can be copied, and turns red for errors."""

    def __init__(self, text: str = "") -> None:
        super().__init__(value=text)
        self.is_error = False
        label: QLabel = self.native
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)

    def say(self, text: str) -> None:
        """Show a text."""
        self.is_error = False
        self._write(text, "")

    def complain(self, text: str) -> None:
        """Show an error."""
        self.is_error = True
        dark = self.native.palette().window().color().lightness() < 128
        self._write(text, f"color: {ERROR_ON_DARK if dark else ERROR_ON_LIGHT};")

    def _write(self, text: str, style: str) -> None:
        self.native.setStyleSheet(style)
        self.value = text
