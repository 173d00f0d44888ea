"""Objects are matched as StarDist does, for any number of them."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from napari_unet.config import InputError
from napari_unet.metrics.objects import (
    find_overlaps,
    match_objects,
    pool_overlaps,
    score_overlaps,
    seg_score,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS = st.sampled_from([0, 1, 2, 5, 70_000])
PAIRS = st.tuples(*[arrays(np.int64, (4, 9), elements=IDS)] * 2)
THRESHOLDS = st.sampled_from([0.05, 0.2, 1 / 3, 0.5, 0.75, 1.0])


def squares(*corners: tuple[int, int]) -> NDArray[np.int32]:
    """Label 6 x 6 squares in 20 x 20 pixels by their upper left corners (row, column)."""
    labels = np.zeros((20, 20), np.int32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + 6, x : x + 6] = number
    return labels


TRUTH = squares((2, 2), (2, 10), (12, 2))
PREDICTION = squares((2, 2), (2, 13), (12, 4))
PREDICTION[15:18, 13:18] = 4  # the invented object, 3 x 5


def match_densely(prediction: NDArray[Any], truth: NDArray[Any], threshold: float) -> list[float]:
    """StarDist's `matching` on the full table of overlaps: tp, fp, fn, sum of overlaps."""
    a, b = (np.unique(labels[labels > 0]) for labels in (truth, prediction))
    if not (len(a) and len(b)):
        return [0, len(b), len(a), 0]
    iou = np.array(
        [
            [
                np.sum((truth == i) & (prediction == j)) / np.sum((truth == i) | (prediction == j))
                for j in b
            ]
            for i in a
        ]
    )
    cost = -(iou >= threshold).astype(float) - iou / (2 * min(iou.shape))
    matched = iou[linear_sum_assignment(cost)]
    matched = matched[matched >= threshold]
    return [len(matched), len(b) - len(matched), len(a) - len(matched), matched.sum()]


@pytest.mark.parametrize(
    ("threshold", "tp", "fp", "fn", "ap", "f1", "pq"),
    [
        (0.3, 3, 1, 0, 0.75, 0.857143, 0.523810),
        (0.5, 2, 2, 1, 0.4, 0.571429, 0.428571),
        (0.75, 1, 3, 2, 0.166667, 0.285714, 0.285714),
    ],
)
def test_published_vectors(
    threshold: float, tp: int, fp: int, fn: int, ap: float, f1: float, pq: float
) -> None:
    scores = match_objects(PREDICTION, TRUTH, threshold)
    assert (scores.tp, scores.fp, scores.fn) == (tp, fp, fn)
    assert (scores.ap, scores.f1, scores.pq) == pytest.approx((ap, f1, pq), abs=5e-7)


def test_overlaps_of_the_published_objects() -> None:
    assert find_overlaps(PREDICTION, TRUTH).iou.tolist() == pytest.approx([1, 1 / 3, 1 / 2])


def test_published_seg() -> None:
    assert seg_score(find_overlaps(PREDICTION, TRUTH)) == 0.5  # 1, 0 (exactly half), 1/2


@settings(deadline=None)
@given(PAIRS)
def test_seg_by_its_definition(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    prediction, truth = pair
    scores = []
    for i in np.unique(truth[truth > 0]):
        inside = truth == i
        held = [inside & (prediction == j) for j in np.unique(prediction[inside]) if j]
        held = [each for each in held if each.sum() > inside.sum() / 2]
        either = [inside | (prediction == prediction[each][0]) for each in held]
        scores += [held[0].sum() / either[0].sum()] if held else [0]
    expected = np.mean(scores) if scores else math.nan
    assert seg_score(find_overlaps(*pair)) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(PAIRS, PAIRS, THRESHOLDS)
def test_objects_of_two_images_are_pooled(
    a: tuple[NDArray[Any], NDArray[Any]], b: tuple[NDArray[Any], NDArray[Any]], threshold: float
) -> None:
    pooled = pool_overlaps([find_overlaps(*a), find_overlaps(*b)])
    side_by_side = [np.hstack([x, np.where(y, y + 10**6, 0)]) for x, y in zip(a, b, strict=True)]
    expected = score_overlaps(find_overlaps(*side_by_side), threshold)
    assert score_overlaps(pooled, threshold) == expected


@settings(deadline=None)
@given(PAIRS, THRESHOLDS)
def test_equals_the_dense_assignment(
    pair: tuple[NDArray[Any], NDArray[Any]], threshold: float
) -> None:
    found = match_objects(*pair, threshold)
    total = found.mean_true_score * (found.tp + found.fn)
    expected = match_densely(*pair, threshold)
    assert [found.tp, found.fp, found.fn] == expected[:3]
    if threshold >= 0.5:  # below, pairings of equal gain may differ in what lies above it
        assert total == pytest.approx(expected[3])


@settings(deadline=None)
@given(PAIRS, THRESHOLDS, st.permutations([1, 2, 5, 70_000]))
def test_ids_do_not_matter(
    pair: tuple[NDArray[Any], NDArray[Any]], threshold: float, ids: list[int]
) -> None:
    renamed = pair[0].copy()
    for old, new in zip([1, 2, 5, 70_000], ids, strict=True):
        renamed[pair[0] == old] = new
    a, b = match_objects(*pair, threshold), match_objects(renamed, pair[1], threshold)
    assert (a.tp, a.fp, a.fn) == (b.tp, b.fp, b.fn)


@settings(deadline=None)
@given(PAIRS, THRESHOLDS)
def test_swapping_the_images_swaps_invented_and_missed(
    pair: tuple[NDArray[Any], NDArray[Any]], threshold: float
) -> None:
    a, b = match_objects(*pair, threshold), match_objects(*pair[::-1], threshold)
    assert (a.tp, a.fp, a.fn) == (b.tp, b.fn, b.fp)
    assert (a.f1, a.ap) == (b.f1, b.ap)


@settings(deadline=None)
@given(arrays(np.int64, (4, 9), elements=IDS))
def test_perfect_is_one_and_empty_is_zero(labels: NDArray[Any]) -> None:
    scores = astuple(match_objects(labels, labels, 1.0))
    assert set(scores[4:]) == {1.0 if labels.any() else 0.0}


def test_thousands_of_objects_at_once() -> None:
    y, x = np.indices((900, 900)) // 10
    truth = y * 1000 + x + 1
    scores = match_objects(np.roll(truth, 2, 1), truth, 0.5)
    assert (scores.tp, scores.fp, scores.fn) == (8100, 0, 0)
    assert scores.pq == pytest.approx(8 / 12)


@pytest.mark.parametrize("threshold", [0, -1, 1.1])
def test_thresholds_out_of_range_are_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="U150"):
        match_objects(TRUTH, TRUTH, threshold)
