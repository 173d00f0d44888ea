"""After carving, no two objects touch; nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from napari_unet.targets.ridge import carve_ridge
from tests.targets.label_strategies import labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = labels_of([0, 1, 2, 70_001])


@given(LABELS)
def test_the_type_stays_and_the_input_is_not_written_to(labels: NDArray[Any]) -> None:
    before = labels.copy()
    assert carve_ridge(labels).dtype == labels.dtype
    np.testing.assert_array_equal(labels, before)


@given(LABELS)
def test_no_two_objects_touch_afterwards(labels: NDArray[Any]) -> None:
    carved = carve_ridge(labels)
    np.testing.assert_array_equal(carve_ridge(carved), carved)
    turned = tuple(slice(None, None, -1) for _ in labels.shape)  # the other half-neighbourhood
    np.testing.assert_array_equal(carve_ridge(carved[turned]), carved[turned])


@given(LABELS)
def test_objects_only_lose_pixels(labels: NDArray[Any]) -> None:
    carved = carve_ridge(labels)
    assert np.all((carved == labels) | (carved == 0))


@pytest.mark.parametrize(("ndim", "axis"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_a_straight_ridge_is_one_pixel_wide(ndim: int, axis: int) -> None:
    labels = np.ones((8,) * ndim, np.uint16)
    beyond = (slice(None),) * axis + (slice(4, None),)
    labels[beyond] = 2
    expected = labels.copy()
    expected[(slice(None),) * axis + (4,)] = 0
    np.testing.assert_array_equal(carve_ridge(labels), expected)
