"""Planes that lie apart are indexed as the one array they stand for, and only those asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_unet.arrays.planes import Planes

WHOLE = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(">u2")


def planes(lead, log=None):
    flat = WHOLE.reshape(-1, *WHOLE.shape[lead:])

    def opened(number):
        if log is not None:
            log.append(number)
        return flat[number]

    return Planes(WHOLE.shape[:lead], WHOLE.shape[lead:], WHOLE.dtype, opened)


@pytest.mark.parametrize("lead", [1, 2])
def test_the_whole_comes_back(lead):
    stack = planes(lead)
    assert (stack.shape, stack.ndim, stack.dtype) == (WHOLE.shape, 4, WHOLE.dtype)
    np.testing.assert_array_equal(stack[...], WHOLE)
    np.testing.assert_array_equal(stack[1], WHOLE[1])


@given(st.sampled_from([1, 2]), basic_indices(WHOLE.shape, allow_newaxis=False))
@settings(deadline=None)
def test_every_index_means_what_it_means_to_numpy(lead, key):
    np.testing.assert_array_equal(planes(lead)[key], WHOLE[key])


def test_only_planes_that_are_asked_for_are_opened():
    log = []
    block = planes(2, log)[1, 1:, :2]
    np.testing.assert_array_equal(block, WHOLE[1, 1:, :2])
    assert log == [4, 5]
