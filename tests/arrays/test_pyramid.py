"""Levels of a pyramid: where they end, what they hold, and that little is read at a time."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.arrays.pyramid import average, level_shape, plan_levels, shrink
from tests.arrays.spies import Spy


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(1e-3, 1e3)), min_size=1, max_size=3),
)
@settings(deadline=None)
def test_levels_end_at_a_size_to_look_at(axes):
    shape, sizes = ([pair[i] for pair in axes] for i in (0, 1))
    levels = plan_levels(shape, sizes)
    assert levels[0] == (1,) * len(shape)
    assert max(level_shape(shape, levels[-1])) <= 512
    assert all(max(level_shape(shape, level)) > 512 for level in levels[:-1])
    for fine, coarse in pairwise(levels):
        steps = [c // f for f, c in zip(fine, coarse, strict=True)]
        assert set(steps) <= {1, 2}
        assert 2 in steps
        halved = [s * f for s, f, step in zip(sizes, fine, steps, strict=True) if step == 2]
        others = [
            s * f
            for s, f, step, n in zip(sizes, fine, steps, level_shape(shape, fine), strict=True)
            if step == 1 and n > 1
        ]
        assert max(halved) < 2 * min(halved)
        assert all(size >= 2 * min(halved) for size in others)


def test_thick_planes_are_halved_later():
    assert plan_levels((20, 2100, 2100), (3.0, 1.0, 1.0)) == [
        (1, 1, 1),
        (1, 2, 2),
        (2, 4, 4),
        (4, 8, 8),
    ]


def cells(shape, steps):
    """The window of every cell, one by one."""
    for index in np.ndindex(*level_shape(shape, steps)):
        yield index, tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, steps, strict=True))


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4"])
@pytest.mark.parametrize(
    ("shape", "steps"), [((7,), (2,)), ((5, 8), (1, 2)), ((5, 6, 7), (2,) * 3)]
)
def test_a_cell_is_the_mean_of_its_pixels(dtype, shape, steps):
    pixels = (np.random.default_rng(0).random(shape) * 250).astype(dtype)
    found = average(pixels, steps)
    assert found.dtype == pixels.dtype
    for index, window in cells(shape, steps):
        mean = pixels[window].mean(dtype=float)
        assert found[index] == pytest.approx(np.rint(mean) if dtype in ("u1", "i4") else mean)


def test_nan_count_for_nothing():
    pixels = np.array([[1, np.nan, np.nan, np.nan], [2, 3, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(average(pixels, (2, 2)), [[2, np.nan]])


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("shards", [None, (1, 40, 20)])
def test_shrinking_block_by_block_changes_nothing(tmp_path, mean, shards):
    pixels = np.random.default_rng(0).random((2, 101, 130)).astype(np.float32)
    target = zarr.create_array(
        tmp_path / "a.zarr", shape=(2, 51, 65), dtype="f4", chunks=(1, 20, 20), shards=shards
    )
    spy = Spy(pixels)
    shares = list(shrink(spy, target, (1, 2, 2), mean=mean))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    whole = average(pixels, (1, 2, 2)) if mean else pixels[:, ::2, ::2]
    np.testing.assert_array_equal(target[:], whole)
    assert max(map(math.prod, spy.reads)) <= 4 * math.prod(shards or (1, 20, 20))
    assert sum(map(math.prod, spy.reads)) == pixels.size  # every pixel once
