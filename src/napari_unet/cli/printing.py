"""What commands print on stdout: one JSON document, or tables for the eye."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_unet.metrics.tabulate import Table

NOTHING = "-"  # stands for None
DIGITS = 4


def print_json(value: Any, indent: int | None = None) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, indent=indent, allow_nan=False))


def print_table(table: Table) -> None:
    """Print rows below the names of their columns, words to the left and numbers to the right."""
    lines = [table.columns, *([in_words(cell) for cell in row] for row in table.rows)]
    worded = [any(isinstance(cell, str) for cell in column) for column in _turn(table.rows)]
    print_lines(lines, worded or [True] * len(table.columns))


def print_lines(lines: Iterable[Sequence[str]], worded: Sequence[bool]) -> None:
    """Print lines of text in columns: those that are `worded` to the left, others to the right."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in _turn(lines)]
    for line in lines:
        cells = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, worded, strict=True)
        ]
        print("  ".join(cells).rstrip())


def in_words(cell: str | int | float | None) -> str:
    """Write a number with four significant digits, and None as a dash."""
    if cell is None:
        return NOTHING
    return f"{cell:.{DIGITS}g}" if isinstance(cell, float) else str(cell)


def _turn(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return the columns of rows of equal length."""
    return list(zip(*rows, strict=True))
