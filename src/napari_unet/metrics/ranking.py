"""Several networks scored on the same images: rows of numbers as one table."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_unet.metrics.tabulate import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DECISIVE: Mapping[str, int] = MappingProxyType({"dice": 1, "mae": -1})  # 1: more is better


def rank_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Set one row for each network; what one of them lacks is None.

    Parameters
    ----------
    rows : sequence of mappings
        Name of the column -> text, number or None; columns come in the order in which they
        first appear.
    """
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, tuple(tuple(row.get(name) for name in columns) for row in rows))


def best_row(rows: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    """Find the best row: the highest Dice, or the lowest MAE where there is no Dice.

    Returns
    -------
    tuple of str and int, or None
        Which score decided and which row it is; the first of equals. None where no row has one.
    """
    for score, sign in DECISIVE.items():
        held = [k for k, row in enumerate(rows) if row.get(score) is not None]
        if held:
            return score, max(held, key=lambda k: sign * rows[k][score])
    return None
