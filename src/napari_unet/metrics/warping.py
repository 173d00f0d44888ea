"""Warping error: mistakes that bending the boundary cannot mend (Jain et al. 2010)."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# the eight neighbours, once around: bit k of a code is set where neighbour k is inside
AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def is_simple(code: int) -> bool:
    """Whether a pixel may change sides without changing the topology.

    That is so if Yokoi's 4-connectivity number is 1: inside is 4-connected, outside
    8-connected. A region is then neither made, lost, split nor merged, and neither is a hole.

    Parameters
    ----------
    code : int
        Which of the neighbours AROUND the pixel are inside, one bit for each.
    """
    x = [code >> k & 1 for k in range(8)] * 2
    return sum(x[k] - x[k] * x[k + 1] * x[k + 2] for k in (0, 2, 4, 6)) == 1


SIMPLE = bytes(is_simple(code) for code in range(256))


def warp(
    truth: NDArray[np.bool_], target: NDArray[np.bool_], urgency: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Bend the truth towards the target, without changing its topology.

    Simple points (see `is_simple`) that differ from the target are flipped in the order of their
    urgency, round after round, until nothing changes. What lies beyond the edge is outside.

    Parameters
    ----------
    truth, target : bool array, (Y, X)
        True inside, False on boundaries.
    urgency : float array, (Y, X)
        The larger, the earlier a pixel is flipped.

    Returns
    -------
    bool array, (Y, X)
        The bent truth. The share of pixels where it still differs from the target is the
        warping error (Jain et al. 2010, https://doi.org/10.1109/CVPR.2010.5539950).

    Notes
    -----
    A pixel that could not be flipped can be flipped later only if a neighbour was, so only the
    neighbours of what was flipped are looked at again: the result is that of scanning all
    pixels in every round.
    """
    wide = np.pad(truth, 1)
    # seen from neighbour k, this pixel is neighbour k ^ 4
    around = [(dy * wide.shape[1] + dx, 1 << (k ^ 4)) for k, (dy, dx) in enumerate(AROUND)]
    codes = bytearray(_codes(wide).tobytes())
    differing = np.flatnonzero(np.pad(truth != target, 1))
    order = np.argsort(-np.pad(urgency, 1).ravel()[differing], kind="stable")
    pixels, n = differing[order].tolist(), len(differing)
    queue = [place for place, pixel in enumerate(pixels) if SIMPLE[codes[pixel]]]  # is a heap
    places = np.full(wide.size, -1)  # in the order, of what differs and is not in the queue
    places[differing[order]] = np.arange(n)
    places[differing[order][queue]] = -1
    place_of, flat = places.tolist(), bytearray(wide.tobytes())
    while queue:
        now = heappop(queue)  # n * round + place
        pixel = pixels[now % n]
        if not SIMPLE[codes[pixel]]:
            place_of[pixel] = now % n
            continue
        flat[pixel] ^= 1
        for step, bit in around:
            near = pixel + step
            codes[near] ^= bit
            if SIMPLE[codes[near]] and (place := place_of[near]) >= 0:
                later = now - now % n + place
                heappush(queue, later if later > now else later + n)
                place_of[near] = -1
    bent = np.frombuffer(flat, np.bool_).reshape(wide.shape)
    return bent[1:-1, 1:-1].copy()


def _codes(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the code of the neighbours of each pixel, uint8 (Y, X); see `is_simple`."""
    framed = np.pad(inside, 1).astype(np.uint8)
    height, width = inside.shape
    codes = np.zeros(inside.shape, np.uint8)
    for k, (dy, dx) in enumerate(AROUND):
        codes |= framed[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] << np.uint8(k)
    return codes
