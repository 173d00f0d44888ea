"""Predictions against truths, as numbers that can be written to JSON."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.metrics import classes, instances, isbi, regression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike

    from napari_unet.config.evaluation import Kind

# how one image is counted, and how the counts of any number of images are scored
MEASURES: Mapping[str, tuple[Callable[..., Any], Callable[..., dict[str, Any]]]] = MappingProxyType(
    {
        "classes": (classes.count, classes.score),
        "instances": (instances.count, instances.score),
        "regression": (regression.count, regression.score),
        "isbi": (isbi.count, isbi.score),
    }
)

NOT_AVERAGED = frozenset({"kind", "notes", "values", "confusion"})


def evaluate(
    prediction: ArrayLike,
    truth: ArrayLike,
    kind: Kind = "classes",
    ignore: int | None = None,
) -> dict[str, Any]:
    """Compare a prediction with the truth.

    Parameters
    ----------
    prediction, truth : arrays of the same shape
        Class indices, object numbers, values, or membranes of one image. Time points and
        positions are compared by `evaluate_many`: an object is what shares a number in the
        array. Of isbi, a plane or a stack of planes (Z, Y, X): the truth holds labels with 0
        on membranes, the prediction the probability of being inside, or labels as well.
    kind : {"classes", "instances", "regression", "isbi"}
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
        them), `seg` (Cell Tracking Challenge), `foreground` (dice, jaccard, precision, recall of
        all objects together). Of regression: `mse`, `rmse`, `mae` where the truth is finite.
        Of isbi: `v_rand`, `v_info`, each also with `_split` and `_merge`, `vi`, `pixel_error`,
        `warping_error`: means over `n_slices` slices, each at the best of ten thresholds
        (`threshold`, None for labels); the same of all slices together at that threshold
        (`pooled`).

    Raises
    ------
    InputError
        U102 if the shapes differ, U105 if no pixel counts, U111 too many values for classes,
        U113 neither plane nor stack, U150 unknown kind; U109, U110, U112, U116 not labels.
    """
    count, score = _measures(kind)
    return _result(kind, score([count(np.asarray(prediction), np.asarray(truth), ignore)]))


def evaluate_many(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    kind: Kind = "classes",
    ignore: int | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare the predictions of several images with their truths.

    Parameters
    ----------
    pairs : iterable of (prediction, truth)
        As for `evaluate`; one pair after the other is in memory if they are made on demand.
    kind : {"classes", "instances", "regression", "isbi"}
        What the numbers mean.
    ignore : int, optional
        Pixels where the truth has this value do not count.
    names : sequence of str, optional
        One for each pair; 1, 2, 3, ... without them.

    Returns
    -------
    dict
        `images`: for each pair, its `name` and what `evaluate` returns. `pooled`: the same for
        the pixels or objects of all images together. `mean`: of each number in their results,
        the mean over the images where it is defined; `n_images`; and `defined`, which says for
        each number in how many images it is.

    Raises
    ------
    InputError
        U101 without a pair, U150 if there are not as many names; as `evaluate`, with the name of
        the image in front.
    """
    count, score = _measures(kind)
    titles, counts = [], []
    for name, (prediction, truth) in _named(pairs, names):
        try:
            counts.append(count(np.asarray(prediction), np.asarray(truth), ignore))
        except InputError as error:
            raise InputError(error.code, f"{name}: {error.what}", error.remedy) from None
        titles.append(name)
    images = [_result(kind, score([each])) for each in counts]
    pooled = _result(kind, score(counts))
    means: dict[str, Any] = _fold(pooled, images, _mean)
    return {
        "images": [{"name": name, **image} for name, image in zip(titles, images, strict=True)],
        "pooled": pooled,
        "mean": {
            "kind": kind,
            "n_images": len(images),
            **means,
            "defined": _fold(pooled, images, len),
        },
    }


def _measures(kind: str) -> tuple[Callable[..., Any], Callable[..., dict[str, Any]]]:
    if kind not in MEASURES:
        raise InputError("U150", f"unknown kind {kind!r}", f"choose from {', '.join(MEASURES)}")
    return MEASURES[kind]


def _named(pairs: Iterable[Any], names: Sequence[str] | None) -> Iterator[tuple[str, Any]]:
    """Yield each pair with its name; afterwards, refuse what does not add up."""
    n = 0
    for n, pair in enumerate(pairs, start=1):
        if names is None:
            yield str(n), pair
        elif n <= len(names):
            yield names[n - 1], pair
    if not n:
        raise InputError("U101", "there is no image to compare", "name a prediction and its truth")
    if names is not None and len(names) != n:
        raise InputError("U150", f"{len(names)} names for {n} images", "give one name per image")


def _fold(shape: Any, results: Sequence[Any], fold: Callable[[list[float]], Any]) -> Any:
    """Fold the numbers that stand in the same place of several results of one `shape`."""
    if isinstance(shape, dict):
        return {
            key: _fold(part, [each[key] for each in results if key in each], fold)
            for key, part in shape.items()
            if key not in NOT_AVERAGED
        }
    if isinstance(shape, list):
        places = zip(shape, zip(*results, strict=True), strict=True)
        return [_fold(part, each, fold) for part, each in places]
    return fold([each for each in results if each is not None])


def _mean(numbers: list[float]) -> float | None:
    if len(set(numbers)) == 1:  # spares a threshold the rounding
        return numbers[0]
    return math.fsum(numbers) / len(numbers) if numbers else None


def _result(kind: str, scores: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _plain({"kind": kind, **scores})
    return result


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
