"""Part touching objects by a line of background."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Offset = tuple[int, ...]


def carve_ridge(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Turn a pixel into background where its upper-left half-neighbourhood meets another object.

    That half has 1 of the 2 neighbours of a pixel in 1-D, 4 of 8 in 2-D and 13 of 26 in 3-D
    (Falk et al. 2019, https://doi.org/10.1038/s41592-018-0261-2). Neighbours are looked at one
    direction after the other, and a pixel that was carved parts its neighbours already, so a
    straight line is one pixel wide; judging all pixels by the labels as they came, as the
    authors' code does, makes it two pixels wide between a left and a right object. Afterwards
    no two objects touch, not even by a corner. An object of one or two pixels across may vanish.

    Parameters
    ----------
    labels : integer array, (*S)
        0 is background, every object has its own number.

    Returns
    -------
    integer array, (*S)
        A new array of the same dtype.
    """
    carved = labels.copy()
    for offset in _upper_left(labels.ndim):
        here, there = _overlap(offset)
        a, b = carved[here], carved[there]
        carved[here] = np.where((a != b) & (b > 0), carved.dtype.type(0), a)
    return carved


def _upper_left(ndim: int) -> list[Offset]:
    """Return the neighbours that come before a pixel in reading order, the nearest first."""
    before = [offset for offset in product((-1, 0, 1), repeat=ndim) if offset < (0,) * ndim]
    return sorted(before, key=lambda offset: sum(map(abs, offset)))


def _overlap(offset: Offset) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the windows of the pixels that have a neighbour at `offset`, and of the neighbours."""

    def window(shift: Offset) -> tuple[slice, ...]:
        return tuple(slice(max(-s, 0), -s if s > 0 else None) for s in shift)

    return window(offset), window(tuple(-s for s in offset))
