"""Part objects where they are narrow: a watershed on their depth, object by object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import generate_binary_structure
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from napari_unet.inference.components import describe, pool_regions
from napari_unet.targets.nearest import two_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.inference.components import Blocks, Regions, Window

    Labels = NDArray[np.integer[Any]]

BYTES_PER_PIXEL = 100  # of the box around an object while it is parted; 72 measured


def part_object(
    mask: NDArray[np.bool_], neck_px: float, spacing: Sequence[float] | None = None
) -> Labels:
    """Part a connected object at its necks.

    The depth of a pixel is its distance to the nearest pixel outside of the object. A summit of
    it makes an object of its own if the way to any higher one descends by more than `neck_px`
    (h-maxima: Soille 2004, section 6.3.4); a watershed from these summits shares the pixels out
    (Beucher and Meyer 1993). Beyond the edge of `mask` the object is taken to go on.

    Parameters
    ----------
    mask : bool array, (*S)
        One object, connected by faces, in 1 to 3 dimensions, with at least one pixel of what is
        around it on every side on which the image goes on.
    neck_px : float
        How much deeper than the neck between them two parts must be, in pixels (with `spacing`,
        of the finest axis).
    spacing : sequence of float, optional
        Size of a pixel along each axis.

    Returns
    -------
    integer array, (*S)
        1, 2, 3, ... on the parts, 1 on all of an object without necks; 0 outside.
    """
    whole: Labels = mask.astype(np.uint8)
    if mask.ndim == 1 or mask.all():  # an interval has no neck, and what fills all no depth
        return whole
    sizes = np.ones(mask.ndim) if spacing is None else np.asarray(spacing) / min(spacing)
    depth = np.sqrt(two_nearest(~mask, tuple(sizes))[0])
    summits = local_maxima(depth, connectivity=1) & (depth > depth[mask].min() + neck_px)
    if label(summits, connectivity=1).max() < 2:  # the costly search can find no more
        return whole
    faces = generate_binary_structure(mask.ndim, 1)
    flooded = reconstruction(depth - np.float32(neck_px), depth, footprint=faces)
    seeds = label(local_maxima(flooded, connectivity=1) & mask, connectivity=1)
    if seeds.max() < 2:
        return whole
    parts: Labels = watershed(-depth, seeds, connectivity=1, mask=mask)
    return parts


def part_regions(
    out: Any,
    regions: Regions,
    which: NDArray[np.intp],
    blocks: Blocks,
    part: Callable[[NDArray[np.bool_]], Labels],
) -> Generator[float, None, Regions]:
    """Part those of the regions numbered in `out` that have necks.

    Each is looked at alone, in its own box, so that it is parted in the same way wherever the
    blocks end.

    Parameters
    ----------
    out : array-like, (*S)
        uint32; region i of `regions` has the number i + 1. Parts get the numbers above.
    regions : Regions
        Of those that are parted, the size becomes 0.
    which : integer array
        The regions to look at.
    blocks : Blocks
        Regions that begin in the same one are read together.
    part : callable
        Takes a mask (*S') and returns its parts, such as `part_object`.

    Yields
    ------
    float
        The share that is done.

    Returns
    -------
    Regions
        Those given, and all parts behind them.
    """
    found = [regions]
    n = len(regions)
    groups = _group(regions, which, blocks)
    for done, group in enumerate(groups, start=1):
        boxes = boxes_around(regions.take(group), blocks.shape)
        corner = boxes[:, 0].min(axis=0)
        window = _window(corner, boxes[:, 1].max(axis=0))
        numbers = np.asarray(out[window])
        before = n
        for i, (start, stop) in zip(group, boxes, strict=True):
            crop = numbers[_window(start - corner, stop - corner)]
            mask = crop == i + 1
            parts = part(mask)
            if parts.max() < 2:
                continue
            kinds = np.broadcast_to(regions.kinds[i], parts.shape)
            found.append(describe(parts, kinds, _window(start, stop), blocks.shape))
            crop[mask] = parts[mask] + np.uint32(n)
            regions.sizes[i] = 0
            n += len(found[-1])
        if n > before:
            out[window] = numbers
        yield done / len(groups)
    return pool_regions(found)


def boxes_around(regions: Regions, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the boxes of regions and one pixel on every side within `shape`: (n, 2, ndim)."""
    starts = np.maximum(regions.starts - 1, 0)
    return np.stack([starts, np.minimum(regions.stops + 1, shape)], axis=1)


def _group(regions: Regions, which: NDArray[np.intp], blocks: Blocks) -> list[NDArray[np.intp]]:
    """Put those that begin in the same block together, but what is larger than a block alone."""
    if not len(which):
        return []
    starts, stops = regions.starts[which], regions.stops[which]
    block = np.ravel_multi_index(tuple((starts // blocks.edges).T), blocks.grid)
    large = np.any(stops - starts > blocks.edges, axis=1)
    key = np.where(large, len(blocks) + np.arange(len(which)), block)
    order = np.argsort(key, kind="stable")
    return np.split(which[order], np.flatnonzero(np.diff(key[order])) + 1)


def _window(start: NDArray[np.int64], stop: NDArray[np.int64]) -> Window:
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
