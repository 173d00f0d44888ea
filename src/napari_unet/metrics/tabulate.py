"""Scores as a table: for the eye, for the clipboard, for a file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.metrics.pixels import PIXEL_SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping

Cell = str | int | float | None

OBJECT_SCORES = ("threshold", "tp", "fp", "fn", "precision", "recall", "f1", "ap", "pq")
REGRESSION_SCORES = ("mse", "rmse", "mae")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words and numbers under named columns; None is what is not defined."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def tabulate(result: Mapping[str, Any]) -> Table:
    """Lay the scores out in rows.

    Parameters
    ----------
    result : dict
        What `evaluate` returns, or one of the results in what `evaluate_many` returns.

    Returns
    -------
    Table
        Of classes, one row for each class and their mean; of instances, one for each smallest
        overlap, with `seg`, which knows none, the same in all; of regression and isbi, one for
        each measure.
    """
    match result["kind"]:
        case "classes":
            named = [*result["classes"].items(), ("mean", result["mean"])]
            rows = [(name, *_pick(scores, PIXEL_SCORES)) for name, scores in named]
            return Table(("class", *PIXEL_SCORES), tuple(rows))
        case "instances":
            rows = [(*_pick(row, OBJECT_SCORES), result["seg"]) for row in result["objects"]]
            return Table((*OBJECT_SCORES, "seg"), tuple(rows))
        case "regression":
            rows = [(name, result[name]) for name in REGRESSION_SCORES]
            return Table(("measure", "value"), tuple(rows))
        case _:
            parts = (result, result["pooled"], result["threshold"])
            rows = [(name, *(part[name] for part in parts)) for name in result["pooled"]]
            return Table(("measure", "value", "pooled", "threshold"), tuple(rows))


def _pick(scores: Mapping[str, Cell], names: tuple[str, ...]) -> tuple[Cell, ...]:
    return tuple(scores[name] for name in names)


def to_csv(table: Table) -> str:
    """Return the table as comma-separated lines, numbers in full precision, None as nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()
