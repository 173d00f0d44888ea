"""A key is completed as numpy would take it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.arrays.keys import complete_key


@pytest.mark.parametrize(
    "key",
    [1, slice(1, 2), ..., (), (0, ...), (..., 2), (slice(1), ..., 0), (1, 2, 3, ...)],
    ids=str,
)
def test_a_completed_key_takes_the_same_numbers(key):
    array = np.arange(120).reshape(2, 3, 4, 5)
    complete = complete_key(key, 4)
    assert len(complete) == 4
    np.testing.assert_array_equal(array[tuple(complete)], array[key])
