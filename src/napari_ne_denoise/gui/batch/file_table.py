"""A table of files and of what becomes of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QItemSelection, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QColor, QDragEnterEvent, QDragMoveEvent, QDropEvent, QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_ne_denoise.core.batch.events import FAILED
from napari_ne_denoise.gui.base.docks import error_colour

COLUMNS = ("File", "State", "Noise", "Quality", "Time")
EXPLANATIONS = (
    "The image, and if another has the same name, what stands for it in the name of its result.\nDouble-click, or Enter, opens both.",
    "waiting, share done, done, skipped (its result is there already), cancelled, or failed: click the file to see why",
    "Standard deviation of the noise at a middle brightness, in image units; the tooltip says of what kind it is",
    "Estimated PSNR, in dB, without knowing the truth; the tooltip says more, and whether structure was removed",
    "Of reading, denoising and writing",
)
FILE, STATE, NOISE, QUALITY, TIME = range(len(COLUMNS))
FOUND = (NOISE, QUALITY, TIME)  # columns that are shown when there is something in them: until then, names have their room
CROWDED = 340  # pixels; a narrower table that shows all columns would have no room for names
ROWS_AT_LEAST, ROW_HEIGHT = 3, 22  # the second in pixels
ROWS_MEASURED = 50  # for the widths of columns; more of them would take long in a table of thousands


@dataclass
class Row:
    """One file.

    Attributes
    ----------
    path
        Of the file.
    cells
        Text and tooltip by column, of those that have any.
    """

    path: Path
    cells: dict[int, tuple[str, str]] = field(default_factory=dict)


class FileModel(QAbstractTableModel):
    """Rows of files; thousands of them cost nothing until they are seen.

    Parameters
    ----------
    colour_of_failures
        Gives the colour in which it is written that a file failed.
    """

    def __init__(self, colour_of_failures: Callable[[], str]) -> None:
        super().__init__()
        self._colour_of_failures = colour_of_failures
        self.rows: list[Row] = []

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many files there are."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """How many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text and tooltip of a cell, and its colour if that is another; the tooltip is the text, unless there is another."""
        text, tooltip = self.rows[index.row()].cells.get(index.column(), ("", ""))
        if role == Qt.ItemDataRole.ForegroundRole and (index.column(), text) == (STATE, FAILED):
            return QColor(self._colour_of_failures())
        return _of_role(role, text, tooltip or text)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Title of a column, and what is in it."""
        if orientation == Qt.Orientation.Vertical:
            return None
        return _of_role(role, COLUMNS[section], EXPLANATIONS[section])

    def show_files(self, paths: Sequence[Path], name: Callable[[int], tuple[str, str]]) -> None:
        """Show these files; what was said of those that stay is kept.

        Parameters
        ----------
        paths
            The files.
        name
            Gives text and tooltip for the file of a number.
        """
        self.beginResetModel()
        known = {row.path: row for row in self.rows}
        self.rows = [known.get(path) or Row(path) for path in paths]
        for number, row in enumerate(self.rows):
            row.cells[FILE] = name(number)
        self.endResetModel()

    def write(self, row: int, column: int, text: str, tooltip: str) -> None:
        """Write into a cell."""
        self.rows[row].cells[column] = (text, tooltip)
        place = self.index(row, column)
        self.dataChanged.emit(place, place)


class FileTable(QTableView):
    """Files below each other; takes files and folders that are dropped on it, and tells of others being chosen, and of Enter and Delete."""

    dropped = Signal(list)
    chosen = Signal()
    opened = Signal(int)
    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._files, self._found = FileModel(lambda: error_colour(self)), set[int]()
        self.setModel(self._files)
        header: Any = self.horizontalHeader()
        header.setResizeContentsPrecision(ROWS_MEASURED)
        for column in range(len(COLUMNS)):
            resizing = QHeaderView.ResizeMode.Stretch if column == FILE else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, resizing)
        header.setMinimumSectionSize(24)
        rows: Any = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)  # who comes here with Tab can leave with it; arrows go from file to file
        self.setAcceptDrops(True)
        self.show_files([], lambda _: ("", ""))
        self.setMinimumHeight((ROWS_AT_LEAST + 1) * ROW_HEIGHT)

    def sizeHint(self) -> QSize:
        """Low: the table takes the height that nothing else needs, and a dock that scrolls gives all of it what it asks for."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def show_files(self, files: Sequence[Path], name: Callable[[int], tuple[str, str]]) -> None:
        """Show these files, called what `name` says of each number: text and tooltip; what was said of those that stay is kept."""
        self._files.show_files(files, name)
        self._found = {column for column in FOUND if any(column in row.cells and row.cells[column][0] for row in self._files.rows)}
        self._show_columns()
        self.chosen.emit()  # none is, now

    def show_in(self, row: int, column: int, text: str, tooltip: str = "") -> None:
        """Write into a cell; the tooltip is the text, unless there is another."""
        self._files.write(row, column, text, tooltip)
        if text and column in FOUND and column not in self._found:
            self._found.add(column)
            self._show_columns()

    def _show_columns(self) -> None:
        """Those in which something was found; the time, which is in the tooltip of the state too, where names keep room beside it."""
        is_crowded = self._found == set(FOUND) and self.width() < CROWDED
        for column in FOUND:
            self.setColumnHidden(column, column not in self._found or (column == TIME and is_crowded))

    def show_row(self, row: int) -> None:
        """Scroll to a row."""
        self.scrollTo(self._files.index(row, FILE))

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self._files.rows)

    def text(self, row: int, column: int) -> str:
        """What a cell says."""
        return self._files.rows[row].cells.get(column, ("", ""))[0]

    def explanation(self, row: int, column: int) -> str:
        """What the tooltip of a cell says."""
        return str(self._files.data(self._files.index(row, column), Qt.ItemDataRole.ToolTipRole))

    def chosen_rows(self) -> list[int]:
        """Numbers of the selected rows, in order."""
        return sorted({index.row() for index in self.selectedIndexes()})

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        """Tell of it."""
        super().selectionChanged(selected, deselected)
        self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter opens a file, Delete takes those that are chosen out of the table."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex().row())
        elif event is not None and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.chosen_rows():
            self.removed.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """In another width there may be room for another column."""
        super().resizeEvent(event)
        self._show_columns()

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


def _of_role(role: int, text: str, tooltip: str) -> str | None:
    if role == Qt.ItemDataRole.DisplayRole:
        return text
    return tooltip if role == Qt.ItemDataRole.ToolTipRole else None


def _accept(event: QDropEvent | None) -> list[Path]:
    """Take what is dragged if it is files; these."""
    data = None if event is None else event.mimeData()
    if event is None or data is None or not data.hasUrls():
        return []
    event.acceptProposedAction()
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
