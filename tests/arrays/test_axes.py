"""Whatever an array looks like in memory, its views hold the same numbers."""

from __future__ import annotations

import itertools
import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.arrays.axes import adopt_axes, lead_shape, name_axes, spatial_shape, views
from napari_unet.config import InputError
from tests.arrays.spies import Spy

DTYPES = [
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "longdouble"),
]
SIZES = {"T": 2, "P": 3, "Z": 4, "Y": 5, "X": 6, "C": 2}


def image_of(axes, dtype="uint16"):
    shape = [SIZES[letter] for letter in axes]
    return (np.arange(np.prod(shape)).reshape(shape) % 251).astype(dtype)


def in_other_layouts(array):
    """The same numbers in the layouts that arrays come in."""
    yield "big-endian", array.astype(array.dtype.newbyteorder(">"))
    yield "Fortran", np.asfortranarray(array)
    yield "negative strides", np.flip(np.flip(array).copy())
    yield "strided", np.repeat(array, 2, axis=-1)[..., ::2]
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("dtype", DTYPES)
def test_layout_and_byte_order_change_nothing(dtype):
    array = image_of("ZYX", dtype)
    window = (slice(None), slice(1, 4), slice(2, 5))
    for layout, other in in_other_layouts(array):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (view, *_) = views(name_axes(other, ndim=2), 2)
            block = view[window]
        np.testing.assert_array_equal(block, array[None, 0, 1:4, 2:5], err_msg=layout)
        assert block.dtype == view.dtype == np.dtype(dtype)
        assert view.dtype.isnative


