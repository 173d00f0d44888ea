"""Cells partition the region; the queue hands out each of them once, the nearest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.config import InputError
from napari_unet.inference.grid import Grid, Queue, halve
from napari_unet.inference.regions import Region

EXTENT = st.tuples(st.integers(0, 30), st.integers(1, 40))


def grid_of(extents: Any, tile: Any, lead: Any = ()) -> Grid:
    windows = [tuple(slice(a, a + n) for a, n in e) for e in (lead, extents)]
    return Grid(Region(*windows), tuple(tile))


def popped(queue: Queue) -> list[Any]:
    strips = []
    while cells := queue.pop():
        strips.append(cells)
    return strips


@given(st.lists(st.tuples(EXTENT, st.integers(1, 20)), min_size=1, max_size=3), EXTENT)
def test_cells_partition_the_region(axes: Any, lead: Any) -> None:
    grid = grid_of([e for e, _ in axes], [t for _, t in axes], [lead])
    count = np.zeros([a + n for a, n in (lead, *(e for e, _ in axes))], int)
    result = np.zeros((lead[1], *grid.region.shape), int)
    for cell in np.ndindex(grid.shape):
        count[(*grid.lead(cell), *grid.window(cell))] += 1
        result[tuple(map(slice, *grid.corners(cell)))] += 1
        assert grid.cell(grid.lead(cell), grid.window(cell)) == cell
    assert count.sum() == np.prod(result.shape)
    assert (count[grid.region.lead + grid.region.space] == 1).all()
    assert (result == 1).all()
    assert grid.size == len(list(np.ndindex(grid.shape)))


@given(st.integers(0, 50), st.integers(1, 90), st.integers(0, 50), st.integers(1, 90))
def test_halves_meet_at_a_multiple_of_the_step(y: int, h: int, x: int, w: int) -> None:
    window = slice(y, y + h), slice(x, x + w)
    parts = halve(window, (4, 8))
    seen = np.zeros((140, 140), int)
    for part in parts:
        seen[part] += 1
    assert (seen[window] == 1).all()
    assert seen.sum() == h * w
    starts = {part[axis].start for part in parts for axis in range(2)} - {y, x}
    assert all(start % 4 == 0 for start in starts)
    if len(parts) == 1:  # of the longer axis, in steps, one at most
        assert max(-(-(y + h) // 4) - y // 4, -(-(x + w) // 8) - x // 8) == 1


def test_rows_are_cut_across_while_they_can_be() -> None:
    tall = slice(0, 64), slice(0, 16)
    assert halve(tall, (4, 8)) == [(slice(0, 32), tall[1]), (slice(32, 64), tall[1])]
    assert halve(tall, (4, 8), rows=True) == [(tall[0], slice(0, 8)), (tall[0], slice(8, 16))]
    narrow = slice(0, 64), slice(0, 8)
    assert halve(narrow, (4, 8), rows=True) == halve(narrow, (4, 8))


@pytest.mark.parametrize("rows", [False, True])
def test_every_cell_comes_once(rows: bool) -> None:
    grid = grid_of([(0, 50), (7, 30)], (10, 9), [(2, 3)])
    waiting = np.random.default_rng(0).random(grid.shape) < 0.7
    queue = Queue(grid, waiting, rows=rows)
    assert len(queue) == waiting.sum()
    first = queue.pop()
    queue.aim((3.0, 30.0, 20.0))
    strips = [first, *popped(queue)]
    cells = [cell for strip in strips for cell in strip]
    assert sorted(cells) == [tuple(cell) for cell in np.argwhere(waiting).tolist()]
    assert not len(queue)
    for strip in strips:  # neighbours from top to bottom, as many as there are
        assert len(strip) == 1 or rows
        top = strip[0]
        assert strip == [(top[0], top[1] + k, top[2]) for k in range(len(strip))]
    assert rows == any(len(strip) > 1 for strip in strips)


def test_the_nearest_plane_and_then_the_nearest_tile_comes_first() -> None:
    grid = grid_of([(0, 40), (10, 40)], (10, 10), [(5, 4)])
    queue = Queue(grid, np.ones(grid.shape, bool), rows=False)
    queue.aim((7.2, 12.0, 44.0))
    cells = [cell for (cell,) in popped(queue)]
    assert [cell[0] for cell in cells[::16]] == [2, 3, 1, 0]
    centres = [[(w.start + w.stop) / 2 for w in grid.window(cell)] for cell in cells[:16]]
    distances = [np.hypot(y - 12, x - 44) for y, x in centres]
    assert distances == sorted(distances)


def test_a_point_in_space_keeps_the_order_of_planes() -> None:
    grid = grid_of([(0, 20), (0, 20)], (10, 10), [(0, 3)])
    queue = Queue(grid, np.ones(grid.shape, bool), rows=False)
    queue.aim((19.0, 19.0))
    cells = [cell for (cell,) in popped(queue)]
    assert cells[::4] == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
    queue.aim((1.0, 2.0, 3.0, 4.0))  # of an image with more axes: the last ones count
    with pytest.raises(InputError, match="U150"):
        queue.aim((19.0,))
