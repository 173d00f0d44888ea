"""A table sorts what it shows and gives back what it was given, digit by digit."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unet.ui.table import TableView

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

COLUMNS = ("name", "n", "score")
ROWS = (("b", 10, 1 / 3), ("a", 9, None), ("c", 100, 0.25), ("d", -2, 1e-9))


@pytest.fixture
def table(qtbot: QtBot) -> TableView:
    view = TableView()
    qtbot.addWidget(view)
    view.resize(500, 300)
    view.show_table(COLUMNS, ROWS)
    view.show()
    return view


def click_header(qtbot: QtBot, table: TableView, column: int) -> None:
    header = table.view.horizontalHeader()
    at = header.sectionViewportPosition(column) + header.sectionSize(column) // 2
    where = header.viewport().rect().center()
    where.setX(at)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=where)


def shown(table: TableView) -> list[list[str]]:
    model = table.view.model()
    return [
        [model.index(row, column).data() for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def test_it_begins_in_the_order_that_was_given(table: TableView) -> None:
    assert table.table.columns == COLUMNS
    assert table.table.rows == ROWS
    assert shown(table) == [
        ["b", "10", "0.3333"],
        ["a", "9", "-"],
        ["c", "100", "0.25"],
        ["d", "-2", "1e-09"],
    ]


@pytest.mark.parametrize(
    ("column", "up", "down"),
    [(0, "abcd", "dcba"), (1, "dabc", "cbad"), (2, "dcba", "bcda")],
    ids=["text", "whole", "unknown last"],
)
def test_a_click_sorts_and_another_turns_round(
    qtbot: QtBot, table: TableView, column: int, up: str, down: str
) -> None:
    for order in (up, down):
        click_header(qtbot, table, column)
        assert "".join(str(row[0]) for row in table.table.rows) == order


def test_new_rows_keep_the_chosen_order_and_other_columns_do_not(
    qtbot: QtBot, table: TableView
) -> None:
    click_header(qtbot, table, 1)
    table.show_table(COLUMNS, [*ROWS, ("e", 50, 0.5)])
    assert [row[1] for row in table.table.rows] == [-2, 9, 10, 50, 100]
    table.show_table(("x",), [(3,), (1,), (2,)])
    assert table.table.rows == ((3,), (1,), (2,))


def test_copies_have_all_digits_in_the_order_shown(qtbot: QtBot, table: TableView) -> None:
    click_header(qtbot, table, 2)
    qtbot.mouseClick(table.copy_button, Qt.MouseButton.LeftButton)
    lines = [line.split("\t") for line in QApplication.clipboard().text().split("\n")]
    assert lines[0] == list(COLUMNS)
    assert [float(line[2]) for line in lines[1:4]] == [1e-9, 0.25, 1 / 3]
    assert lines[4] == ["a", "9", ""]


def test_control_c_copies_the_selected_rows(qtbot: QtBot, table: TableView) -> None:
    with qtbot.waitExposed(table):
        table.activateWindow()
    table.view.setFocus()
    table.view.selectRow(2)
    qtbot.waitUntil(table.view.hasFocus)
    qtbot.keyClick(table.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: QApplication.clipboard().text() == "name\tn\tscore\nc\t100\t0.25")


def test_a_file_holds_what_is_shown(
    qtbot: QtBot, table: TableView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click_header(qtbot, table, 0)
    qtbot.mouseClick(table.save_button, Qt.MouseButton.LeftButton)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [row[0] for row in rows] == list("abcd")
    assert [row[2] for row in rows] == ["", repr(1 / 3), "0.25", "1e-09"]


def test_a_file_that_cannot_be_written_is_told(
    qtbot: QtBot, table: TableView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "scores.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    with qtbot.waitSignal(table.refused) as told:
        table.save_button.click()
    assert told.args[0].code == "U130"


def test_a_click_names_the_row_as_it_was_given(qtbot: QtBot, table: TableView) -> None:
    click_header(qtbot, table, 1)
    cell = table.view.visualRect(table.view.model().index(0, 0)).center()
    with qtbot.waitSignal(table.picked) as told:
        qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert ROWS[told.args[0]][0] == "d"


def test_without_rows_there_is_nothing_to_copy(table: TableView) -> None:
    table.show_table(COLUMNS, ())
    assert not table.copy_button.isEnabled()
    assert not table.save_button.isEnabled()
