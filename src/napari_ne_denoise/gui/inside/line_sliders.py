"""Two sliders that choose a scale and a shift."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSlider, QToolButton, QWidget

from napari_ne_denoise.gui.base.boxes import ignore_wheel
from napari_ne_denoise.gui.inside.lab_work import Line

STEPS = 100  # of a slider for a factor of ten, or for a shift by one
DECADES, FARTHEST = 3, 5


class LineSliders(QWidget):
    """λ and μ of y ↦ λy + μ; it says when one was moved."""

    moved = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.scale = _slider(DECADES * STEPS, "λ: how wide the range is that the image is mapped to.")
        self.shift = _slider(FARTHEST * STEPS, "μ: where that range begins.")
        self.reset = QToolButton()
        self.reset.setText("Back to [0, 1]")
        self.reset.setToolTip("λ = 1 and μ = 0: the range that the ordinary network was trained with.")
        self._values = QLabel(), QLabel()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, (name, slider, value) in enumerate(zip("λμ", (self.scale, self.shift), self._values, strict=True)):
            label = QLabel(name)
            label.setToolTip(slider.toolTip())
            grid.addWidget(label, row, 0)
            grid.addWidget(slider, row, 1)
            grid.addWidget(value, row, 2)
            value.setMinimumWidth(value.fontMetrics().horizontalAdvance("−1000.00"))
            slider.valueChanged.connect(self._tell)
        grid.addWidget(self.reset, 2, 1, 1, 2, Qt.AlignmentFlag.AlignRight)
        self.reset.clicked.connect(self._go_back)
        self._show()

    @property
    def line(self) -> Line:
        """What is chosen."""
        return Line(10 ** (self.scale.value() / STEPS), self.shift.value() / STEPS)

    def _go_back(self) -> None:
        self.scale.setValue(0)
        self.shift.setValue(0)

    def _tell(self, *_: object) -> None:
        self._show()
        self.moved.emit()

    def _show(self) -> None:
        for label, value in zip(self._values, (self.line.scale, self.line.shift), strict=True):
            label.setText(f"{value:.3g}".replace("-", "−"))


def _slider(farthest: int, tooltip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(-farthest, farthest)
    slider.setPageStep(STEPS // 4)
    slider.setToolTip(tooltip)
    ignore_wheel(slider)
    return slider
