"""Tiles partition every image, in phase with the network, whatever the sizes."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.tiling import Geometry, cut, plan_tiles, tile_at


@st.composite
def geometries(draw, ndim):
    """Geometries as networks have them: padded, or valid with a border that is lost."""
    axes = []
    for _ in range(ndim):
        step = 2 ** draw(st.integers(0, 4))
        margin = step * draw(st.integers(0, 4))
        lost = draw(st.integers(1, 40)) if draw(st.booleans()) else 0
        smallest = 2 * lost + draw(st.integers(1, step)) if lost else step
        axes.append((step, margin, lost, smallest))
    return Geometry(*(tuple(numbers) for numbers in zip(*axes, strict=True)))


@st.composite
def plans(draw):
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.lists(st.integers(1, 90), min_size=ndim, max_size=ndim)))
    geometry = draw(geometries(ndim))
    edges = st.integers(1, 100)
    size = draw(st.one_of(edges, st.lists(edges, min_size=ndim, max_size=ndim)))
    return shape, size, geometry


def count_tiles(shape, size, geometry):
    sizes = [size] * len(shape) if isinstance(size, int) else size
    return math.prod(
        -(-n // max(s // step * step, step))
        for n, s, step in zip(shape, sizes, geometry.step, strict=True)
    )


few = plans().filter(lambda plan: count_tiles(*plan) <= 2000)


@given(few)
@settings(max_examples=150, deadline=None)
def test_written_windows_partition_the_image(plan):
    shape, _, _ = plan
    written = np.zeros(shape, np.uint8)
    for tile in plan_tiles(*plan):
        written[tile.write] += 1
    assert (written == 1).all()


@given(few)
@settings(max_examples=150, deadline=None)
def test_every_tile_meets_the_poolings_in_the_same_phase(plan):
    _, _, geometry = plan
    for tile in plan_tiles(*plan):
        for r, step, lost in zip(tile.read, geometry.step, geometry.lost, strict=True):
            assert (r.start + lost) % step == 0  # where the first pixel of the output lies


@given(few)
@settings(max_examples=150, deadline=None)
def test_every_tile_has_a_legal_size_and_its_context_as_far_as_the_frame(plan):
    shape, _, geometry = plan
    for tile in plan_tiles(*plan):
        check_reading(tile, shape, geometry)


def check_reading(tile, shape, geometry):
    """Nobody reads beyond the frame; within it, everybody reads the whole context."""
    for axis, (r, w, n) in enumerate(zip(tile.read, tile.write, shape, strict=True)):
        step, context, frame = geometry.step[axis], geometry.context[axis], geometry.frame(axis, n)
        far = -(-n // step) * step + frame
        assert r.stop - r.start == geometry.legal(axis, r.stop - r.start)
        assert r.start == max(w.start - context, -frame)
        assert r.stop >= min(w.stop + context, far)
        if not geometry.lost[axis]:
            assert r.stop <= far


@given(st.integers(1, 3).flatmap(geometries), st.integers(1, 2000))
def test_a_frame_is_the_context_of_a_large_image_and_small_around_a_small_one(geometry, size):
    for axis, step in enumerate(geometry.step):
        frame = geometry.frame(axis, size)
        assert frame <= geometry.context[axis]
        assert frame == geometry.context[axis] or frame < size / 4 + step
        assert geometry.frame(axis, 4 * geometry.context[axis] + 1) == geometry.context[axis]


@given(few)
@settings(max_examples=100, deadline=None)
def test_tiles_are_as_large_as_asked_for_and_no_larger_than_the_image_needs(plan):
    shape, size, geometry = plan
    tiles = plan_tiles(*plan)
    assert len(tiles) == count_tiles(*plan)
    sizes = [size] * len(shape) if isinstance(size, int) else size
    for tile in tiles:
        for w, s, step in zip(tile.write, sizes, geometry.step, strict=True):
            assert w.start % step == 0
            assert w.stop - w.start <= max(s, step)


@given(few)
@settings(max_examples=100, deadline=None)
def test_no_tile_reads_more_than_its_block_and_context(plan):
    _, size, geometry = plan
    sizes = [size] * len(geometry.step) if isinstance(size, int) else size
    for tile in plan_tiles(*plan):
        for axis, (r, edge) in enumerate(zip(tile.read, sizes, strict=True)):
            step = geometry.step[axis]
            block = max(edge // step, 1) * step
            assert r.stop - r.start <= geometry.legal(axis, block + 2 * geometry.context[axis])


@given(st.integers(1, 3).flatmap(geometries), st.integers(1, 300))
def test_legal_sizes_are_the_smallest_that_suffice(geometry, size):
    for axis, (step, smallest) in enumerate(zip(geometry.step, geometry.smallest, strict=True)):
        legal = geometry.legal(axis, size)
        assert legal >= max(size, smallest)
        assert (legal - smallest) % step == 0
        assert legal == smallest or legal - step < size
        assert geometry.input_size(axis, size) - 2 * geometry.lost[axis] >= size


@given(few)
@settings(max_examples=100, deadline=None)
def test_cutting_inverts_reading(plan):
    """A network that returns its input, less the border it loses, gives back the image."""
    shape, _, geometry = plan
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    coordinates = np.stack(grids)
    for tile in plan_tiles(*plan):
        output = np.stack(
            np.meshgrid(
                *(
                    np.arange(r.start + lost, r.stop - lost)
                    for r, lost in zip(tile.read, geometry.lost, strict=True)
                ),
                indexing="ij",
            )
        )
        expected = coordinates[(slice(None), *tile.write)]
        np.testing.assert_array_equal(cut(output, tile), expected)


def test_a_tile_as_large_as_the_image_is_one_tile():
    geometry = Geometry(step=(16, 16), margin=(96, 96), lost=(0, 0), smallest=(16, 16))
    for shape in ((300, 260), (1, 130), (517, 333)):
        assert len(plan_tiles(shape, max(shape) + 15, geometry)) == 1


@st.composite
def windows(draw):
    """An image, and a window in it that begins and ends anywhere."""
    shape, _, geometry = draw(plans())
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    stops = [draw(st.integers(a + 1, n)) for a, n in zip(starts, shape, strict=True)]
    window = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    return window, shape, geometry


@given(windows())
@settings(max_examples=150, deadline=None)
def test_a_tile_anywhere_keeps_every_promise(drawn):
    """It is legal, in phase, reads its context, and nothing beyond the frame."""
    window, shape, geometry = drawn
    tile = tile_at(*drawn)
    assert tile.write == window
    for axis, (r, w, n) in enumerate(zip(tile.read, window, shape, strict=True)):
        step, context, frame = geometry.step[axis], geometry.context[axis], geometry.frame(axis, n)
        far = -(-n // step) * step + frame
        assert (r.start + geometry.lost[axis]) % step == 0
        assert r.stop - r.start == geometry.legal(axis, r.stop - r.start)
        assert (
            max(w.start - step + 1 - context, -frame) <= r.start <= max(w.start - context, -frame)
        )
        assert r.stop >= min(w.stop + context, far)
        if not geometry.lost[axis]:
            assert r.stop <= far


@given(windows())
@settings(max_examples=100, deadline=None)
def test_a_larger_window_reads_what_a_smaller_one_reads(drawn):
    _, shape, geometry = drawn
    whole = tile_at(tuple(slice(0, n) for n in shape), shape, geometry)
    for w, r in zip(tile_at(*drawn).read, whole.read, strict=True):
        assert r.start <= w.start
        assert w.stop <= r.stop


@given(windows())
@settings(max_examples=100, deadline=None)
def test_cutting_finds_a_window_anywhere(drawn):
    window, _, geometry = drawn
    tile = tile_at(*drawn)
    lines = (
        np.arange(r.start + lost, r.stop - lost)
        for r, lost in zip(tile.read, geometry.lost, strict=True)
    )
    output = np.stack(np.meshgrid(*lines, indexing="ij"))
    inside = np.meshgrid(*(np.arange(w.start, w.stop) for w in window), indexing="ij")
    np.testing.assert_array_equal(cut(output, tile), np.stack(inside))
