"""Scores that count pixels: confusion, Dice, Jaccard, precision, recall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXEL_SCORES = ("dice", "jaccard", "precision", "recall")

Scores = dict[str, float]


def check_shapes(prediction: NDArray[Any], truth: NDArray[Any]) -> None:
    """Raise InputError U102 unless both have the same shape."""
    a, b = prediction.shape, truth.shape
    if a == b:
        return
    remedy = "choose the truth that was drawn on this image"
    if a == b[::-1] or (len(a) > 2 and a == (*b[:-2], b[-1], b[-2])):
        remedy = "they look transposed: swap Y and X of one of them"
    sizes = ["x".join(str(n) for n in shape) for shape in (a, b)]
    raise InputError("U102", f"prediction {sizes[0]} does not match truth {sizes[1]}", remedy)


def require_pixels(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `valid`, or raise InputError U105 if no pixel counts."""
    if not valid.any():
        remedy = "choose a truth with labelled pixels"
        raise InputError("U105", f"none of the {valid.size:,} pixels of the truth counts", remedy)
    return valid


def confusion(
    prediction: NDArray[np.integer[Any]],
    truth: NDArray[np.integer[Any]],
    n: int,
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Count the pixels of each pair of classes.

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        Class indices below `n`.
    n : int
        How many classes there are.
    valid : bool array, (*S), optional
        Which pixels count; all without it.

    Returns
    -------
    int64 array, (n, n)
        Rows are classes of the truth, columns of the prediction. Tables of several images may
        be added up.

    Raises
    ------
    InputError
        U102 if the shapes differ, U108 for a class index outside [0, n).
    """
    check_shapes(prediction, truth)
    if valid is not None:
        prediction, truth = prediction[valid], truth[valid]
    for name, classes in (("prediction", prediction), ("truth", truth)):
        if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) < n:
            what = f"{name} holds classes {classes.min()} to {classes.max()}"
            raise InputError("U108", what, f"expected 0 to {n - 1}")
    pairs = truth.astype(np.int64).ravel() * n + prediction.ravel().astype(np.int64)
    return np.bincount(pairs, minlength=n * n).astype(np.int64).reshape(n, n)


def class_scores(confusion: NDArray[np.integer[Any]]) -> dict[int, Scores]:
    """Score each class against all others.

    With TP, FP, FN the pixels found, invented and missed: dice 2TP / (2TP + FP + FN), jaccard
    TP / (TP + FP + FN), precision TP / (TP + FP), recall TP / (TP + FN).

    Parameters
    ----------
    confusion : integer array, (n, n)
        Rows are classes of the truth, columns of the prediction.

    Returns
    -------
    dict
        Class index -> dice, jaccard, precision, recall. All are nan for a class that neither
        truth nor prediction holds, and 0 for one that only one of them holds.
    """
    found = np.diagonal(confusion).tolist()
    predicted = confusion.sum(axis=0).tolist()
    true = confusion.sum(axis=1).tolist()
    return {k: _score(*each) for k, each in enumerate(zip(found, predicted, true, strict=True))}


def _score(found: int, predicted: int, true: int) -> Scores:
    either = predicted + true - found
    if either == 0:
        return dict.fromkeys(PIXEL_SCORES, math.nan)
    return {
        "dice": 2 * found / (predicted + true),
        "jaccard": found / either,
        "precision": found / predicted if predicted else 0.0,
        "recall": found / true if true else 0.0,
    }


def mean_scores(confusion: NDArray[np.integer[Any]], foreground_only: bool = True) -> Scores:
    """Average `class_scores` over the classes that truth or prediction hold.

    Parameters
    ----------
    confusion : integer array, (n, n)
        Rows are classes of the truth, columns of the prediction.
    foreground_only : bool
        Leave out class 0, the background.

    Returns
    -------
    dict
        Means of dice, jaccard, precision, recall; nan if no class is left.
    """
    scores = list(class_scores(confusion).values())[int(foreground_only) :]
    held = [score for score in scores if not math.isnan(score["dice"])]
    return {
        name: math.fsum(score[name] for score in held) / len(held) if held else math.nan
        for name in PIXEL_SCORES
    }
