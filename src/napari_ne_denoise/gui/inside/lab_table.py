"""What each normalisation does to the results of two networks, as a table."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem

from napari_ne_denoise.core.normalisations import NORMALISATIONS, NormalisationDifference
from napari_ne_denoise.gui.base.docks import WIDTH

if TYPE_CHECKING:
    from napari_ne_denoise.core.normalisation_study import NormalisationStudy

REFERENCE, REFERENCE_TIP = "–", "The others are compared with this one, which the ordinary network was trained with."
RANGE = "min–max to "  # of the names that tables say without it
SMALL = 1e-3  # of the noise
NARROW = WIDTH - 34  # pixels; what the margins and the bar of a dock leave of the width that docks have
HEAD = "Root of the mean squared difference from the first row, in image units;\nin brackets in standard deviations σ of the noise."


class LabTable(QTableWidget):
    """A row for each normalisation; empty cells until `show_study`."""

    def __init__(self) -> None:
        super().__init__(len(NORMALISATIONS), 3)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(False)
        down, across = self.verticalHeader(), self.horizontalHeader()
        assert down is not None
        assert across is not None
        down.hide()
        down.setDefaultSectionSize(self.fontMetrics().height() + 6)
        down.setMinimumSectionSize(1)
        across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.clear_study()

    def sizeHint(self) -> QSize:
        """As high as its rows."""
        across = self.horizontalHeader()
        assert across is not None
        height = across.sizeHint().height() + sum(self.rowHeight(row) for row in range(self.rowCount())) + 2
        return QSize(NARROW, height)

    def minimumSizeHint(self) -> QSize:
        """The same."""
        return self.sizeHint()

    def show_study(self, study: "NormalisationStudy") -> None:
        """Show what was found."""
        self._write_head([network.name for network in study.networks])
        for column, network in enumerate(study.networks, start=1):
            for row, found in enumerate(network.differences):
                text, tip = (_cell(found, study.noise), _tip(found, study.noise)) if row else (REFERENCE, REFERENCE_TIP)
                self._write(row, column, text, tip)

    def clear_study(self) -> None:
        """Show the names of the normalisations, and nothing of them."""
        self._write_head(["ordinary", "ours"])
        for row, normalisation in enumerate(NORMALISATIONS):
            self._write(row, 0, normalisation.name.removeprefix(RANGE), normalisation.meaning)
            for column in (1, 2):
                self._write(row, column, "", "")

    def text(self, row: int, column: int) -> str:
        """What a cell says."""
        item = self.item(row, column)
        return "" if item is None else item.text()

    def _write_head(self, networks: list[str]) -> None:
        first = "normalised by", "How the image is mapped before the network, and back after it"
        for column, (text, tip) in enumerate([first, *((name, HEAD) for name in networks)]):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(column, item)

    def _write(self, row: int, column: int, text: str, tip: str) -> None:
        item = QTableWidgetItem(text)
        item.setToolTip(tip)
        self.setItem(row, column, item)


def in_image_units(value: float) -> str:
    """A difference as people read it, such as "8.7e-11", "7.81" or "5,583"."""
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _cell(found: NormalisationDifference, noise: float) -> str:
    if not noise or found.rms < SMALL * noise:
        return in_image_units(found.rms)
    return f"{found.rms:.2g} ({found.rms / noise:.2g} σ)"


def _tip(found: NormalisationDifference, noise: float) -> str:
    lines = [("Root of the mean squared difference", found.rms), ("Largest difference", found.largest)]
    compared = [f", {value / noise:.2g} times the noise" if noise else "" for _, value in lines]
    return "\n".join(f"{what}: {in_image_units(value)}{more}" for (what, value), more in zip(lines, compared, strict=True))
