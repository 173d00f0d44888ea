"""After carving, no two objects touch; nothing else changes."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from napari_unet.targets.ridge import carve_ridge
from tests.targets.label_strategies import labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = labels_of([0, 1, 2, 70_001])


def carve_pixel_by_pixel(labels: NDArray[Any]) -> NDArray[Any]:
    """Falk 2019, read literally."""
    carved = labels.copy()
    for pixel in np.ndindex(labels.shape):
        for offset in product((-1, 0, 1), repeat=labels.ndim):
            other = tuple(p + o for p, o in zip(pixel, offset, strict=True))
            inside = all(0 <= p < n for p, n in zip(other, labels.shape, strict=True))
            if offset < (0,) * labels.ndim and inside and labels[other] > 0:
                carved[pixel] *= labels[other] == labels[pixel]
    return carved


@given(LABELS)
def test_vectorised_equals_pixel_by_pixel(labels: NDArray[Any]) -> None:
    carved = carve_ridge(labels)
    np.testing.assert_array_equal(carved, carve_pixel_by_pixel(labels))
    assert carved.dtype == labels.dtype


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


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_ridge_along_the_first_axis_is_one_pixel_wide(ndim: int) -> None:
    labels = np.ones((8,) * ndim, np.uint16)
    labels[4:] = 2
    expected = labels.copy()
    expected[4] = 0
    np.testing.assert_array_equal(carve_ridge(labels), expected)
