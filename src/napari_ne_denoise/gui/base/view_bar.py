"""The buttons that choose how two layers are looked at."""

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget


class ViewBar(QWidget):
    """Buttons beside each other, of which one at most is down; the first one says when it is pressed and let go.

    Parameters
    ----------
    views
        The tooltip of each button, by its text.
    """

    chosen = Signal(str)  # "" if none
    pressed = Signal()
    released = Signal()

    def __init__(self, views: Mapping[str, str]) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.buttons = {text: QPushButton(text) for text in views}
        for number, (text, button) in enumerate(self.buttons.items()):
            button.setToolTip(views[text])
            button.setCheckable(True)
            row.addWidget(button, 1)
            if number:
                button.clicked.connect(lambda down, text=text: self.chosen.emit(text if down else ""))
            else:
                button.pressed.connect(self.pressed)
                button.released.connect(self.released)

    def show_chosen(self, chosen: str) -> None:
        """Let one button be down, and the others up; none for ""."""
        for text, button in self.buttons.items():
            button.setChecked(text == chosen)
