"""A table of files and of what becomes of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

COLUMNS = ("File", "State", "Noise", "Quality", "Time")
EXPLANATIONS = (
    "The image, and if another has the same name, what stands for it in the name of its result. Double-click opens both.",
    "waiting, share done, done, skipped (its result is there already), or failed: the tooltip says why",
    "Standard deviation of the noise at a middle brightness, in image units; the tooltip says of what kind it is",
    "Estimated PSNR, in dB, without knowing the truth; the tooltip says more, and whether structure was removed",
    "Of reading, denoising and writing",
)
FILE, STATE, NOISE, QUALITY, TIME = range(len(COLUMNS))
FOUND = (NOISE, QUALITY, TIME)  # columns that are shown when there is something in them: until then, names have their room
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
    """Rows of files; thousands of them cost nothing until they are seen."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many files there are."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """How many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text and tooltip of a cell; the tooltip is the text, unless there is another."""
        text, tooltip = self.rows[index.row()].cells.get(index.column(), ("", ""))
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
    """Files below each other; takes files and folders that are dropped on it."""

    dropped = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self._files = FileModel()
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
        for column in FOUND:
            self.setColumnHidden(column, not any(column in row.cells and row.cells[column][0] for row in self._files.rows))

    def show_in(self, row: int, column: int, text: str, tooltip: str = "") -> None:
        """Write into a cell; the tooltip is the text, unless there is another."""
        self._files.write(row, column, text, tooltip)
        if text and self.isColumnHidden(column):
            self.showColumn(column)

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
