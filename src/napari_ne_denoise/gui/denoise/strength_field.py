"""A slider for the strength of denoising, in percent."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QSlider, QSpinBox, QWidget

from napari_ne_denoise.gui.base.boxes import ignore_wheel

TOOLTIP = (
    "How much of what denoising changes is changed, in percent: result = image + strength · (denoised − image).\n"
    "Below 100 % where the result is too smooth. It acts on a finished result at once, without denoising again;\n"
    "0 % is the noisy image."
)


class StrengthField(QWidget):
    """A slider and a number, both from 0 to 100 %."""

    moved = Signal()  # by the user or by a program

    def __init__(self) -> None:
        super().__init__()
        self.slider, self.number = QSlider(Qt.Orientation.Horizontal), QSpinBox()
        self.number.setSuffix(" %")
        self.number.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.number.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.number.setFixedWidth(56)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.slider, self.number):
            part.setRange(0, 100)
            part.setValue(100)
            part.setToolTip(TOOLTIP)
            ignore_wheel(part)
            row.addWidget(part)
        self.slider.setPageStep(10)
        self.slider.valueChanged.connect(self.number.setValue)
        self.number.valueChanged.connect(self.slider.setValue)
        self.slider.valueChanged.connect(lambda _: self.moved.emit())

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return int(self.slider.value()) / 100

    def show_share(self, share: float) -> None:
        """Show a strength without telling anybody."""
        for part in (self.slider, self.number):
            blocked = part.blockSignals(True)
            part.setValue(round(100 * share))
            part.blockSignals(blocked)
