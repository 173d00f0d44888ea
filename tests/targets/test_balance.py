"""A balance is a balance."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_unet.targets.balance import balance, count_classes


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=9))
def test_classes_weigh_the_same_and_pixels_one_on_average(numbers: list[int]) -> None:
    counts = np.array(numbers)
    assume(counts.any())
    totals = balance(counts) * counts
    present = counts > 0
    np.testing.assert_allclose(totals[present], totals.max())
    np.testing.assert_allclose(totals.sum(), counts.sum())
    assert not totals[~present].any()


def test_no_labelled_pixel_weighs_nothing() -> None:
    assert balance(np.zeros(3, int)).tolist() == [0, 0, 0]


def test_only_labelled_pixels_are_counted() -> None:
    classes = np.array([[0, 1, 1], [2, 2, 2]])
    labelled = np.array([[True, False, True], [True, True, False]])
    assert count_classes(classes, labelled, 4).tolist() == [1, 1, 2, 0]
    assert count_classes(classes, labelled * 0.5, 4).tolist() == [1, 1, 2, 0]
