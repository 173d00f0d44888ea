"""A table of numbers: sort by a click, copy, save as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_unet.arrays.writing import atomic_write
from napari_unet.config import StorageError
from napari_unet.metrics.tabulate import Table, to_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_unet.metrics.tabulate import Cell

NOTHING = "-"  # what stands for None
DIGITS = 4  # on the screen; copies and files have all
HEIGHT_PX = 160
MEASURED = 50  # rows whose texts decide how wide a column is
ROLE = Qt.ItemDataRole
DESCENDING = Qt.SortOrder.DescendingOrder
NO_INDEX = QModelIndex()


class TableView(QWidget):
    """Rows below the names of their columns, with buttons to copy and to save them."""

    picked = Signal(int)  # a row was clicked: its place in the rows that were given
    refused = Signal(Exception)  # the file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Rows(self)
        self.view = QTableView()
        self.copy_button = QPushButton("Copy")
        self.save_button = QPushButton("Save as CSV…")
        self._compose()
        self.view.clicked.connect(self._on_clicked)
        self.copy_button.clicked.connect(self._on_copy)
        self.save_button.clicked.connect(self._on_save)
        QShortcut(
            QKeySequence.StandardKey.Copy,
            self.view,
            activated=self._on_copy_selected,
            context=Qt.ShortcutContext.WidgetShortcut,
        )
        self.show_table((), ())

    @property
    def table(self) -> Table:
        """What is shown, in the order in which it is shown."""
        return self._pick(range(self._model.rowCount()))

    def show_table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Show rows in place of those before; the chosen order stays if the columns do.

        Parameters
        ----------
        columns : sequence of str
            Their names.
        rows : sequence of rows
            Text, numbers, or None where nothing is known; one entry for each column.
        """
        alike = tuple(columns) == self._model.columns
        self._model.fill(tuple(columns), tuple(map(tuple, rows)))
        if not alike:
            self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as given
        self.view.resizeColumnsToContents()
        for button in (self.copy_button, self.save_button):
            button.setEnabled(bool(rows))

    def save(self, path: Path) -> None:
        """Write what is shown, with all digits; raises StorageError U130 or U134."""
        atomic_write(path, to_csv(self.table).encode())

    def _compose(self) -> None:
        self.view.setModel(self._model)
        self.view.setSortingEnabled(True)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.verticalHeader().hide()
        header = self.view.horizontalHeader()
        header.setToolTip("Click to sort, again to turn the order round.")
        header.setResizeContentsPrecision(MEASURED)
        self.view.setMinimumHeight(HEIGHT_PX)
        self.copy_button.setToolTip("Copy all rows as text; Ctrl+C copies those selected.")
        self.save_button.setToolTip("Write all rows, with all digits.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.save_button)
        buttons.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        column.addLayout(buttons)

    def _pick(self, shown: Iterable[int]) -> Table:
        """Return some rows by where they stand on the screen."""
        model = self._model
        return Table(model.columns, tuple(model.rows[model.order[k]] for k in shown))

    def _on_clicked(self, index: QModelIndex) -> None:
        self.picked.emit(self._model.order[index.row()])

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(_tabbed(self.table))

    def _on_copy_selected(self) -> None:
        chosen = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        if chosen:
            QApplication.clipboard().setText(_tabbed(self._pick(chosen)))

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the table", "table.csv", "CSV (*.csv)")
        if not name:
            return
        try:
            self.save(Path(name))
        except StorageError as error:
            self.refused.emit(error)


class _Rows(QAbstractTableModel):
    """The rows as Qt asks for them, in the order of a column."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.columns: tuple[str, ...] = ()
        self.rows: tuple[tuple[Cell, ...], ...] = ()
        self.order: list[int] = []  # which row stands where
        self._by = -1, Qt.SortOrder.AscendingOrder

    def fill(self, columns: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...]) -> None:
        """Replace everything but the order, as far as there is such a column."""
        self.columns, self.rows = columns, rows
        self.sort(*self._by)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order the rows by a column, what is unknown last; -1: as they were given."""
        self.beginResetModel()
        self._by = column, order
        self.order = list(range(len(self.rows)))
        if 0 <= column < len(self.columns):
            cells = [row[column] for row in self.rows]
            self.order.sort(key=lambda k: _rank(cells[k]), reverse=order == DESCENDING)
            self.order.sort(key=lambda k: cells[k] is None)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = NO_INDEX) -> int:
        """Return how many rows there are."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = NO_INDEX) -> int:
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int) -> Any:
        """Return the name of a column."""
        if role == ROLE.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.columns[section]
        return super().headerData(section, orientation, role)

    def data(self, index: QModelIndex, role: int = ROLE.DisplayRole) -> Any:
        """Return the text of a cell, all its digits as a tip, or where it is aligned."""
        cell = self.rows[self.order[index.row()]][index.column()]
        if role == ROLE.DisplayRole:
            return _short(cell)
        if role == ROLE.ToolTipRole:
            return _full(cell)
        if role == ROLE.TextAlignmentRole and not isinstance(cell, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


def _rank(cell: Cell) -> tuple[bool, float, str]:
    """Order cells: numbers by size, then text by alphabet."""
    return (True, 0.0, cell) if isinstance(cell, str) else (False, float(cell or 0), "")


def _short(cell: Cell) -> str:
    return f"{cell:.{DIGITS}g}" if isinstance(cell, float) else _full(cell) or NOTHING


def _full(cell: Cell) -> str:
    return "" if cell is None else str(cell)


def _tabbed(table: Table) -> str:
    """Write a table as spreadsheets paste it."""
    lines = (table.columns, *(map(_full, row) for row in table.rows))
    return "\n".join("\t".join(line) for line in lines)
