"""Which tiles of a result are written: a stopped prediction goes on where it was.

A missing chunk is no proof: zarr stores none for a tile of zeros.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.ome_zarr import LEDGER
from napari_unet.config import InputError
from napari_unet.inference.planned import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.inference.grid import Cell, Grid
    from napari_unet.tiling import Window

NUMBERED = "numbered"  # attribute: the instances are complete
CHUNK = 64  # cells of a chunk along the last axis


class Ledger:
    """Counts what is written; on disk, where the result is a zarr group.

    Parameters
    ----------
    grid : Grid
        The tiles.
    done : bool array, of the shape of the grid
        Which are written, or need not be.
    array : zarr.Array, optional
        Where 1 is kept for each of them, uint8.
    """

    def __init__(self, grid: Grid, done: NDArray[np.bool_], array: Any = None) -> None:
        self.grid, self.done, self._array = grid, done.copy(), array
        self._pixels: dict[Cell, int] = {}  # of cells that are written in parts

    def add(self, lead: Sequence[int], window: Window) -> Cell | None:
        """Note that a window of the image is written; mark its tile, and return it, once it is."""
        cell = self.grid.cell(lead, window)
        written = self._pixels.pop(cell, 0) + _size(window)
        if written < _size(self.grid.window(cell)):
            self._pixels[cell] = written
            return None
        self.mark(cell)
        return cell

    def mark(self, cell: Cell) -> None:
        """Mark a tile as written."""
        self.done[cell] = True
        if self._array is not None:
            self._array[cell] = 1

    @property
    def numbered(self) -> bool:
        """Whether the objects of the result are found, too."""
        return self._array is not None and bool(self._array.attrs.get(NUMBERED))

    def mark_numbered(self) -> None:
        """Note that they are."""
        if self._array is not None:
            self._array.attrs[NUMBERED] = True


def begin_ledger(group: Any, grid: Grid, plan: Plan, made_of: Mapping[str, Any]) -> Ledger:
    """Make the ledger of a new result.

    Parameters
    ----------
    group : zarr.Group or None
        Of the result. None: the ledger is kept in memory only.
    grid : Grid
        The tiles; what its outline does not reach into counts as written.
    plan : Plan
        How they are computed.
    made_of : mapping
        What the result depends on, as JSON has it.
    """
    done = ~grid.reached()
    array = None
    if group is not None:
        array = group.create_array(
            LEDGER,
            shape=grid.shape,
            dtype=np.uint8,
            chunks=(*(1,) * (len(grid.shape) - 1), min(CHUNK, grid.shape[-1])),
            attributes={"made_of": dict(made_of), "plan": asdict(plan)},
        )
        if done.any():
            array[...] = done.astype(np.uint8)
    return Ledger(grid, done, array)


def read_plan(group: Any, made_of: Mapping[str, Any], name: str) -> Plan | None:
    """Return the plan of an unfinished result; None where it was stopped before it had one.

    Raises
    ------
    InputError
        U151 when it was made of something else, or by a version that kept no ledger.
    """
    if not len(group):
        return None
    found = group.get(LEDGER, group).attrs.asdict()  # a complete group says it itself
    if not {"made_of", "plan"} <= set(found):
        what = f"{name} does not say which of its tiles are written"
        raise InputError("U151", what, "predict it again, without resuming")
    before = found["made_of"]
    for key in dict.fromkeys((*made_of, *before)):
        if before.get(key) != made_of.get(key):
            what = f"{name} was begun with {key} {before.get(key)}, not {made_of.get(key)}"
            raise InputError("U151", what, "resume with the same, or choose another name")
    plan = found["plan"]
    return Plan(**{**plan, "tile": tuple(plan["tile"]), "margin": tuple(plan["margin"])})


def open_ledger(group: Any, grid: Grid) -> Ledger:
    """Open the ledger of an unfinished result, to go on with it."""
    array = group[LEDGER]
    return Ledger(grid, (np.asarray(array[...]) == 1) | ~grid.reached(), array)


def _size(window: Window) -> int:
    return math.prod(w.stop - w.start for w in window)
