"""A table of files and of what becomes of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

COLUMNS = ("File", "State", "Noise", "Time")
EXPLANATIONS = (
    "Double-click opens the image, and its result if there is one.",
    "waiting, share done, done, skipped (its result is there already), or failed: the tooltip says why",
    "Standard deviation of the noise at a middle brightness, in image units; the tooltip says of what kind it is",
    "Of reading, denoising and writing",
)
FILE, STATE, NOISE, TIME = range(len(COLUMNS))
ROWS_SHOWN, ROW_HEIGHT = 8, 22  # the second in pixels


class FileTable(QTableWidget):
    """Files below each other; takes files and folders that are dropped on it."""

    dropped = Signal(list)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        header: Any = self.horizontalHeader()
        for column, (name, text) in enumerate(zip(COLUMNS, EXPLANATIONS, strict=True)):
            item = QTableWidgetItem(name)
            item.setToolTip(text)
            self.setHorizontalHeaderItem(column, item)
            resizing = QHeaderView.ResizeMode.Stretch if column == FILE else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, resizing)
        rows: Any = self.verticalHeader()
        rows.hide()
        rows.setDefaultSectionSize(ROW_HEIGHT)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setAcceptDrops(True)
        self.setMinimumHeight((ROWS_SHOWN + 1) * ROW_HEIGHT)

    def show_files(self, files: Sequence[Path]) -> None:
        """Show these files, none of which was looked at yet."""
        self.setRowCount(len(files))
        for row, path in enumerate(files):
            self.show_in(row, FILE, path.name, str(path))
            for column in (STATE, NOISE, TIME):
                self.show_in(row, column, "")

    def show_in(self, row: int, column: int, text: str, tooltip: str = "") -> None:
        """Write into a cell; the tooltip is the text, unless there is another."""
        item = QTableWidgetItem(text)
        item.setToolTip(tooltip or text)
        self.setItem(row, column, item)

    def text(self, row: int, column: int) -> str:
        """What a cell says."""
        item = self.item(row, column)
        return "" if item is None else str(item.text())

    def chosen_rows(self) -> list[int]:
        """Numbers of the selected rows, in order."""
        return sorted({index.row() for index in self.selectedIndexes()})

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files."""
        _accept(event)

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Take files, wherever they are over the table."""
        _accept(event)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell which files and folders were dropped."""
        if paths := _accept(event):
            self.dropped.emit(paths)


def _accept(event: QDropEvent | None) -> list[Path]:
    """Take what is dragged if it is files; these."""
    data = None if event is None else event.mimeData()
    if event is None or data is None or not data.hasUrls():
        return []
    event.acceptProposedAction()
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
