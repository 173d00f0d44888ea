"""Labels are integers, or it is said why they are not."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.arrays.labels import open_labels_array
from napari_unet.config import InputError
from tests.arrays.spies import Spy

UNSIGNED = ["uint8", "uint16", "uint32", ">u2"]
SIGNED = ["int8", "int16", ">i4", "int64"]


@pytest.mark.parametrize("dtype", [*UNSIGNED, *SIGNED, "uint64"])
def test_integers_keep_their_type_and_values(dtype):
    labels = np.arange(20).reshape(4, 5).astype(dtype)[:, ::-1]
    result = open_labels_array(labels)
    assert result.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(result, labels)


def test_bool_becomes_zero_and_one():
    labels = np.eye(4) > 0
    result = open_labels_array(labels)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, labels)


@given(
    st.sampled_from(["float16", "float32", ">f4", "float64"]),
    st.lists(st.integers(0, 2048), min_size=1, max_size=30),
)
def test_whole_floats_become_integers(dtype, values):
    result = open_labels_array(np.array(values, dtype))
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, values)


def test_large_whole_floats_keep_every_digit():
    result = open_labels_array(np.array([0.0, 2.0**40 + 1]))
    assert result.dtype == np.int64
    assert result[1] == 2**40 + 1


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e300, 2.0**63])
def test_other_floats_are_refused(value):
    with pytest.raises(InputError, match="U110: cells "):
        open_labels_array(np.array([[0.0, 1.0, value]]), "cells")


def test_ids_beyond_64_bit_are_refused():
    with pytest.raises(InputError, match="U110"):
        open_labels_array(np.array([0, 2**63], np.uint64))


@pytest.mark.parametrize("dtype", [*SIGNED, "float32"])
def test_negative_labels_are_refused_unless_they_are_ignored(dtype):
    labels = np.array([[0, 1, -1], [2, -1, 3]], dtype)
    with pytest.raises(InputError, match=r"U109.*-1.* 2 pixels.*labels\.ignore=-1"):
        open_labels_array(labels)
    np.testing.assert_array_equal(open_labels_array(labels, ignore=-1), labels)
    with pytest.raises(InputError, match="U109"):
        open_labels_array(labels, ignore=-2)


@pytest.mark.parametrize("dtype", ["complex64", "U2", "O", "M8[s]"])
def test_other_types_are_refused(dtype):
    with pytest.raises(InputError, match="U116"):
        open_labels_array(np.zeros((3, 3), dtype))


def test_lists_are_arrays():
    np.testing.assert_array_equal(open_labels_array([[0, 1], [2, 3]]), [[0, 1], [2, 3]])


def test_unsigned_lazy_labels_are_not_read():
    spy = Spy(np.ones((9, 9), np.uint16))
    assert open_labels_array(spy) is spy
    assert not spy.reads


def test_signed_lazy_labels_are_checked_block_by_block_and_stay_lazy():
    spy = Spy(np.broadcast_to(np.int32(1), (12, 1024, 1024)))
    assert open_labels_array(spy) is spy
    assert max(np.prod(read) for read in spy.reads) == 4 * 1024 * 1024
    lazy = da.zeros((8, 8), chunks=4, dtype=np.int16)
    assert open_labels_array(lazy) is lazy
