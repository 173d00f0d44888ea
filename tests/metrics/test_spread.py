"""Mean and standard deviation of several runs, in words and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.metrics.spread import spread, spread_table

scores = st.lists(st.floats(0, 1, allow_nan=False), min_size=2, max_size=6)


@given(scores)
def test_they_are_those_of_a_sample(found: list[float]) -> None:
    summary = spread([{"fold": k, "dice": v} for k, v in enumerate(found)], "fold")
    assert summary["mean"]["dice"] == pytest.approx(np.mean(found), abs=1e-12)
    assert summary["standard deviation"]["dice"] == pytest.approx(np.std(found, ddof=1), abs=1e-12)


def test_what_a_row_lacks_does_not_count() -> None:
    rows = [{"fold": 1, "dice": 0.5, "mae": None}, {"fold": 2}]
    table = spread_table(rows, "fold")
    assert table.columns == ("fold", "dice", "mae")
    assert table.rows == (
        ("1", 0.5, None),
        ("2", None, None),
        ("mean", 0.5, None),
        ("standard deviation", None, None),
    )
