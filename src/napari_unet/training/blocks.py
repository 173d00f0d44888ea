"""Which block of the labelled area of one image is held out, and how wide the gap around it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.library.split import widened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.tiling import Window
    from napari_unet.training.augment import Source

SMALLEST = 16  # labelled pixels: fewer say nothing about a network
ALIKE = 0.02  # of the pixels that are learned: blocks that differ by less are equally good


@dataclass(frozen=True, slots=True)
class Blocks:
    """Windows of one image that are held out, and the gap around them in pixels.

    Parameters
    ----------
    windows : tuple of Window
    gap : tuple of int
        Along each axis.
    held, learned : int array, (n_classes,)
        Labelled pixels of each class in the windows, and beyond the gap.
    """

    windows: tuple[Window, ...]
    gap: tuple[int, ...]
    held: NDArray[np.int64]
    learned: NDArray[np.int64]


class Labelled:
    """The labelled pixels of one image, counted by class in any window.

    Parameters
    ----------
    source : Source
        An image; values count as one class.
    """

    def __init__(self, source: Source) -> None:
        self.where = source.weights > 0
        self.classes = np.zeros_like(self.where, np.uint8) if source.has_values else source.truth
        self.counts = np.bincount(self.classes[self.where])

    def count(self, window: Window) -> NDArray[np.int64]:
        """Count the labelled pixels of each class in a window."""
        inside = self.classes[window][self.where[window]]
        return np.bincount(inside, minlength=len(self.counts))

    def count_outside(self, windows: Sequence[Window], gap: Sequence[int]) -> NDArray[np.int64]:
        """Count the labelled pixels of each class that no window is nearer to than the gap."""
        wide = [widened(window, gap, self.where.shape) for window in windows]
        if len(wide) == 1:
            return self.counts - self.count(wide[0])
        outside = self.where.copy()
        for window in wide:
            outside[window] = False
        return np.bincount(self.classes[outside], minlength=len(self.counts))


def find_blocks(
    source: Source, share: float, margin: Sequence[int], rng: np.random.Generator
) -> Blocks | None:
    """Find a block with about `share` of the labelled pixels; None where there is none.

    Slabs across each axis are compared. The best holds pixels of most classes, has the widest gap
    up to the margin, and leaves most pixels to learn from; among equals, `rng` decides. A class
    that it lacks gets a block of its own, if that leaves enough of the class and in all.

    Parameters
    ----------
    source : Source
        An image with labelled pixels.
    share : float
        Of the labelled pixels, 0 to 1.
    margin : sequence of int
        The widest gap, in pixels, along each axis: the margin of the network.
    rng : numpy.random.Generator
    """
    labelled = Labelled(source)
    slabs = (w for axis in range(labelled.where.ndim) for w in cut(labelled.where, axis, share))
    chosen = _best(_fit_all(labelled, slabs, share, margin), rng)
    if chosen is None:
        return None
    for value in np.flatnonzero((labelled.counts > 0) & (chosen.held == 0)):
        own = labelled.where & (labelled.classes == value)
        slabs = (w for axis in range(own.ndim) for w in cut(own, axis, share))
        more = [fit_gap(labelled, (*chosen.windows, slab), share, chosen.gap) for slab in slabs]
        wider = [blocks for blocks in more if blocks is not None and blocks.gap == chosen.gap]
        chosen = _best(wider, rng) or chosen
    return chosen


def find_fold(source: Source, fold: int, folds: int, margin: Sequence[int]) -> Blocks | None:
    """Return block `fold` (from 1) of `folds` that share the labelled pixels among them.

    They are slabs across the axis along which the worst of them is best; None where not every
    fold can be held out.
    """
    labelled, share = Labelled(source), 1 / folds
    best: list[Blocks] = []
    for axis in range(labelled.where.ndim):
        slabs = list(cut(labelled.where, axis, share))
        found = _fit_all(labelled, slabs, share, margin)
        if len(found) == folds and (not best or _worst(found) > _worst(best)):
            best = found
    return best[fold - 1] if best else None


def cut(labelled: NDArray[np.bool_], axis: int, share: float) -> Iterator[Window]:
    """Cut slabs across an axis that hold `share` of the labelled pixels each, as tight as can be.

    There are about 1 / share of them, the first at one end of the labelled area, the last at the
    other. Of 1 / n there are n, and every labelled pixel is in one of them.
    """
    others = tuple(k for k in range(labelled.ndim) if k != axis)
    reached = np.cumsum(np.count_nonzero(labelled, axis=others))
    for low in np.linspace(0, 1 - share, max(2, round(1 / share))):
        start, stop = (_place(reached, part) for part in (low, low + share))
        slab = [slice(None)] * labelled.ndim
        slab[axis] = slice(start, stop)
        if labelled[tuple(slab)].any():
            yield _tight(labelled, slab)


def fit_gap(
    labelled: Labelled, windows: tuple[Window, ...], share: float, margin: Sequence[int]
) -> Blocks | None:
    """Give windows the widest gap, up to the margin, that leaves enough to learn from.

    Enough is half of the labelled pixels, or two thirds of those that are not held out if that is
    less; and some of every class. None where even without a gap there is not enough, or where the
    windows hold fewer than `SMALLEST` labelled pixels.
    """
    held = sum((labelled.count(window) for window in windows), np.zeros(1, np.int64))
    enough = min(0.5, 2 / 3 * (1 - share)) * labelled.counts.sum()

    def learned(reach: int) -> NDArray[np.int64] | None:
        left = labelled.count_outside(windows, _gap(margin, reach))
        whole = left.sum() >= enough and np.array_equal(left > 0, labelled.counts > 0)
        return left if whole else None

    low, high = -1, max(margin)  # low leaves enough, or is -1
    if learned(high) is not None:
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if learned(middle) is not None else (low, middle)
    left = learned(low) if low >= 0 else None
    if left is None or held.sum() < SMALLEST:
        return None
    return Blocks(windows, _gap(margin, low), held, left)


def _fit_all(
    labelled: Labelled, slabs: Iterable[Window], share: float, margin: Sequence[int]
) -> list[Blocks]:
    found = (fit_gap(labelled, (slab,), share, margin) for slab in slabs)
    return [blocks for blocks in found if blocks is not None]


def _gap(margin: Sequence[int], reach: int) -> tuple[int, ...]:
    """Return the gap along each axis when the widest of them is `reach`."""
    return tuple(m * reach // max(*margin, 1) for m in margin)


def _place(reached: NDArray[np.int64], share: float) -> int:
    """Return how many rows from the first on hold `share` of all."""
    if share <= 0:
        return 0
    most = reached[-1]
    return int(np.searchsorted(reached, min(share * most * (1 - 1e-9), most))) + 1


def _tight(labelled: NDArray[np.bool_], slab: Sequence[slice]) -> Window:
    """Return the smallest window around the labelled pixels of a slab."""
    inside = labelled[tuple(slab)]
    window = []
    for axis, along in enumerate(slab):
        others = tuple(k for k in range(inside.ndim) if k != axis)
        places = np.flatnonzero(inside.any(axis=others)) + (along.start or 0)
        window.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(window)


def _merit(blocks: Blocks) -> tuple[Any, ...]:
    kept = round(math.log(blocks.learned.sum()) / ALIKE)
    return int((blocks.held > 0).sum()), max(blocks.gap), kept


def _worst(found: Sequence[Blocks]) -> tuple[Any, ...]:
    return min(map(_merit, found))


def _best(found: Sequence[Blocks], rng: np.random.Generator) -> Blocks | None:
    if not found:
        return None
    merit = max(map(_merit, found))
    equal = [blocks for blocks in found if _merit(blocks) == merit]
    return equal[int(rng.integers(len(equal)))]
