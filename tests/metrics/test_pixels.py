"""Laws of confusion, Dice, Jaccard, precision and recall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_unet.config import InputError
from napari_unet.metrics.pixels import class_scores, confusion, mean_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

N = 4
PAIRS = array_shapes(max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(*[arrays(np.uint8, shape, elements=st.integers(0, N - 1))] * 2)
)
TABLES = arrays(np.int64, (N, N), elements=st.integers(0, 50))


@given(PAIRS)
def test_confusion_counts_every_pixel_once(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    prediction, truth = pair
    table = confusion(prediction, truth, N)
    expected = [[np.sum((truth == i) & (prediction == j)) for j in range(N)] for i in range(N)]
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(confusion(truth, prediction, N), table.T)


@given(PAIRS)
def test_only_valid_pixels_count(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    prediction, truth = pair
    valid = truth != 2
    table = confusion(prediction, truth, N, valid)
    assert table.sum() == valid.sum()
    np.testing.assert_array_equal(table, confusion(prediction[valid], truth[valid], N))


@given(TABLES)
def test_dice_and_jaccard_say_the_same(table: NDArray[Any]) -> None:
    for scores in class_scores(table).values():
        j = scores["jaccard"]
        assert scores["dice"] == pytest.approx(2 * j / (1 + j), nan_ok=True)


@given(TABLES)
def test_swapping_truth_and_prediction_swaps_precision_and_recall(table: NDArray[Any]) -> None:
    there, back = class_scores(table), class_scores(table.T)
    for k in range(N):
        assert there[k]["dice"] == pytest.approx(back[k]["dice"], nan_ok=True)
        assert there[k]["precision"] == pytest.approx(back[k]["recall"], nan_ok=True)


@given(arrays(np.uint8, array_shapes(max_dims=2), elements=st.integers(0, N - 1)))
def test_perfect_is_one_and_what_is_nowhere_is_left_out(truth: NDArray[Any]) -> None:
    scores = class_scores(confusion(truth, truth, N))
    for k in range(N):
        expected = 1 if (truth == k).any() else math.nan
        assert scores[k]["dice"] == pytest.approx(expected, nan_ok=True)
    means = mean_scores(confusion(truth, truth, N))
    assert means["jaccard"] == pytest.approx(1 if truth.any() else math.nan, nan_ok=True)


@given(TABLES)
def test_scores_lie_between_0_and_1(table: NDArray[Any]) -> None:
    for scores in [*class_scores(table).values(), mean_scores(table)]:
        assert all(math.isnan(s) or 0 <= s <= 1 for s in scores.values())


def test_background_is_averaged_on_request() -> None:
    table = np.array([[8, 2], [0, 0]])
    assert mean_scores(table)["dice"] == 0
    assert mean_scores(table, foreground_only=False)["dice"] == pytest.approx(8 / 18)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="U102: prediction 2x3 does not match truth 3x2: they lo"):
        confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(InputError, match="U108: prediction holds classes 0 to 2: expected 0 to 1"):
        confusion(np.array([0, 2]), np.array([0, 1]), 2)
