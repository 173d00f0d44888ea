"""Classes against classes: counted per image, scored over any number of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.metrics.pixels import (
    check_shapes,
    class_scores,
    confusion,
    mean_scores,
    require_pixels,
)
from napari_unet.targets.grammar import MOST_CLASSES
from napari_unet.targets.numbering import check_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The pixels of one image by true and predicted class.

    Parameters
    ----------
    values : int64 array, (n,)
        The label values that occur, in their order.
    table : int64 array, (n, n)
        Rows are values of the truth, columns of the prediction.
    notes : tuple of str
        What was decided, in words for the user.
    """

    values: NDArray[np.int64]
    table: NDArray[np.int64]
    notes: tuple[str, ...]


def count(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> ClassCounts:
    """Count the pixels of one image; see `evaluate`."""
    check_shapes(prediction, truth)
    prediction = check_labels(prediction, None, "prediction")
    truth = check_labels(truth, ignore, "truth")
    valid = require_pixels(truth != ignore if ignore is not None else np.ones(truth.shape, bool))
    prediction, truth, notes = _read_binary(prediction[valid], truth[valid])
    # as int64, since numpy takes the union of int64 and uint64 for float64
    values = np.union1d(*(np.unique(each).astype(np.int64) for each in (prediction, truth)))
    if len(values) > MOST_CLASSES:
        what = f"prediction and truth hold {len(values):,} different values as classes"
        raise InputError("U111", what, "choose kind = instances")
    found, true = (np.searchsorted(values, each) for each in (prediction, truth))
    return ClassCounts(values, confusion(found, true, len(values)), notes)


def score(counts: Sequence[ClassCounts]) -> dict[str, Any]:
    """Score the pixels of all images together; see `evaluate`."""
    values = np.unique(np.concatenate([each.values for each in counts]))
    table = np.zeros((len(values), len(values)), np.int64)
    for each in counts:
        here = np.searchsorted(values, each.values)
        table[np.ix_(here, here)] += each.table
    scores = class_scores(table)
    return {
        "n_pixels": table.sum(),
        "notes": sorted({note for each in counts for note in each.notes}),
        "classes": {str(value): scores[k] for k, value in enumerate(values.tolist())},
        "mean": mean_scores(table, foreground_only=bool(values[0] == 0)),
        "accuracy": np.trace(table) / table.sum(),
        "values": values.tolist(),
        "confusion": table.tolist(),
    }


def _read_binary(
    prediction: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], tuple[str, ...]]:
    """Read 0 and 255 on one side as 0 and 1 where the other side holds no more than these."""
    if _is_binary_255(truth) and prediction.max() <= 1:
        return prediction, truth // 255, ("truth holds 0 and 255 only: 255 is read as class 1",)
    if _is_binary_255(prediction) and truth.max() <= 1:
        note = "prediction holds 0 and 255 only: 255 is read as class 1"
        return prediction // 255, truth, (note,)
    return prediction, truth, ()


def _is_binary_255(labels: NDArray[np.integer[Any]]) -> bool:
    return int(labels.max()) == 255 and bool(np.all((labels == 0) | (labels == 255)))
