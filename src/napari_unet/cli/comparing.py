"""`napari-unet compare`: several networks on the same images, as a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.following import follow
from napari_unet.cli.printing import print_json, print_table
from napari_unet.cli.training import list_pairs, train_config

if TYPE_CHECKING:
    import argparse

    from napari_unet.metrics.tabulate import Table

LEFT_OUT = ("jaccard", "precision", "recall")  # of single classes: they stand in the files


def compare(arguments: argparse.Namespace) -> int:
    """Train and score several networks; print a row for each."""
    config, pairs = train_config(arguments), list_pairs(arguments.image, arguments.labels)
    test = None
    if arguments.test_image or arguments.test_labels:
        test = list_pairs(arguments.test_image, arguments.test_labels)
    from napari_unet.inference.compare import ROWS, compare
    from napari_unet.library.folders import free_folder

    folder = arguments.out or free_folder(Path(), "comparison")
    names = [name for name in arguments.architectures.split(",") if name]
    status = follow(compare(config, names, pairs, folder, test=test), f"it is kept in {folder}")
    if not (folder / ROWS).exists():
        return status
    rows = json.loads((folder / ROWS).read_text(encoding="utf-8"))["rows"]
    if not arguments.json:
        print_table(_table(rows))
    elif status == 0:
        print_json(rows)
    print(f"models and tables are in {folder}", file=sys.stderr)
    return status


def _table(rows: list[dict[str, Any]]) -> Table:
    """Set the rows as a table that fits the eye."""
    from napari_unet.metrics.ranking import rank_table

    shown = [{name: cell for name, cell in row.items() if not _left_out(name)} for row in rows]
    return rank_table(shown)


def _left_out(column: str) -> bool:
    of_class, _, score = column.rpartition(": ")
    return column == "model" or (bool(of_class) and score in LEFT_OUT)
