"""A prediction against the truth, as numbers that can be written to JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.config import InputError
from napari_unet.metrics.objects import find_overlaps, score_overlaps
from napari_unet.metrics.pixels import check_shapes, class_scores, confusion, mean_scores
from napari_unet.targets.grammar import MOST_CLASSES
from napari_unet.targets.numbering import check_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(10, 20))  # Data Science Bowl 2018


def evaluate(
    prediction: ArrayLike,
    truth: ArrayLike,
    kind: Literal["classes", "instances", "regression"] = "classes",
    ignore: int | None = None,
) -> dict[str, Any]:
    """Compare a prediction with the truth.

    Parameters
    ----------
    prediction, truth : arrays of the same shape
        Class indices, object numbers or values of one image. Time points and positions are
        compared one by one by the caller: an object is what shares a number in the array.
    kind : {"classes", "instances", "regression"}
        What the numbers mean.
    ignore : int, optional
        Pixels where the truth has this value do not count.

    Returns
    -------
    dict
        Numbers, strings, lists and dicts only; a score that is not defined is None.
        `kind`, `n_pixels` (those that count), `notes`, and of classes: `classes` (label value ->
        dice, jaccard, precision, recall), `mean` (of them, without value 0), `accuracy`,
        `values`, `confusion` (rows truth, columns prediction). Of instances: `n_true`,
        `n_predicted`, `objects` (scores at overlaps of 0.5, 0.55, ... 0.95), `mean_ap` (of
        them), `foreground` (dice, jaccard, precision, recall of all objects together). Of
        regression: `mse`, `rmse`, `mae` where the truth is finite.

    Raises
    ------
    InputError
        U102 if the shapes differ, U105 if no pixel counts, U111 too many values for classes,
        U150 unknown kind; U109, U110, U112, U116 not labels.
    """
    compare = {"classes": _classes, "instances": _instances, "regression": _regression}
    if kind not in compare:
        raise InputError("U150", f"unknown kind {kind!r}", f"choose from {', '.join(compare)}")
    scores = compare[kind](np.asarray(prediction), np.asarray(truth), ignore)
    result: dict[str, Any] = _plain({"kind": kind, **scores})
    return result


def _classes(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> dict[str, Any]:
    check_shapes(prediction, truth)
    prediction, truth = (
        check_labels(prediction, None, "prediction"),
        check_labels(truth, ignore, "truth"),
    )
    valid = _count_where(truth != ignore if ignore is not None else np.ones(truth.shape, bool))
    prediction, truth = prediction[valid], truth[valid]
    prediction, truth, notes = _read_binary(prediction, truth)
    values = np.union1d(prediction, truth)
    if len(values) > MOST_CLASSES:
        what = f"prediction and truth hold {len(values):,} different values as classes"
        raise InputError("U111", what, "choose kind = instances")
    table = confusion(
        np.searchsorted(values, prediction), np.searchsorted(values, truth), len(values)
    )
    scores = class_scores(table)
    return {
        "n_pixels": len(truth),
        "notes": notes,
        "classes": {str(value): scores[k] for k, value in enumerate(values.tolist())},
        "mean": mean_scores(table, foreground_only=values[0] == 0 and len(values) > 1),
        "accuracy": np.trace(table) / table.sum(),
        "values": values.tolist(),
        "confusion": table.tolist(),
    }


def _instances(prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None) -> dict[str, Any]:
    check_shapes(prediction, truth)
    prediction, truth = (
        check_labels(prediction, None, "prediction"),
        check_labels(truth, ignore, "truth"),
    )
    n_pixels = truth.size
    if ignore is not None:
        valid = _count_where(truth != ignore)
        prediction, truth = prediction * valid, truth * valid
        n_pixels = int(np.count_nonzero(valid))
    overlaps = find_overlaps(prediction, truth)
    objects = [asdict(score_overlaps(overlaps, threshold)) for threshold in THRESHOLDS]
    foreground = confusion((prediction > 0).view(np.uint8), (truth > 0).view(np.uint8), 2)
    return {
        "n_pixels": n_pixels,
        "notes": [],
        "n_true": overlaps.n_true,
        "n_predicted": overlaps.n_predicted,
        "objects": objects,
        "mean_ap": math.fsum(each["ap"] for each in objects) / len(objects),
        "foreground": class_scores(foreground)[1],
    }


def _regression(
    prediction: NDArray[Any], truth: NDArray[Any], ignore: int | None
) -> dict[str, Any]:
    check_shapes(prediction, truth)
    for name, values in (("prediction", prediction), ("truth", truth)):
        if values.dtype.kind not in "biuf":
            raise InputError("U116", f"{name} is of type {values.dtype}", "choose real numbers")
    valid = np.isfinite(truth)
    if ignore is not None:
        valid &= truth != ignore
    valid = _count_where(valid)
    error = prediction[valid].astype(np.float64) - truth[valid].astype(np.float64)
    mse = float(np.mean(error**2))
    return {
        "n_pixels": len(error),
        "notes": [],
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": float(np.mean(np.abs(error))),
    }


def _count_where(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not valid.any():
        remedy = "choose a truth with labelled pixels"
        raise InputError("U105", f"none of the {valid.size:,} pixels of the truth counts", remedy)
    return valid


def _read_binary(
    prediction: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], list[str]]:
    """Read 0 and 255 on one side as 0 and 1 where the other side holds no more than these."""
    if _is_binary_255(truth) and prediction.max() <= 1:
        return prediction, truth // 255, ["truth holds 0 and 255 only: 255 is read as class 1"]
    if _is_binary_255(prediction) and truth.max() <= 1:
        return prediction // 255, truth, ["prediction holds 0 and 255 only: 255 is read as class 1"]
    return prediction, truth, []


def _is_binary_255(labels: NDArray[np.integer[Any]]) -> bool:
    return int(labels.max()) == 255 and bool(np.all((labels == 0) | (labels == 255)))


def _plain(value: Any) -> Any:
    """Replace what JSON cannot say: numpy numbers by Python's, nan and inf by None."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
