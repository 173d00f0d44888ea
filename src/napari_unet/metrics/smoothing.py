"""A long, noisy curve as a short, calm one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def smooth(steps: Float64, values: Float64, width: int, most: int) -> tuple[Float64, Float64]:
    """Return a curve as the mean over `width` values, drawn in few points.

    The mean lies in the middle of what it is of, so that nothing comes late; towards the ends
    it is of fewer values. Sums are taken anew for every point rather than carried along: after
    a peak of 1e30 a sum that is carried along has forgotten all that is small.

    Parameters
    ----------
    steps, values : float64 arrays, (N,)
        The curve, all of it finite.
    width : int
        Values in a mean; 1 takes none, and a long curve then keeps the lowest and the highest
        value of every stretch.
    most : int
        Stretches into which a long curve is cut.

    Returns
    -------
    tuple of float64 arrays, (M,)
        Steps and values, M <= 2 * most + 2; with means M <= most + 1.
    """
    stretch = max(1, -(-len(values) // most))
    if stretch > 1 and width == 1:
        return _extremes(steps, values, stretch)
    steps, values = _means(steps, stretch), _means(values, stretch)
    width = min(max(1, round(width / stretch)), len(values)) // 2 * 2 + 1  # it has a middle
    if width == 1 or len(values) < 2:
        return steps, values
    ones = np.ones(width)
    counts = np.convolve(np.ones(len(values)), ones, "full")
    sums = np.convolve(values, ones, "full")
    middle = slice(width // 2, width // 2 + len(values))
    return steps, sums[middle] / counts[middle]


def _means(values: Float64, stretch: int) -> Float64:
    """Return the mean of every stretch; the last may be shorter."""
    whole = len(values) // stretch * stretch
    means = values[:whole].reshape(-1, stretch).mean(axis=1)
    return means if whole == len(values) else np.append(means, values[whole:].mean())


def _extremes(steps: Float64, values: Float64, stretch: int) -> tuple[Float64, Float64]:
    """Return the lowest and the highest value of every stretch, in the order of the steps."""
    starts = np.arange(0, len(values), stretch)
    found = []
    for pick in (np.argmin, np.argmax):
        whole = len(values) // stretch * stretch
        at = pick(values[:whole].reshape(-1, stretch), axis=1)
        found.append(starts[: len(at)] + at)
        if whole < len(values):
            found.append(np.array([whole + pick(values[whole:])]))
    kept = np.unique(np.concatenate(found))
    return steps[kept], values[kept]
