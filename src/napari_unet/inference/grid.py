"""The tiles of a region as a grid of cells, and which of them comes next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError
from napari_unet.inference.regions import Region, touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.tiling import Window

Cell = tuple[int, ...]  # its place in the grid: leading axes first


@dataclass(frozen=True, slots=True)
class Grid:
    """A region cut into tiles from its origin on; the last ones are cut off at its end.

    Parameters
    ----------
    region : Region
        In pixels of the image.
    tile : tuple of int
        Edges of a tile, in pixels per spatial axis.
    """

    region: Region
    tile: tuple[int, ...]

    @property
    def shape(self) -> Cell:
        """How many cells there are along each axis: leading positions, then tiles."""
        cells = (-(-n // t) for n, t in zip(self.region.shape, self.tile, strict=True))
        return (*self.region.lead_shape, *cells)

    @property
    def size(self) -> int:
        """How many cells there are."""
        return math.prod(self.shape)

    def lead(self, cell: Cell) -> tuple[int, ...]:
        """Return the position of a cell on the leading axes of the image."""
        return tuple(k + w.start for k, w in zip(cell, self.region.lead, strict=False))

    def window(self, cell: Cell) -> Window:
        """Return the pixels of the image that a cell covers."""
        at = cell[len(self.region.lead) :]
        return tuple(
            slice(w.start + k * t, min(w.start + (k + 1) * t, w.stop))
            for k, t, w in zip(at, self.tile, self.region.space, strict=True)
        )

    def cell(self, lead: Sequence[int], window: Window) -> Cell:
        """Return the cell that holds a window of the image."""
        at = zip(window, self.tile, self.region.space, strict=True)
        return (
            *(k - w.start for k, w in zip(lead, self.region.lead, strict=True)),
            *((w.start - s.start) // t for w, t, s in at),
        )

    def corners(self, cell: Cell) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return where a cell begins and ends in the result: one number for each axis."""
        at = self.region.place(self.lead(cell), self.window(cell))
        ends = [(k, k + 1) if isinstance(k, int) else (k.start, k.stop) for k in at]
        start, stop = zip(*ends, strict=True)
        return start, stop

    def reached(self) -> NDArray[np.bool_]:
        """Tell which cells the outline of the region reaches into: all, where there is none."""
        found = np.ones(self.shape, bool)
        if self.region.outline is not None:
            rows, columns = (
                np.asarray([(k * t + w.start, min((k + 1) * t + w.start, w.stop) - 1)
                            for k in range(n)])
                for n, t, w in list(
                    zip(self.shape[len(self.region.lead) :], self.tile, self.region.space,
                        strict=True)
                )[-2:]
            )  # fmt: skip
            found &= touched(self.region.outline, rows, columns)
        return found


def halve(window: Window, step: Sequence[int], *, rows: bool = False) -> list[Window]:
    """Cut a window in two along its longest axis, at a multiple of the step.

    One that has no such multiple inside stays whole. Of `rows` that run as a stream the length
    takes no memory: they are cut along another axis while one can be.
    """
    n_steps = [-(-w.stop // s) - w.start // s for w, s in zip(window, step, strict=True)]
    if rows and max(n_steps[1:], default=1) > 1:
        n_steps[0] = 0
    axis = n_steps.index(max(n_steps))
    whole, size = window[axis], step[axis]
    middle = (whole.start // size + -(-n_steps[axis] // 2)) * size
    if not whole.start < middle < whole.stop:
        return [window]
    parts = slice(whole.start, middle), slice(middle, whole.stop)
    return [(*window[:axis], part, *window[axis + 1 :]) for part in parts]


def check_point(point: Sequence[float], ndim: int) -> None:
    """Raise InputError U150 for a point with fewer numbers than there are axes of space."""
    if len(point) < ndim:
        what = f"focus {tuple(point)} has too few numbers"
        raise InputError("U150", what, f"give one per spatial axis: {ndim}")


class Queue:
    """The cells that are still to be computed, nearest to where one looks first.

    Parameters
    ----------
    grid : Grid
    waiting : bool array, of the shape of the grid
        Which cells are to be computed.
    rows : bool
        Whether cells below one another (along the first axis of space) are taken together.
    """

    def __init__(self, grid: Grid, waiting: NDArray[np.bool_], *, rows: bool) -> None:
        self.grid, self._rows = grid, rows
        self._waiting = waiting.copy()
        self._order = np.flatnonzero(self._waiting)
        self._next = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._waiting))

    def aim(self, point: Sequence[float]) -> None:
        """Bring the cells near a point (pixels of the image) to the front, nearest plane first.

        Numbers before those of the image's own axes are left out; with numbers for space only,
        the planes keep their order.

        Raises
        ------
        InputError
            U150 when the point has fewer numbers than the image has axes of space.
        """
        region = self.grid.region
        n_lead, ndim = len(region.lead), len(region.space)
        check_point(point, ndim)
        self._order = np.flatnonzero(self._waiting)
        at = np.unravel_index(self._order, self.grid.shape)
        space = zip(at[n_lead:], self.grid.tile, region.space, point[-ndim:], strict=True)
        tile_distance = sum(
            ((np.minimum((k + 1) * t, w.stop - w.start) + k * t) / 2 + w.start - p) ** 2
            for k, t, w, p in space
        )
        plane_distance = np.zeros(len(self._order))
        if len(point) >= n_lead + ndim:
            lead = zip(at[:n_lead], region.lead, point[-ndim - n_lead :], strict=False)
            plane_distance = sum(((k + w.start - p) ** 2 for k, w, p in lead), plane_distance)
        else:
            plane_distance += self._order // math.prod(self.grid.shape[n_lead:])
        self._order = self._order[np.lexsort((tile_distance, plane_distance))]
        self._next = 0

    def pop(self) -> list[Cell]:
        """Take the next cell, or the neighbours above and below that wait with it; [] when none."""
        while self._next < len(self._order):
            flat = self._order[self._next]
            self._next += 1
            cell = tuple(int(k) for k in np.unravel_index(flat, self.grid.shape))
            if self._waiting[cell]:
                return self._take(cell)
        return []

    def _take(self, cell: Cell) -> list[Cell]:
        axis = len(self.grid.region.lead)
        first, last = cell[axis], cell[axis] + 1
        index: Any = (*cell[:axis], slice(None), *cell[axis + 1 :])
        column = self._waiting[index]
        while self._rows and first > 0 and column[first - 1]:
            first -= 1
        while self._rows and last < len(column) and column[last]:
            last += 1
        column[first:last] = False
        return [(*cell[:axis], k, *cell[axis + 1 :]) for k in range(first, last)]
