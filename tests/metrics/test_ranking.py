"""Rows of several networks as one table, and the best of them."""

from __future__ import annotations

from napari_unet.metrics.ranking import best_row, rank_table

ROWS = [{"architecture": "a", "dice": 0.5, "steps": 3}, {"architecture": "b", "failed": "why"}]


def test_columns_come_as_they_first_appear_and_gaps_are_none() -> None:
    table = rank_table(ROWS)
    assert table.columns == ("architecture", "dice", "steps", "failed")
    assert table.rows == (("a", 0.5, 3, None), ("b", None, None, "why"))
    assert rank_table([]).rows == ()


def test_the_best_has_the_highest_dice_or_the_smallest_error() -> None:
    assert best_row(ROWS) == ("dice", 0)
    assert best_row([{"dice": None}, {"dice": 0.1}, {"dice": 0.2}, {"dice": 0.2}]) == ("dice", 2)
    assert best_row([{"mae": 3.0, "mse": 1.0}, {"mae": 2.0, "mse": 9.0}]) == ("mae", 1)
    assert best_row([{"failed": "why"}]) is None
