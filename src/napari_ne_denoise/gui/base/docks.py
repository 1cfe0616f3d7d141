"""What docks are made of: fields with labels in a column, what is folded away, and a line of text that wraps."""

from magicgui.widgets import Label
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QVBoxLayout, QWidget

NO_IMAGE = "Open an image, or File ▸ Open Sample."

WIDTH = 300  # pixels; napari's own docks are about as wide

ERROR_ON_DARK, ERROR_ON_LIGHT = "#ff6b63", "#b3261e"


def form(*fields: ValueWidget) -> "Rows":
    """Fields below each other, with their labels in a column of their own, which magicgui's rows only nearly have."""
    rows = Rows()
    for field in fields:
        rows.add(field.label, field.native, str(field.tooltip))
    return rows


def side_by_side(*parts: QWidget) -> QWidget:
    """Widgets beside each other."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)
    return row


class Rows(QWidget):
    """Fields below each other, each with its label, which can be hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[QLabel] = []
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def add(self, text: str, field: QWidget, tooltip: str) -> None:
        """Add a field below the others."""
        label = QLabel(text)
        label.setToolTip(tooltip)
        self.labels.append(label)
        self._rows.addRow(label, field)

    def align_with(self, other: "Rows") -> None:
        """Give the labels of both the same width, so that their fields begin below each other."""
        labels = [*self.labels, *other.labels]
        width = max(label.sizeHint().width() for label in labels)
        for label in labels:
            label.setMinimumWidth(width)

    def show_row(self, field: QWidget, shown: bool) -> None:
        """Show or hide a field and its label."""
        label = self._rows.labelForField(field)
        assert label is not None
        for part in (label, field):
            part.setVisible(shown)


class Fold(QWidget):
    """What is folded away below a line of text, until that is clicked."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, tooltip: str) -> None:
        super().__init__()
        self._title, self.content = title, content
        self.head = QToolButton()
        self.head.setCheckable(True)
        self.head.setToolTip(tooltip)
        self.head.setStyleSheet("QToolButton { border: none; background: transparent; padding: 2px 0px; }")
        self.head.toggled.connect(self._show)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.head, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(content)
        self._show(False)

    def rename(self, title: str) -> None:
        """Change the line of text."""
        self._title = title
        self.head.setText(f"{'▾' if self.head.isChecked() else '▸'} {title}")

    def _show(self, unfolded: bool) -> None:
        self.content.setVisible(unfolded)
        self.rename(self._title)
        self.toggled.emit(unfolded)


def show_progress(bar: QProgressBar, value: int, text: str) -> None:
    """Set a bar and its text at once: each alone is drawn at once, and with it the whole window where there is an OpenGL canvas."""
    bar.setUpdatesEnabled(False)
    bar.setFormat(text)
    bar.setValue(value)
    bar.setUpdatesEnabled(True)


def error_colour(widget: QWidget) -> str:
    """A red that is read on what is behind a widget."""
    return ERROR_ON_DARK if widget.palette().window().color().lightness() < 128 else ERROR_ON_LIGHT


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
        self._write(text, f"color: {error_colour(self.native)};")

    def _write(self, text: str, style: str) -> None:
        # Qt looks at the style of all that is around a label again, even where it stays: too slow for what follows the mouse
        if style != self.native.styleSheet():
            self.native.setStyleSheet(style)
        if text != self.value:
            self.value = text
