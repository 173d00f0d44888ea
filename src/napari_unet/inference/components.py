"""Connected regions of an array of any size, found block by block.

Each block is labelled on its own; regions that meet at a face between two blocks are joined in
a graph of regions. What is held grows with the number of regions, not with the array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import find_objects
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

Window = tuple[slice, ...]

LARGEST_ID = 2**32 - 1
BYTES_PER_REGION = 240  # the tables of a volume and what is made from them; 170 measured


@dataclass(frozen=True, slots=True)
class Regions:
    """What is known of n regions of an array.

    Parameters
    ----------
    sizes : int64 array, (n,)
        Pixels of each.
    firsts : int64 array, (n,)
        The first pixel of each in reading order of the whole array, counted from 0.
    kinds : integer array, (n,)
        The class of each.
    starts, stops : int64 arrays, (n, ndim)
        The smallest box around each.
    """

    sizes: NDArray[np.int64]
    firsts: NDArray[np.int64]
    kinds: NDArray[np.integer[Any]]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def tables(self) -> list[NDArray[Any]]:
        """All of it, one array after the other."""
        return [getattr(self, field.name) for field in fields(self)]

    def take(self, index: NDArray[np.integer[Any]]) -> Regions:
        """Return the regions at `index`, in that order."""
        return Regions(*(each[index] for each in self.tables))


def pool_regions(parts: Sequence[Regions]) -> Regions:
    """Put the regions of all `parts` one behind the other."""
    tables = zip(*(part.tables for part in parts), strict=True)
    return Regions(*(np.concatenate(each) for each in tables))


@dataclass(frozen=True, slots=True)
class Blocks:
    """An array of `shape` in blocks of `edges` pixels per axis, counted in reading order."""

    shape: tuple[int, ...]
    edges: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """How many blocks there are along each axis."""
        return tuple(-(-n // edge) for n, edge in zip(self.shape, self.edges, strict=True))

    def __len__(self) -> int:
        return math.prod(self.grid)

    def __iter__(self) -> Iterator[Window]:
        axes = zip(self.shape, self.edges, strict=True)
        return product(*([slice(i, min(i + e, n)) for i in range(0, n, e)] for n, e in axes))

    def before(self, index: int) -> Iterator[tuple[int, int]]:
        """Yield each axis along which a block has one before it, and the index of that block."""
        place = np.unravel_index(index, self.grid)
        for axis in range(len(place)):
            if place[axis] > 0:
                yield axis, index - math.prod(self.grid[axis + 1 :])


def label_components(
    classes: Any,
    out: Any,
    blocks: Blocks,
    memory_bytes: int,
    *,
    values: Sequence[int] | None = None,
    smallest: int = 0,
) -> Generator[float, None, Regions]:
    """Number the connected regions of one class in `out`, 1, 2, 3, ... in reading order.

    Pixels are connected by their faces, so that a line of background one pixel wide parts what
    lies on both sides of it, whatever its direction. The order is that of the first pixels.

    Parameters
    ----------
    classes : array-like, (*S)
        Integers, lazy or not; read block by block.
    out : array-like, (*S)
        uint32; whatever it holds is overwritten.
    blocks : Blocks
        Of chunks of `out`, or multiples.
    memory_bytes : int
        For the tables of regions, beyond some 40 bytes for each pixel of a block.
    values : sequence of int, optional
        The classes that have regions; all but 0 if None.
    smallest : int
        Regions of fewer pixels are left out.

    Yields
    ------
    float
        The share that is done.

    Returns
    -------
    Regions
        Those that have numbers, in their order.

    Raises
    ------
    InputError
        U161 when there are too many regions for the memory, U150 for more than 2**32 - 1.
    """
    pieces: list[Regions] = []
    met: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
    bounds = [0]  # of the pieces of each block among all pieces
    for i, window in enumerate(blocks):
        kinds = _choose(np.asarray(classes[window]), values)
        labels = _label(kinds)
        out[window] = labels
        pieces.append(describe(labels, kinds, window, blocks.shape))
        bounds.append(bounds[-1] + len(pieces[-1]))
        _check_memory(bounds[-1], memory_bytes)
        for axis, j in blocks.before(i):
            if len(pieces[i]) and len(pieces[j]):
                pairs = _meet(out, labels, window, axis)
                same = pieces[j].kinds[pairs[:, 0]] == pieces[i].kinds[pairs[:, 1]]
                met.append(pairs[same] + [bounds[j], bounds[i]])
        yield (i + 1) / len(blocks) / 2
    regions, joined = _join(pool_regions(pieces), np.concatenate(met))
    order = rank(regions, smallest)
    ids = make_table(order, len(regions))[1:][joined]
    tables = (np.append(np.uint32(0), ids[first:last]) for first, last in pairwise(bounds))
    for done in relabel(out, blocks, tables):
        yield 0.5 + done / 2
    return regions.take(order)


def describe(
    labels: NDArray[np.integer[Any]],
    kinds: NDArray[np.integer[Any]],
    window: Window,
    shape: Sequence[int],
) -> Regions:
    """Measure the regions 1, 2, 3, ... (none missing) of a part of an array.

    Parameters
    ----------
    labels, kinds : integer arrays, (*S)
        The part: number and class of each pixel; 0 is background in `labels`.
    window : tuple of slice
        Where the part lies in the array.
    shape : sequence of int
        Of the whole array.
    """
    at = np.flatnonzero(labels)
    ids = labels.ravel()[at]
    n = int(ids.max(initial=0))
    firsts = np.zeros(n + 1, np.intp)
    firsts[ids[::-1]] = at[::-1]  # where several pixels are assigned, the last one stays
    first = np.unravel_index(firsts[1:], labels.shape)
    start = np.array([w.start for w in window])
    place = tuple(np.stack(first) + start[:, None])
    found = find_objects(labels.astype(np.int64, copy=False))
    boxes = np.array([[(s.start, s.stop) for s in box] for box in found if box], np.int64)
    boxes = boxes.reshape(n, labels.ndim, 2) + start[:, None]
    return Regions(
        np.bincount(ids, minlength=n + 1)[1:],
        np.ravel_multi_index(place, tuple(shape)).astype(np.int64),
        kinds[first],
        boxes[..., 0],
        boxes[..., 1],
    )


def rank(regions: Regions, smallest: int) -> NDArray[np.intp]:
    """Return which regions have at least `smallest` pixels, by the order of their first ones.

    Raises InputError U150 when there are more than 2**32 - 1.
    """
    kept = np.flatnonzero(regions.sizes >= max(smallest, 1))
    if len(kept) > LARGEST_ID:
        raise InputError(
            "U150",
            f"{len(kept):,} objects of at least {smallest} pixels, of which {LARGEST_ID:,} can "
            "have numbers",
            "raise instances.smallest_px",
        )
    return kept[np.argsort(regions.firsts[kept], kind="stable")]


def make_table(order: NDArray[np.intp], n: int) -> NDArray[np.uint32]:
    """Return the new numbers of background (0) and of `n` regions, of which `order` is kept."""
    table = np.zeros(n + 1, np.uint32)
    table[order + 1] = np.arange(1, len(order) + 1)
    return table


def relabel(
    out: Any, blocks: Blocks, tables: Iterable[NDArray[np.uint32]]
) -> Generator[float, None, None]:
    """Replace the numbers 0, 1, 2, ... of each block by those of its table; yield what is done."""
    for i, (window, table) in enumerate(zip(blocks, tables, strict=False), start=1):
        if len(table) > 1:  # else there is nothing but background
            out[window] = table[np.asarray(out[window])]
        yield i / len(blocks)


def _choose(classes: NDArray[Any], values: Sequence[int] | None) -> NDArray[Any]:
    """Return a number for each pixel that is the same within a class; 0 has no regions."""
    if values is None:
        return classes
    kinds = np.zeros(classes.shape, np.uint16)
    for kind, value in enumerate(values, start=1):
        kinds[classes == value] = kind
    return kinds


def _label(kinds: NDArray[Any]) -> NDArray[np.uint32]:
    """Number the connected regions of equal kind 1, 2, 3, ...; 0 stays 0."""
    one = kinds if np.any((kinds != 0) & (kinds != kinds.max())) else kinds != 0
    found: NDArray[Any] = label(one, background=0, connectivity=1)  # four times as fast for bool
    return found.astype(np.uint32)


def _meet(out: Any, labels: NDArray[np.uint32], window: Window, axis: int) -> NDArray[np.int64]:
    """Return which regions of the block before meet which of this one, (n, 2), counted from 0."""
    start = window[axis].start
    face = (*window[:axis], slice(start - 1, start), *window[axis + 1 :])
    before, here = np.asarray(out[face]).ravel(), labels.take([0], axis).ravel()
    both = (before > 0) & (here > 0)
    n = int(here.max()) + 1
    pairs = np.unique(before[both].astype(np.int64) * n + here[both])
    return np.stack(np.divmod(pairs, n), axis=1) - 1


def _join(pieces: Regions, met: NDArray[np.int64]) -> tuple[Regions, NDArray[np.int32]]:
    """Join pieces that met; return the regions, and of which region each piece is."""
    n_pieces = len(pieces)
    graph = coo_matrix((np.ones(len(met), bool), (met[:, 0], met[:, 1])), (n_pieces, n_pieces))
    n, joined = connected_components(graph, directed=False)
    regions = Regions(
        np.zeros(n, np.int64),
        np.full(n, np.iinfo(np.int64).max),
        np.zeros(n, pieces.kinds.dtype),
        np.full((n, pieces.starts.shape[1]), np.iinfo(np.int64).max),
        np.zeros((n, pieces.stops.shape[1]), np.int64),
    )
    np.add.at(regions.sizes, joined, pieces.sizes)
    np.minimum.at(regions.firsts, joined, pieces.firsts)
    regions.kinds[joined] = pieces.kinds
    np.minimum.at(regions.starts, joined, pieces.starts)
    np.maximum.at(regions.stops, joined, pieces.stops)
    return regions, joined


def _check_memory(n_regions: int, memory_bytes: int) -> None:
    needed = n_regions * BYTES_PER_REGION
    if needed > memory_bytes:
        raise InputError(
            "U161",
            f"{n_regions:,} pieces of objects take {needed / 2**20:,.0f} MiB, "
            f"{memory_bytes / 2**20:,.0f} MiB are allowed",
            "look at the classes: so many pieces are noise; or raise memory_gib",
        )
