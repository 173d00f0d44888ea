"""Scores that count objects: each is found, missed or invented."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from napari_unet.config import InputError
from napari_unet.metrics.pixels import check_shapes
from napari_unet.targets.numbering import check_labels, number_objects

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """How many objects were found at an overlap of at least `threshold`.

    Parameters
    ----------
    threshold : float
        Smallest intersection over union that makes a pair of objects a match.
    tp, fp, fn : int
        Objects found, invented and missed.
    precision, recall, f1 : float
        tp / (tp + fp), tp / (tp + fn), 2 tp / (2 tp + fp + fn).
    ap : float
        tp / (tp + fp + fn): the "average precision" of the Data Science Bowl 2018.
    pq : float
        Panoptic quality: sum of the overlaps of the matches / (tp + fp / 2 + fn / 2).
    mean_true_score : float
        Sum of the overlaps of the matches / number of true objects.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    ap: float
    pq: float
    mean_true_score: float


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Every pair of a true and a predicted object that share a pixel.

    Parameters
    ----------
    true, predicted : integer arrays, (n_pairs,)
        The two objects of each pair, counted from 0 in the order of their ids.
    iou : float64 array, (n_pairs,)
        Their intersection over union.
    n_true, n_predicted : int
        How many objects there are.
    """

    true: NDArray[np.intp]
    predicted: NDArray[np.intp]
    iou: NDArray[np.float64]
    n_true: int
    n_predicted: int


def match_objects(prediction: ArrayLike, truth: ArrayLike, threshold: float = 0.5) -> ObjectScores:
    """Match predicted to true objects one to one and count what was found.

    The pairing maximises [IoU >= threshold] + IoU / (2 min(n_true, n_predicted)), summed over
    pairs: most matches first, then the largest overlaps (the rule of StarDist's `matching`).

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        0 is background, every object has its own number.
    threshold : float
        Smallest intersection over union of a match, above 0 and at most 1.

    Returns
    -------
    ObjectScores
        All scores are 0 without a match, also if both images are empty (as in StarDist).

    Raises
    ------
    InputError
        U102 if the shapes differ, U150 for a threshold out of range.
    """
    return score_overlaps(find_overlaps(prediction, truth), threshold)


def find_overlaps(prediction: ArrayLike, truth: ArrayLike) -> Overlaps:
    """Find all pairs of objects that share a pixel, with their intersection over union.

    Parameters
    ----------
    prediction, truth : integer arrays, (*S)
        0 is background, every object has its own number.

    Returns
    -------
    Overlaps
        As many pairs as overlap: thousands of objects are no table of millions.
    """
    predicted = number_objects(check_labels(prediction, name="prediction"))
    true = number_objects(check_labels(truth, name="truth"))
    check_shapes(predicted, true)
    n_predicted, n_true = int(predicted.max()), int(true.max())
    both = (predicted > 0) & (true > 0)
    pairs = true[both].astype(np.int64) * (n_predicted + 1) + predicted[both]
    pairs, shared = np.unique(pairs, return_counts=True)
    i, j = np.divmod(pairs, n_predicted + 1)
    either = np.bincount(true.ravel())[i] + np.bincount(predicted.ravel())[j] - shared
    return Overlaps(i - 1, j - 1, shared / either, n_true, n_predicted)


def score_overlaps(overlaps: Overlaps, threshold: float) -> ObjectScores:
    """Count matches among `overlaps`; see `match_objects`."""
    if not 0 < threshold <= 1:
        raise InputError("U150", f"threshold = {threshold}", "choose one above 0 and at most 1")
    n_true, n_predicted = overlaps.n_true, overlaps.n_predicted
    matched = _match(overlaps, threshold)
    matched = matched[matched >= threshold]
    tp, total = len(matched), math.fsum(matched.tolist())
    fp, fn = n_predicted - tp, n_true - tp
    return ObjectScores(
        threshold=threshold,
        tp=tp,
        fp=fp,
        fn=fn,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1=_ratio(tp, tp + (fp + fn) / 2),
        ap=_ratio(tp, tp + fp + fn),
        pq=_ratio(total, tp + (fp + fn) / 2),
        mean_true_score=_ratio(total, n_true),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _match(overlaps: Overlaps, threshold: float) -> NDArray[np.float64]:
    """Return the overlaps of the pairs of the best one-to-one pairing."""
    if not len(overlaps.iou):
        return np.zeros(0)
    n, m = overlaps.n_true, overlaps.n_predicted
    gain = (overlaps.iou >= threshold) + overlaps.iou / (2 * min(n, m))
    alone = np.arange(n)  # every true object may stay alone, at no gain
    rows = np.concatenate([overlaps.true, alone])
    columns = np.concatenate([overlaps.predicted, m + alone])
    cost = np.concatenate([2 - gain, np.full(n, 2.0)])  # above 0: zeros would not be stored
    graph = csr_matrix((cost, (rows, columns)), shape=(n, m + n))
    chosen = np.stack(min_weight_full_bipartite_matching(graph))
    i, j = chosen[:, chosen[1] < m]
    where = np.searchsorted(overlaps.true * m + overlaps.predicted, i * m + j)
    matched: NDArray[np.float64] = overlaps.iou[where]
    return matched
