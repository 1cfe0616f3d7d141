"""Names and values below each other."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

NO_VALUE = "–"


class _Still(QGridLayout):
    """Rows that stay where they are while values change."""

    is_still = False

    def invalidate(self) -> None:
        """Ask for a new layout, unless nothing needs one."""
        # a new text asks for a layout of everything up to the window, which is then drawn again in as many steps
        if not self.is_still:
            super().invalidate()


class Readout(QWidget):
    """Names and values in two columns; rows without a value are hidden.

    Parameters
    ----------
    rows
        What each name means, as a tooltip.
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        super().__init__()
        self._grid = grid = _Still(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        self._rows = {name: (QLabel(name), QLabel(NO_VALUE)) for name in rows}
        for number, (name, pair) in enumerate(self._rows.items()):
            for column, label in enumerate(pair):
                label.setToolTip(rows[name])
                grid.addWidget(label, number, column, Qt.AlignmentFlag.AlignTop)
            pair[1].setWordWrap(True)
            pair[1].setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_values(self, values: Mapping[str, str]) -> None:
        """Show these values."""
        self._grid.is_still = True
        for name, value in values.items():
            if value != self.value(name):
                self._rows[name][1].setText(value)
        self._grid.is_still = False
        if not all(self._has_room(*self._rows[name], value) for name, value in values.items()):
            for name, value in values.items():
                for label in self._rows[name]:
                    label.setVisible(bool(value))
            self._grid.invalidate()

    @staticmethod
    def _has_room(name: QLabel, label: QLabel, value: str) -> bool:
        """Whether a row is shown if it has a value, and as high as that needs."""
        if not value or name.isHidden():
            return bool(value) != name.isHidden()
        return bool(label.heightForWidth(label.width()) == label.height())

    def is_hidden(self, name: str) -> bool:
        """Whether a row is not shown."""
        return bool(self._rows[name][1].isHidden())

    def value(self, name: str) -> str:
        """What a row says."""
        return str(self._rows[name][1].text())
