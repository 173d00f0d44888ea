"""At another size of pixels, blocks equal the whole, and what is smooth stays where it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import block_reduce

from napari_unet.arrays.axes import Picture, View
from napari_unet.arrays.resampled import Resampled, resample, resampled_shape
from tests.arrays.spies import Spy


def view_of(data):
    """The only view of an image without channels."""
    return View(Picture(data, "ZYX"[-data.ndim :], name="cells"), data.ndim, ())


@st.composite
def seen(draw):
    """A view of noise in 1 to 3 dimensions at another size of pixels, and a window of it."""
    shape = draw(st.lists(st.integers(1, 24), min_size=1, max_size=3))
    target = [draw(st.integers(1, 40)) for _ in shape]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    nearest = draw(st.booleans())
    data = rng.integers(0, 60_000, shape).astype(np.uint16 if nearest else np.float32)
    spans = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in target]
    window = tuple(slice(*span) for span in spans)
    return Resampled(view_of(data), target, nearest=nearest), window


@settings(max_examples=200)
@given(seen())
def test_blocks_are_cut_from_the_whole_bit_for_bit(case):
    view, window = case
    whole, block = np.asarray(view), view[(slice(None), *window)]
    assert block.dtype == whole.dtype == view.dtype
    assert whole.shape == view.shape
    np.testing.assert_array_equal(block, whole[(slice(None), *window)])


@pytest.mark.parametrize("shape", [(23, 48), (24, 60), (46, 49), (137, 101)])
def test_finer_pixels_are_bilinear_as_those_of_others(shape):
    image = np.random.default_rng(0).normal(size=(23, 48)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], shape, mode="bilinear"
    )
    found = np.asarray(Resampled(view_of(image), shape))
    np.testing.assert_allclose(found, theirs[0].numpy(), atol=1e-5)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(0, 99),
)
def test_coarser_pixels_are_the_mean_of_those_that_they_cover(sizes, seed):
    shape = [n * step for n, step in sizes]
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    found = np.asarray(Resampled(view_of(image), [n for n, _ in sizes]))[0]
    expected = block_reduce(image, tuple(step for _, step in sizes), np.mean)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_coarser_pixels_keep_the_mean_whatever_the_ratio(n, m, seed):
    image = np.random.default_rng(seed).random(max(n, m), np.float32)
    found = np.asarray(Resampled(view_of(image), (min(n, m),)))
    assert found.mean() == pytest.approx(image.mean(), abs=1e-5)


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 30)), min_size=1, max_size=3))
def test_a_constant_stays_what_it_is(sizes):
    data = np.full([n for n, _ in sizes], 7.25, np.float32)
    found = np.asarray(Resampled(view_of(data), [n for _, n in sizes]))
    np.testing.assert_allclose(found, 7.25, rtol=1e-6)


def test_places_do_not_move_when_pixels_change():
    y, x = np.mgrid[:60, :80].astype(np.float32) + 0.5
    ramp = 2 * y + 3 * x  # in pixels from the corner of the image
    for shape in ((120, 160), (30, 20), (45, 80)):
        found = np.asarray(Resampled(view_of(ramp), shape))[0]
        y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
        expected = 2 * y * 60 / shape[0] + 3 * x * 80 / shape[1]
        inner = (slice(8, -8), slice(8, -8))
        np.testing.assert_allclose(found[inner], expected[inner], atol=0.2)  # 1/12 pixel


def test_stripes_finer_than_a_pixel_become_grey_and_no_wider_stripes():
    stripes = np.tile(np.float32([0, 1]), 300)[None].repeat(8, axis=0)
    found = np.asarray(Resampled(view_of(stripes), (8, 130)))[0, :, 4:-4]
    assert np.ptp(found) < 0.25
    assert found.mean() == pytest.approx(0.5, abs=0.01)


@given(st.integers(1, 50), st.integers(1, 90))
def test_labels_hold_only_numbers_that_were_there(n, m):
    labels = np.arange(n, dtype=np.int16)
    found = np.asarray(Resampled(view_of(labels), (m,), nearest=True))[0]
    assert (np.diff(found) >= 0).all()
    middles = (np.arange(m) + 0.5) * n / m  # of the pixels that are seen, from the edge
    assert ((found <= middles) & (middles <= found + 1)).all()


def test_only_the_pixels_that_a_window_needs_are_read():
    spy = Spy(np.zeros((1000, 1000), np.uint8))
    view = Resampled(View(Picture(spy, "YX"), 2, ()), (2000, 250))
    _ = view[:, 100:140, 50:60]
    (shape,) = spy.reads
    assert math.prod(shape) <= (40 // 2 + 2) * (10 * 4 + 8)


def test_equal_sizes_change_no_bit():
    data = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    data[2, 3] = np.nan
    np.testing.assert_array_equal(np.asarray(Resampled(view_of(data), (5, 6)))[0], data)


def test_what_is_not_finite_stays_in_its_place():
    data = np.zeros((9, 9), np.float32)
    data[4, 4] = np.inf
    found = np.asarray(Resampled(view_of(data), (18, 18)))[0]
    rows, columns = np.nonzero(~np.isfinite(found))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 10, 7, 10)


def test_a_block_ends_where_its_image_ends():
    block = np.float32([[1, 3]])
    found = resample(block, (slice(4, 6),), (slice(8, 12),), (0.5,))
    np.testing.assert_allclose(found, [[1, 1.5, 2.5, 3]])


@given(st.integers(1, 5000), st.floats(0.05, 20))
def test_as_many_pixels_as_cover_the_image(n, ratio):
    (found,) = resampled_shape((n,), (ratio,), (1.0,))
    assert found >= 1
    assert math.isclose(found, n * ratio, abs_tol=0.5) or found == 1


@pytest.mark.parametrize("key", [(0,), (slice(None), slice(0, 4, 2)), (slice(None),) * 4])
def test_it_takes_plain_slices_only(key):
    with pytest.raises(IndexError, match="takes slices"):
        Resampled(view_of(np.zeros((5, 6))), (10, 12))[key]