@given(st.permutations("TZYXC"), st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_same_numbers_for_the_same_letters_in_any_order(letters, ndim, data):
    axes = "".join(letters)
    array = image_of(axes)
    space = "ZYX"[-ndim:]
    lead = [letter for letter in axes if letter not in space and letter != "C"]
    expected = array.transpose([axes.index(letter) for letter in (*lead, "C", *space)])
    picture = name_axes(array, axes, ndim=ndim)
    assert lead_shape(picture, ndim) == expected.shape[: len(lead)]
    assert spatial_shape(picture, ndim) == expected.shape[len(lead) + 1 :]
    found = views(picture, ndim)
    assert [view.lead for view in found] == list(np.ndindex(lead_shape(picture, ndim)))
    for view in found:
        window = tuple(
            slice(start := data.draw(st.integers(0, n - 1)), data.draw(st.integers(start + 1, n)))
            for n in view.shape
        )
        np.testing.assert_array_equal(view[window], expected[view.lead][window])
        np.testing.assert_array_equal(np.asarray(view), expected[view.lead])


def test_lazy_arrays_hold_the_same_numbers():
    array = image_of("TCYX")
    stored = zarr.create_array(store={}, data=array, chunks=(1, 1, 3, 4))
    for lazy in (da.from_array(array, chunks=2), stored):
        for view, number in zip(
            views(name_axes(lazy, "TCYX", ndim=2), 2), itertools.count(), strict=False
        ):
            np.testing.assert_array_equal(view[:, 1:4], array[number, :, 1:4])


def test_only_the_window_is_read():
    spy = Spy(image_of("TZYXC"))
    view = views(name_axes(spy, "TZYXC", ndim=3), 3)[1]
    assert spy.reads == []
    assert view[1:, 1:3, 2:4, 0:5].shape == (1, 2, 2, 5)
    assert spy.reads == [(2, 2, 5, 1)]


def test_what_is_read_belongs_to_the_reader():
    array = image_of("YX", "float32")
    (view,) = views(name_axes(array, ndim=2), 2)
    block = view[:, 1:3]
    block[:] = -1
    assert block.flags.c_contiguous
    assert (array >= 0).all()


def test_a_view_takes_slices_only():
    (view,) = views(name_axes(image_of("YX"), ndim=2), 2)
    for key in (0, (0, slice(None)), (slice(None),) * 4, np.array([0])):
        with pytest.raises(IndexError, match="takes slices"):
            view[key]


@pytest.mark.parametrize(
    ("shape", "ndim", "options", "axes"),
    [
        ((50,), 1, {}, "X"),
        ((50, 3), 1, {}, "XC"),
        ((20, 30), 2, {}, "YX"),
        ((5, 20, 30), 2, {}, "TYX"),
        ((2, 5, 20, 30), 2, {}, "PTYX"),
        ((2, 3, 5, 20, 30), 2, {}, "ZPTYX"),
        ((20, 30, 3), 2, {}, "YXC"),
        ((20, 30, 4), 2, {}, "YXC"),
        ((20, 30, 5), 2, {}, "TYX"),
        ((20, 3, 3), 2, {}, "TYX"),  # the spatial axes are no larger than 3
        ((20, 30, 3), 2, {"labels": True}, "TYX"),
        ((2, 2, 3), 2, {"rgb": True}, "YXC"),
        ((7, 20, 30, 3), 2, {"rgb": True}, "TYXC"),
        ((9, 20, 30), 3, {}, "ZYX"),
        ((9, 20, 3), 3, {}, "ZYX"),
        ((9, 20, 30, 3), 3, {}, "ZYXC"),
        ((6, 9, 20, 30), 3, {}, "TZYX"),
        ((20, 30), 1, {}, "TX"),
        ((2, 3, 4, 20, 30), 1, {}, "YZPTX"),
    ],
)
def test_axes_are_guessed_from_the_shape(shape, ndim, options, axes):
    array = np.broadcast_to(np.uint8(0), shape)
    assert name_axes(array, ndim=ndim, **options).axes == axes


@pytest.mark.parametrize(
    ("found", "ndim", "labels", "axes"),
    [
        ("YX", 2, False, "YX"),
        ("QYX", 2, False, "TYX"),
        ("QYX", 3, False, "ZYX"),
        ("IYX", 3, True, "ZYX"),
        ("TYX", 3, False, "TYX"),  # a movie is no volume
        ("QQYX", 3, False, "TZYX"),
        ("QTYX", 3, False, "ZTYX"),
        ("YXS", 2, False, "YXC"),
        ("SYX", 2, False, "CYX"),
        ("SYX", 2, True, "TYX"),  # a stack of 3 or 4 planes as tifffile writes it
        ("SYX", 3, False, "ZYX"),
        ("CYXS", 2, False, "CYXT"),
        ("TZCYX", 2, False, "TZCYX"),
        ("RAYX", 2, False, "PTYX"),
    ],
)
def test_axes_of_files_become_ours(found, ndim, labels, axes):
    assert adopt_axes(found, ndim, labels=labels) == axes


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_is_neither_read_nor_counted(channels):
    spy = Spy(np.arange(20 * 30 * channels).reshape(20, 30, channels).astype(np.uint16))
    picture = name_axes(spy, ndim=2, rgb=True)
    (view,) = views(picture, 2)
    assert picture.alpha
    assert view.shape == (channels - 1, 20, 30)
    np.testing.assert_array_equal(view[:], np.moveaxis(spy[:], -1, 0)[:-1])
    assert spy.reads[0] == (20, 30, channels - 1)


def test_letters_may_be_small_and_name_samples():
    assert name_axes(image_of("YXC"), "yxs", ndim=2).axes == "YXC"


masked = np.ma.masked_array(np.zeros((4, 4)), np.eye(4) > 0)


@pytest.mark.parametrize(
    ("data", "axes", "ndim", "code"),
    [
        (np.zeros((0, 5)), None, 2, "U112"),
        (np.float32(3), None, 2, "U112"),
        (da.from_array(np.arange(12.0), chunks=3)[da.arange(12, chunks=3) > 4], None, 1, "U112"),
        (np.zeros((1,) * 6), None, 2, "U113"),
        (np.zeros(9), None, 2, "U113"),
        (np.zeros((9, 9)), None, 3, "U113"),
        (np.zeros((3, 9, 9)), "TYX", 3, "U113"),
        (np.zeros((9, 9)), "ZYX", 2, "U113"),
        (np.zeros((9, 9)), "YY", 2, "U150"),
        (np.zeros((9, 9)), "YK", 2, "U150"),
        (np.zeros((9, 9), complex), None, 2, "U116"),
        (np.zeros((9, 9), object), None, 2, "U116"),
        (np.zeros((9, 9), "U3"), None, 2, "U116"),
        (np.zeros((9, 9), "M8[s]"), None, 2, "U116"),
        (np.zeros((9, 9), [("a", "u1")]), None, 2, "U116"),
        ([[1, 2], [3]], None, 2, "U116"),
        (masked, None, 2, "U116"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(data, axes, ndim, code):
    with pytest.raises(InputError, match=code) as caught:
        name_axes(data, axes, ndim=ndim, name="nuclei")
    assert "nuclei" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_have_no_channels():
    with pytest.raises(InputError, match=r"U113: .*3 channels"):
        name_axes(np.zeros((9, 9, 3), np.uint8), ndim=2, rgb=True, labels=True)


def test_a_failing_read_says_where():
    def fail(block):
        raise OSError("chunk 3\nis gone")

    lazy = da.zeros((8, 8), chunks=4).map_blocks(fail, dtype=float, meta=np.zeros((0, 0)))
    (view,) = views(name_axes(lazy, ndim=2, name="big"), 2)
    with pytest.raises(InputError, match=r"U124: big cannot be read at \[1:3, 0:8\] \(chunk 3 is"):
        view[:, 1:3]


def test_too_little_memory_is_no_fault_of_the_file():
    class Hungry(Spy):
        def __getitem__(self, key):
            raise MemoryError

    (view,) = views(name_axes(Hungry(np.zeros((8, 8))), ndim=2), 2)
    with pytest.raises(MemoryError):
        view[:]
