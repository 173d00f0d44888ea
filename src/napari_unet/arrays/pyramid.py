"""Coarser and coarser copies of an array, computed block by block."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SMALLEST = 512  # pixels: an image this long needs no coarser level


def plan_levels(shape: Sequence[int], sizes: Sequence[float]) -> list[tuple[int, ...]]:
    """Plan a pyramid: by how much each level is coarser than the image, along each axis.

    Every level halves the one before it, but not along axes that are twice as coarse already.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape (*S) of the image.
    sizes : sequence of float
        Size of a pixel along each axis, in any unit.

    Returns
    -------
    list of tuple of int
        The first is all 1: the image itself. The last level is at most 512 pixels long.

    Examples
    --------
    >>> plan_levels((20, 1500, 1500), (3.0, 1.0, 1.0))
    [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    """
    levels = [(1,) * len(shape)]
    while max(level_shape(shape, levels[-1])) > SMALLEST:
        lengths = level_shape(shape, levels[-1])
        coarse = [size * factor for size, factor in zip(sizes, levels[-1], strict=True)]
        finest = min(size for size, n in zip(coarse, lengths, strict=True) if n > 1)
        halved = [n > 1 and size < 2 * finest for n, size in zip(lengths, coarse, strict=True)]
        levels.append(tuple(f * (1 + h) for f, h in zip(levels[-1], halved, strict=True)))
    return levels


def level_shape(shape: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    """Return how many cells of `factors` pixels cover `shape`; the last may hang over."""
    return tuple(-(-n // factor) for n, factor in zip(shape, factors, strict=True))


def shrink(source: Any, target: Any, steps: Sequence[int], *, mean: bool) -> Iterator[float]:
    """Fill `target` with `source` made coarser, one chunk (or shard) of the target at a time.

    Parameters
    ----------
    source, target : zarr array
        Of as many axes.
    steps : sequence of int
        Pixels of the source per pixel of the target, along each axis.
    mean : bool
        Average the pixels of a cell, of which NaN count for nothing; else take the first one.

    Yields
    ------
    float
        The share that is done.
    """
    block = target.shards or target.chunks
    starts = [range(0, n, edge) for n, edge in zip(target.shape, block, strict=True)]
    total = math.prod(map(len, starts))
    for done, corner in enumerate(product(*starts), start=1):
        ends = map(min, target.shape, map(sum, zip(corner, block, strict=True)))
        window = tuple(map(slice, corner, ends))
        below = tuple(slice(w.start * s, w.stop * s) for w, s in zip(window, steps, strict=True))
        pixels = np.asarray(source[below])
        target[window] = average(pixels, steps) if mean else pixels[tuple(map(_every, steps))]
        yield done / total


def average(pixels: NDArray[Any], steps: Sequence[int]) -> NDArray[Any]:
    """Return the mean of every cell of `steps` pixels, in the type of the pixels.

    NaN count for nothing; a cell of nothing else is NaN. Cells at the far edge may be smaller.
    """
    precise = np.result_type(pixels.dtype, np.float32)
    counted = ~np.isnan(pixels)
    total = np.where(counted, pixels, 0).astype(precise, copy=False)
    count = counted.astype(np.float32)
    for axis, step in enumerate(steps):
        total, count = _add_up(total, axis, step), _add_up(count, axis, step)
    with np.errstate(invalid="ignore"):  # 0 / 0
        means = total / count
    if pixels.dtype.kind in "iu":
        means = np.rint(means)
    averaged: NDArray[Any] = means.astype(pixels.dtype)
    return averaged


def _add_up(pixels: NDArray[Any], axis: int, step: int) -> NDArray[Any]:
    """Add up every `step` pixels that follow one another along an axis."""
    along = np.moveaxis(pixels, axis, 0)
    sums = along[::step].copy(order="K")
    for k in range(1, step):
        others = along[k::step]
        sums[: len(others)] += others
    return np.moveaxis(sums, 0, axis)


def _every(step: int) -> slice:
    return slice(None, None, step)
