"""Labels become whole numbers or a clear refusal; objects are numbered without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import generate_binary_structure, label

from napari_unet.config import InputError
from napari_unet.targets.numbering import check_labels, number_objects, number_regions
from tests.targets.label_strategies import labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@given(labels_of([0, 1, 3, 70_001, 2**40, -1]))
def test_same_id_same_number_in_order_without_gaps(labels: NDArray[Any]) -> None:
    numbered = number_objects(labels)
    ids = np.unique(labels[labels > 0])
    expected = np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0)
    np.testing.assert_array_equal(numbered, expected)
    assert numbered.dtype == np.int32


@given(labels_of([0, 1, 2]), st.booleans())
def test_regions_are_connected_and_of_one_value(labels: NDArray[Any], corners: bool) -> None:
    regions = number_regions(labels, corners=corners)
    near = generate_binary_structure(labels.ndim, labels.ndim if corners else 1)
    n_expected = sum(label(labels == value, near)[1] for value in (1, 2))
    assert regions.max() == n_expected
    for number in range(1, n_expected + 1):
        assert len(np.unique(labels[regions == number])) == 1
        assert label(regions == number, near)[1] == 1


@pytest.mark.parametrize("dtype", ["?", "u1", "<u2", ">u2", "i4", ">i4", "u8", "i8", "f2", "f4"])
def test_any_whole_numbers_are_labels(dtype: str) -> None:
    labels = np.array([[0, 1], [1, 0]], dtype)
    whole = check_labels(labels)
    assert whole.dtype.kind in "iu"
    np.testing.assert_array_equal(number_objects(whole), [[0, 1], [1, 0]])


BROKEN = {
    "U109": np.array([0, -1, 5]),
    "U110": np.array([0.0, 1.5]),
    "U112": np.zeros((0, 4), int),
    "U116": np.array([1 + 2j]),
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_is_no_label_is_refused(code: str) -> None:
    with pytest.raises(InputError) as caught:
        check_labels(BROKEN[code])
    assert caught.value.code == code


def test_nan_is_no_label() -> None:
    with pytest.raises(InputError, match="U110"):
        check_labels(np.array([0, np.nan]))


def test_the_ignored_value_may_be_negative_and_no_other() -> None:
    assert check_labels(np.array([0, -1, 2]), ignore=-1).tolist() == [0, -1, 2]
    with pytest.raises(InputError, match=r"U109: .*-2"):
        check_labels(np.array([0, -1, -2]), ignore=-1)
