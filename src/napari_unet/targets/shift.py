"""Whether labels lie where the image has its edges, or beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft
from scipy.ndimage import find_objects, gaussian_gradient_magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Window = tuple[slice, ...]

REACH = 12  # pixels: the largest shift that is looked for
LEAST = 2  # pixels: what drawing by hand may miss
FEWEST = 100  # pixels of boundary, below which nothing can be said
EDGE_SIGMA = 1.0  # pixels, of the gradient of the image
DISTINCT = 2.5  # strength times distinctness of the peak; see `find_shift`
IN_PLACE = 0.55  # of the peak: what the labels reach where they are, if they are wrong
LOOKED_AT: Mapping[int, int] = {1: 2**16, 2: 512, 3: 96}  # pixels per axis, by dimension


def find_shift(
    image: NDArray[Any], classes: NDArray[Any], labelled: NDArray[np.bool_]
) -> tuple[int, ...] | None:
    """Return by how much labels are shifted against their image, where that is beyond doubt.

    How strong the edges of the image are under the boundaries of the labels is measured for
    every shift of up to 12 pixels along each axis (a cross-correlation by FFT), in standard
    deviations above the mean of the image. A shift is reported if it is larger than 2 pixels,
    if the labels as they are reach less than 0.55 of what the best shift reaches above the
    median of all, and if that peak is strong and distinct: its value times its height over the
    median, in standard deviations of the values of all shifts, is above 2.5.

    Parameters
    ----------
    image : array, (C, *S)
        Finite.
    classes : integer array, (*S)
        Classes or object numbers. Of two that touch, the line between them is a boundary.
    labelled : bool array, (*S)
        Where `classes` hold; a boundary to what is not labelled is none.

    Returns
    -------
    tuple of int, or None
        Pixels along each axis by which the labels lie too far; None where they fit, or where
        edges and boundaries have so little to do with each other that nothing can be said.
    """
    boundary = _boundary(classes, labelled)
    if np.count_nonzero(boundary) < FEWEST:
        return None
    window = _window(boundary)
    reach = min(REACH, min(boundary[window].shape) // 3)
    edges = _edges(image[(slice(None), *window)])
    if reach <= LEAST or not edges.std() > 0:
        return None
    strength = _strength(edges, boundary[window], reach)
    peak = np.unravel_index(np.argmax(strength), strength.shape)
    offset = tuple(reach - int(place) for place in peak)
    median, spread = float(np.median(strength)), float(strength.std())
    best, here = float(strength[peak]), float(strength[(reach,) * strength.ndim])
    distinct = best * (best - median) > DISTINCT * spread
    wrong = here - median < IN_PLACE * (best - median)
    return offset if max(map(abs, offset)) > LEAST and distinct and wrong else None


def _boundary(classes: NDArray[Any], labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels on both sides of every border between two labelled classes."""
    marked = np.zeros(classes.shape, bool)
    for axis in range(classes.ndim):
        before: list[slice] = [slice(None)] * classes.ndim
        after = list(before)
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(before), tuple(after)
        differs = (classes[one] != classes[other]) & labelled[one] & labelled[other]
        marked[one] |= differs
        marked[other] |= differs
    return marked


def _window(boundary: NDArray[np.bool_]) -> Window:
    """Return the surroundings of the boundaries; of large ones a part around the middle pixel."""
    (box,) = find_objects(boundary.view(np.uint8))
    most = LOOKED_AT[boundary.ndim]
    inside = np.flatnonzero(boundary[box])
    middle = np.unravel_index(inside[len(inside) // 2], boundary[box].shape)
    window = []
    for edge, centre, n in zip(box, middle, boundary.shape, strict=True):
        start, stop = max(edge.start - REACH, 0), min(edge.stop + REACH, n)
        if stop - start > most:
            start = min(max(edge.start + int(centre) - most // 2, start), stop - most)
            stop = start + most
        window.append(slice(start, stop))
    return tuple(window)


def _edges(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return how steep the image is; the root keeps a few bright spots from deciding alone."""
    channels = (np.asarray(channel, np.float32) for channel in image)
    steep = sum(gaussian_gradient_magnitude(channel, EDGE_SIGMA) for channel in channels)
    return np.sqrt(np.asarray(steep, np.float32))


def _strength(
    edges: NDArray[np.float32], boundary: NDArray[np.bool_], reach: int
) -> NDArray[np.float32]:
    """Return the mean of the edges under boundaries moved by -reach to reach along each axis.

    In standard deviations of the edges above their mean, which is also what lies outside.
    """
    shape: Sequence[int] = [fft.next_fast_len(n + reach, real=True) for n in edges.shape]
    level = (edges - edges.mean()) / edges.std()
    spectrum = np.conj(fft.rfftn(boundary.astype(np.float32), shape)) * fft.rfftn(level, shape)
    sums = fft.irfftn(spectrum, shape)
    sums = np.roll(sums, (reach,) * edges.ndim, axis=tuple(range(edges.ndim)))
    near = sums[(slice(0, 2 * reach + 1),) * edges.ndim]
    return np.asarray(near / np.count_nonzero(boundary), np.float32)
