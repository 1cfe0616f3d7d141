"""What docks are made of: fields with labels in a column, and a line of text that wraps."""

from magicgui.widgets import Label
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QWidget

NO_IMAGE = "Open an image, or File ▸ Open Sample."

WIDTH = 300  # pixels; napari's own docks are about as wide

ERROR_ON_DARK, ERROR_ON_LIGHT = "#ff6b63", "#b3261e"


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
