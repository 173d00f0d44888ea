"""A mirrored read is what padding the whole image would give, without padding it."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.arrays.axes import name_axes, views
from napari_unet.arrays.mirror import mirror, read_mirrored
from tests.arrays.spies import Spy

PAD = 40
sizes = st.lists(st.integers(1, 23), min_size=1, max_size=3)


def draw_window(data, shape):
    window = []
    for n in shape:
        start = data.draw(st.integers(-PAD, n + PAD - 1))
        window.append(slice(start, data.draw(st.integers(start + 1, n + PAD))))
    return tuple(window)


@given(st.integers(1, 30), st.integers(0, 100), st.integers(0, 100))
def test_folding_is_numpys_reflection(size, before, after):
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    np.testing.assert_array_equal(mirror(np.arange(-before, size + after), size), expected)


@given(sizes, st.data())
@settings(max_examples=80, deadline=None)
def test_any_window_equals_the_padded_image(shape, data):
    image = np.random.default_rng(0).integers(0, 999, (2, *shape)).astype(">u2")
    window = draw_window(data, shape)
    padded = np.pad(image, [(0, 0), *[(PAD, PAD)] * len(shape)], mode="reflect")
    expected = padded[(slice(None), *(slice(w.start + PAD, w.stop + PAD) for w in window))]
    block = read_mirrored(image, window)
    assert block.dtype == np.float32
    assert block.flags.writeable
    np.testing.assert_array_equal(block, expected)


@given(sizes, st.data())
@settings(max_examples=80, deadline=None)
def test_only_the_box_that_is_needed_is_read_once(shape, data):
    spy = Spy(np.zeros((1, *shape), np.uint8))
    window = draw_window(data, shape)
    read_mirrored(spy, window)
    (read,) = spy.reads
    assert all(r <= w.stop - w.start for r, w in zip(read[1:], window, strict=True))


def test_all_kinds_of_arrays_read_alike(tmp_path):
    image = np.random.default_rng(0).normal(size=(2, 19, 31)).astype(np.float16)
    np.save(tmp_path / "image.npy", image)
    stored = zarr.create_array(store={}, data=image, chunks=(1, 7, 8))
    window = (slice(-5, 12), slice(20, 44))
    expected = read_mirrored(image, window)
    for other in (
        views(name_axes(image, "CYX", ndim=2), 2)[0],
        views(name_axes(stored, "CYX", ndim=2), 2)[0],
        np.load(tmp_path / "image.npy", mmap_mode="r"),
        stored,
    ):
        np.testing.assert_array_equal(read_mirrored(other, window), expected)


def test_what_is_not_finite_stays_so():
    image = np.array([[0.0, np.nan, np.inf, -1e300, 5.0]])  # the last is beyond float32
    np.testing.assert_array_equal(
        read_mirrored(image, (slice(-1, 6),)),
        np.float32([[np.nan, 0, np.nan, np.inf, -np.inf, 5, -np.inf]]),
    )


def test_the_image_is_not_aliased():
    image = np.zeros((1, 8, 8), np.float32)
    read_mirrored(image, (slice(0, 8), slice(0, 8)))[:] = 1
    assert not image.any()


def test_window_and_image_have_the_same_dimensions():
    with pytest.raises(ValueError, match="zip"):
        read_mirrored(np.zeros((1, 8, 8)), (slice(0, 8),))
