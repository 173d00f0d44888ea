"""`napari-unet evaluate`: a prediction against the truth, or a folder of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from napari_unet.cli.printing import in_words, print_json, print_table
from napari_unet.config import InputError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_unet.metrics.tabulate import Table

LABELS: tuple[str, ...] = ("classes", "instances")  # kinds whose predictions are labels


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the scores of a prediction, or of each image of a folder and of all together."""
    from napari_unet.arrays.files import list_pictures
    from napari_unet.arrays.writing import atomic_write, check_apart, check_writable
    from napari_unet.metrics.tabulate import to_csv

    predictions, truths = list_pictures(arguments.prediction), list_pictures(arguments.truth)
    if len(predictions) != len(truths):
        what = f"{len(predictions)} predictions and {len(truths)} images of the truth"
        raise InputError("U101", what, "give them in pairs")
    if arguments.csv is not None:
        for read in (*predictions, *truths):
            check_apart(arguments.csv, read)
        check_writable(arguments.csv)
    several = arguments.prediction.is_dir() and predictions != [arguments.prediction]
    result = _scores(arguments, predictions, truths, several=several)
    if arguments.csv is not None:
        atomic_write(arguments.csv, to_csv(_table(result)).encode())
    if arguments.json:
        print_json(result)
    else:
        _tell(result)


def _tell(result: dict[str, Any]) -> None:
    """Print the table, below it the numbers that stand in no row; notes go to stderr."""
    table, whole = _table(result), result["pooled"] if "images" in result else result
    print_table(table)
    told = {cell for row in table.rows for cell in row} | {"kind"}
    rest = {k: v for k, v in whole.items() if k not in told and not isinstance(v, list | dict)}
    print(", ".join(f"{name} {in_words(value)}" for name, value in rest.items()))
    for note in whole["notes"]:
        print(note, file=sys.stderr)


def _scores(
    arguments: argparse.Namespace, predictions: list[Path], truths: list[Path], *, several: bool
) -> dict[str, Any]:
    """Return what `evaluate` or, of several images, `evaluate_many` finds."""
    from napari_unet.metrics.evaluate import evaluate, evaluate_many

    kind, ignore = arguments.kind, arguments.ignore
    pairs = [
        (_read(prediction, labels=kind in LABELS), _read(truth, labels=kind != "regression"))
        for prediction, truth in zip(predictions, truths, strict=True)
    ]
    if several:
        return evaluate_many(pairs, kind, ignore, [path.name for path in predictions])
    return evaluate(*pairs[0], kind, ignore)


def _read(path: Path, *, labels: bool) -> Any:
    """Read a file: labels without channels, else channels first, as predictions have them."""
    import numpy as np

    from napari_unet.arrays.files import open_picture

    picture = open_picture(path, ndim=1, labels=labels)
    if "C" not in picture.axes:
        return picture.data
    channels = np.moveaxis(np.asarray(picture.data), picture.axes.index("C"), 0)
    if labels:
        return channels[0]
    return channels[:-1] if picture.alpha else channels


def _table(result: dict[str, Any]) -> Table:
    """Set the scores as a table; of several images one below the other, then all together."""
    from napari_unet.metrics.tabulate import Table, tabulate

    if "images" not in result:
        return tabulate(result)
    named = [(image["name"], tabulate(image)) for image in result["images"]]
    named.append(("all together", tabulate(result["pooled"])))
    rows = tuple((name, *row) for name, table in named for row in table.rows)
    return Table(("image", *named[0][1].columns), rows)
