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
    from collections.abc import Sequence

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
    shared : integer array, (n_pairs,)
        How many pixels they share.
    true_sizes, predicted_sizes : integer arrays, (n_true,), (n_predicted,)
        Pixels of each object.
    """

    true: NDArray[np.intp]
    predicted: NDArray[np.intp]
    shared: NDArray[np.intp]
    true_sizes: NDArray[np.intp]
    predicted_sizes: NDArray[np.intp]

    @property
    def n_true(self) -> int:
        """How many true objects there are."""
        return len(self.true_sizes)

    @property
    def n_predicted(self) -> int:
        """How many predicted objects there are."""
        return len(self.predicted_sizes)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, float64 (n_pairs,)."""
        both = self.true_sizes[self.true] + self.predicted_sizes[self.predicted]
        return np.asarray(self.shared / (both - self.shared), np.float64)


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
    true_sizes, predicted_sizes = (np.bincount(each.ravel())[1:] for each in (true, predicted))
    both = (predicted > 0) & (true > 0)
    n = len(predicted_sizes) + 1
    pairs, shared = np.unique(true[both].astype(np.int64) * n + predicted[both], return_counts=True)
    i, j = np.divmod(pairs, n)
    return Overlaps(i - 1, j - 1, shared, true_sizes, predicted_sizes)


def pool_overlaps(overlaps: Sequence[Overlaps]) -> Overlaps:
    """Lay the objects of several images side by side, as if they were one image."""
    true = np.cumsum([0, *(each.n_true for each in overlaps[:-1])])  # how many stand before
    predicted = np.cumsum([0, *(each.n_predicted for each in overlaps[:-1])])
    return Overlaps(
        np.concatenate([each.true + n for each, n in zip(overlaps, true, strict=True)]),
        np.concatenate([each.predicted + n for each, n in zip(overlaps, predicted, strict=True)]),
        np.concatenate([each.shared for each in overlaps]),
        np.concatenate([each.true_sizes for each in overlaps]),
        np.concatenate([each.predicted_sizes for each in overlaps]),
    )


def seg_score(overlaps: Overlaps) -> float:
    """Return SEG of the Cell Tracking Challenge: the mean overlap over the true objects.

    A true object counts with its intersection over union with the one predicted object that
    holds more than half of its pixels, and with 0 if there is none (Maska et al. 2014,
    https://doi.org/10.1093/bioinformatics/btu080). Invented objects cost nothing.

    Parameters
    ----------
    overlaps : Overlaps
        Of one image, or of several (see `pool_overlaps`).

    Returns
    -------
    float
        nan without a true object.
    """
    held = 2 * overlaps.shared > overlaps.true_sizes[overlaps.true]
    return math.fsum(overlaps.iou[held]) / overlaps.n_true if overlaps.n_true else math.nan


def score_overlaps(overlaps: Overlaps, threshold: float) -> ObjectScores:
    """Count matches among `overlaps`; see `match_objects`."""
    n_true, n_predicted = overlaps.n_true, overlaps.n_predicted
    matched = overlaps.iou[match_overlaps(overlaps, threshold)]
    tp, total = len(matched), math.fsum(matched)
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


def match_overlaps(overlaps: Overlaps, threshold: float) -> NDArray[np.intp]:
    """Choose the pairs of the best one-to-one pairing; see `match_objects`.

    Parameters
    ----------
    overlaps : Overlaps
        Every pair that shares a pixel.
    threshold : float
        Smallest intersection over union of a match, above 0 and at most 1.

    Returns
    -------
    integer array, (n_matches,)
        Which of the pairs are matches.

    Raises
    ------
    InputError
        U150 for a threshold out of range.
    """
    if not 0 < threshold <= 1:
        raise InputError("U150", f"threshold = {threshold}", "choose one above 0 and at most 1")
    iou = overlaps.iou
    if not len(iou):
        return np.zeros(0, np.intp)
    n, m = overlaps.n_true, overlaps.n_predicted
    gain = (iou >= threshold) + iou / (2 * min(n, m))
    alone = np.arange(n)  # every true object may stay alone, at no gain
    rows = np.concatenate([overlaps.true, alone])
    columns = np.concatenate([overlaps.predicted, m + alone])
    cost = np.concatenate([2 - gain, np.full(n, 2.0)])  # above 0: zeros would not be stored
    graph = csr_matrix((cost, (rows, columns)), shape=(n, m + n))
    chosen = np.stack(min_weight_full_bipartite_matching(graph))
    i, j = chosen[:, chosen[1] < m]
    pairs = np.searchsorted(overlaps.true * m + overlaps.predicted, i * m + j)
    return np.asarray(pairs[iou[pairs] >= threshold], np.intp)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
