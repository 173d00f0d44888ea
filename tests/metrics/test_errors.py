"""Every object has one fate, the one that its definition gives it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_unet.config import InputError
from napari_unet.metrics.errors import STATUSES, find_errors
from napari_unet.metrics.objects import match_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS = st.sampled_from([0, 1, 2, 5, 70_000])
PAIRS = array_shapes(max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(*[arrays(np.int64, shape, elements=IDS)] * 2)
)
THRESHOLDS = st.sampled_from([0.2, 0.5, 0.75, 1.0])


def fates(prediction: Any, truth: Any) -> tuple[list[str], list[str]]:
    errors = find_errors(np.array(prediction), np.array(truth))
    return errors.true["status"].tolist(), errors.predicted["status"].tolist()


def test_the_five_fates_on_a_line() -> None:
    truth = [1, 1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 4, 4, 4, 0, 5, 0, 0]
    found = [7, 7, 7, 0, 8, 8, 8, 8, 8, 0, 6, 0, 0, 9, 0, 0, 0, 3]
    assert fates(found, truth) == (
        ["found", "merged", "merged", "split", "missed"],
        ["extra", "split", "found", "merged", "split"],  # 3, 6, 7, 8, 9
    )
    errors = find_errors(np.array(found), np.array(truth))
    assert errors.map.tolist() == [1, 1, 1, 0, 3, 3, 0, 3, 3, 0, 4, 4, 4, 4, 0, 2, 0, 5]
    assert errors.true["matched"].tolist() == [7, 0, 0, 0, 0]
    assert errors.predicted["matched"].tolist() == [0, 0, 1, 0, 0]
    assert errors.true["iou"].tolist() == pytest.approx([1, 0.4, 0.4, 0.25, 0])


def test_the_large_one_of_two_merged_is_found() -> None:
    assert fates([3, 3, 3, 3, 3], [1, 1, 1, 1, 2]) == (["found", "merged"], ["found"])
    assert fates([1, 1, 1, 1, 2], [3, 3, 3, 3, 3]) == (["found"], ["found", "split"])


def test_half_is_not_most() -> None:
    assert fates([0, 3, 3, 0], [1, 1, 2, 2]) == (["missed", "missed"], ["extra"])
    assert fates([3, 3, 3, 3, 3, 0], [1, 1, 2, 2, 2, 2]) == (["merged", "found"], ["found"])


@settings(deadline=None)
@given(PAIRS, THRESHOLDS)
def test_equals_the_definition(pair: tuple[NDArray[Any], NDArray[Any]], threshold: float) -> None:
    prediction, truth = pair
    errors = find_errors(prediction, truth, threshold)
    sides = ((truth, prediction, errors.true), (prediction, truth, errors.predicted))
    names = (("missed", "merged", "split"), ("extra", "split", "merged"))
    for (mine, theirs, table), (alone, together, several) in zip(sides, names, strict=True):
        assert table["label"].tolist() == np.unique(mine[mine > 0]).tolist()
        for row in range(len(table["label"])):
            label, size, best, partner, status = (column[row] for column in table.values())
            inside = mine == label
            ious = {o: np.sum(inside & (theirs == o)) / np.sum(inside | (theirs == o))
                    for o in np.unique(theirs[theirs > 0])}  # fmt: skip
            assert size == np.sum(inside)
            assert best == pytest.approx(max(ious.values(), default=0))
            if partner:
                assert ious[partner] >= threshold
                expected = "found"
            elif any(len(holdings(o, theirs, mine)) > 1 for o in holders(label, mine, theirs)):
                expected = together
            else:
                expected = several if len(holdings(label, mine, theirs)) > 1 else alone
            assert status == expected


def holders(label: int, mine: NDArray[Any], theirs: NDArray[Any]) -> list[int]:
    """List the objects of `theirs` in which most pixels of `label` lie."""
    return [o for o in np.unique(theirs[theirs > 0])
            if 2 * np.sum((mine == label) & (theirs == o)) > np.sum(mine == label)]  # fmt: skip


def holdings(label: int, mine: NDArray[Any], theirs: NDArray[Any]) -> list[int]:
    """List the objects of `theirs` most of whose pixels lie in `label`."""
    return [o for o in np.unique(theirs[theirs > 0]) if label in holders(o, theirs, mine)]


@settings(deadline=None)
@given(PAIRS, THRESHOLDS)
def test_found_is_what_the_scores_count(
    pair: tuple[NDArray[Any], NDArray[Any]], threshold: float
) -> None:
    errors, scores = find_errors(*pair, threshold), match_objects(*pair, threshold)
    for table, n in (
        (errors.true, scores.tp + scores.fn),
        (errors.predicted, scores.tp + scores.fp),
    ):
        assert len(table["status"]) == n
        assert Counter(table["status"].tolist())["found"] == scores.tp
        assert np.count_nonzero(table["matched"]) == scores.tp


@settings(deadline=None)
@given(PAIRS)
def test_the_map_paints_each_object_in_its_status(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    prediction, truth = pair
    errors = find_errors(prediction, truth)
    assert (errors.map.dtype, errors.map.shape) == (np.uint8, truth.shape)
    expected = np.zeros(truth.shape, int)
    for table, labels, free in (
        (errors.predicted, prediction, truth == 0),
        (errors.true, truth, True),
    ):
        for label, status in zip(table["label"], table["status"], strict=True):
            if labels is truth or status == "extra":
                expected[(labels == label) & free] = 1 + STATUSES.index(status)
    np.testing.assert_array_equal(errors.map, expected)


@settings(deadline=None)
@given(PAIRS)
def test_swapping_swaps_merged_with_split_and_missed_with_extra(
    pair: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    there, back = find_errors(*pair, 0.75), find_errors(*pair[::-1], 0.75)
    swapped = {"found": "found", "missed": "extra", "merged": "split", "split": "merged"}
    assert [swapped[status] for status in there.true["status"]] == back.predicted["status"].tolist()


def test_ignored_pixels_count_nowhere() -> None:
    truth = np.array([1, 1, -1, -1, 2])
    errors = find_errors(np.array([3, 3, 3, 4, 2]), truth, ignore=-1)
    assert errors.true["status"].tolist() == ["found", "found"]
    assert errors.predicted["label"].tolist() == [2, 3]
    assert errors.predicted["size_px"].tolist() == [1, 2]
    assert errors.map.tolist() == [1, 1, 0, 0, 1]


def test_thousands_of_objects_at_once() -> None:
    y, x = np.indices((900, 900)) // 10
    truth = y * 1000 + x + 1
    assert set(find_errors(np.roll(truth, 2, 1), truth).true["status"]) == {"found"}
    halves = y * 1000 + x // 2 * 2 + 1  # two neighbours share a number
    assert Counter(find_errors(halves, truth, 0.6).true["status"].tolist()) == {"merged": 8100}


def test_nothing_against_nothing() -> None:
    errors = find_errors(np.zeros((3, 3), int), np.zeros((3, 3), int))
    assert not errors.map.any()
    assert {len(column) for column in (*errors.true.values(), *errors.predicted.values())} == {0}


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="U102"):
        find_errors(np.zeros((3, 3), int), np.zeros((3, 4), int))
    with pytest.raises(InputError, match="U150"):
        find_errors(np.ones(3, int), np.ones(3, int), 0)
