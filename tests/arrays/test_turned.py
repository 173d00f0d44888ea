"""Another order of the axes in the file changes nothing for those who read and write."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_unet.arrays.turned import Turned

WHOLE = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(np.uint16)
ORDERS = list(permutations(range(4)))[1:]


def turned(order):
    """WHOLE, stored with its axes in another order."""
    chunks = tuple((2, 1, 4, 5)[axis] for axis in order)
    store = zarr.storage.MemoryStore()
    return Turned(zarr.create_array(store, data=WHOLE.transpose(order), chunks=chunks), order)


@pytest.mark.parametrize("order", ORDERS)
def test_the_shape_is_ours(order):
    array = turned(order)
    assert (array.shape, array.ndim, array.dtype, len(array)) == (WHOLE.shape, 4, WHOLE.dtype, 2)
    assert array.array.shape == tuple(WHOLE.shape[axis] for axis in order)
    assert array.chunks == (2, 1, 4, 5)
    np.testing.assert_array_equal(np.asarray(array), WHOLE)
    np.testing.assert_array_equal(array[...], WHOLE)


def goes_forward(key):
    """Zarr takes no negative steps."""
    keys = key if isinstance(key, tuple) else (key,)
    return all((getattr(k, "step", None) or 1) > 0 for k in keys)


@given(
    st.sampled_from(ORDERS), basic_indices(WHOLE.shape, allow_newaxis=False).filter(goes_forward)
)
@settings(deadline=None, max_examples=60)
def test_every_index_reads_and_writes_the_same_elements(order, key):
    array, wanted = turned(order), WHOLE.copy()
    np.testing.assert_array_equal(array[key], WHOLE[key])
    wanted[key] = wanted[key] + 7
    array[key] = WHOLE[key] + np.uint16(7)
    np.testing.assert_array_equal(array[:], wanted)
    wanted[key] = 5  # a number fills all of it
    array[key] = 5
    np.testing.assert_array_equal(array[:], wanted)
