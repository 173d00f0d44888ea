"""What several runs of one thing scored: mean and standard deviation below a row for each."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from napari_unet.metrics.tabulate import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def spread(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, dict[str, float | None]]:
    """Return mean and standard deviation (of a sample, n - 1) of each score.

    Parameters
    ----------
    rows : sequence of mapping
        Scores by name; what a row lacks does not count.
    key : str
        The column that names the row.

    Returns
    -------
    dict
        "mean" and "standard deviation", each by score; None of fewer than one row or two.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if name != key))
    known = {n: [row[n] for row in rows if row.get(n) is not None] for n in names}
    return {
        "mean": {n: fmean(found) if found else None for n, found in known.items()},
        "standard deviation": {
            n: stdev(found) if len(found) > 1 else None for n, found in known.items()
        },
    }


def spread_table(rows: Sequence[Mapping[str, Any]], key: str) -> Table:
    """Lay rows out, named by `key`, with mean and standard deviation below them."""
    summary = spread(rows, key)
    names = list(summary["mean"])
    lines = [(str(row[key]), *(row.get(name) for name in names)) for row in rows]
    lines += [(word, *scores.values()) for word, scores in summary.items()]
    return Table((key, *names), tuple(lines))
