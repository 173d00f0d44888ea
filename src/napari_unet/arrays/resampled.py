"""Images seen at another size of pixels: lazily, and in blocks as in one piece.

Two grids of pixels lie on each other edge to edge. Each value of one is the mean of the other over
a box around its centre, as wide as a pixel of the coarser grid: where pixels become coarser, the
mean over the area that each covers, as a camera would see it; where they become finer, that box
meets two pixels, and its mean is their linear interpolation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.keys import complete_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import View

    Window = tuple[slice, ...]


def resampled_shape(
    shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]
) -> tuple[int, ...]:
    """Return how many pixels of size `wanted` cover `shape` pixels of size `spacing`, rounded.

    Examples
    --------
    >>> resampled_shape((100, 101), (0.65, 0.65), (0.325, 1.3))
    (200, 50)
    """
    sizes = zip(shape, spacing, wanted, strict=True)
    return tuple(max(1, round(n * here / there)) for n, here, there in sizes)


def needed(window: Window, scale: Sequence[float], shape: Sequence[int]) -> Window:
    """Return the pixels of an image of which a window of it at another size of pixels is made.

    Parameters
    ----------
    window : tuple of slice
        Pixels of the image as it is seen.
    scale : sequence of float
        Pixels as they are per pixel as it is seen, along each axis.
    shape : sequence of int
        (*S) of the image as it is.
    """
    found = []
    for w, ratio, n in zip(window, scale, shape, strict=True):
        if ratio == 1 or w.stop <= w.start:
            found.append(w)
            continue
        first, _ = _reach(np.asarray([w.start, w.stop - 1]), ratio)
        found.append(slice(max(int(first[0]), 0), min(int(first[1]) + _taps(ratio), n)))
    return tuple(found)


def resample(
    block: NDArray[Any], at: Window, window: Window, scale: Sequence[float]
) -> NDArray[np.float32]:
    """Return a window of an image at another size of pixels.

    Parameters
    ----------
    block : array, (C, *at)
        Pixels of the image as it is, at least those that are `needed`; it is taken to end where
        they end.
    at : tuple of slice
        Which pixels these are.
    window : tuple of slice
        Which pixels are wanted, of the image as it is seen.
    scale : sequence of float
        Pixels as they are per pixel as it is seen, along each axis.

    Returns
    -------
    float32 array, (C, *window)
        Pixels that touch one that is not finite are not finite.
    """
    found = np.asarray(block, np.float32)
    for axis, (a, w, ratio) in enumerate(zip(at, window, scale, strict=True), start=1):
        if ratio == 1:
            found = found[(slice(None),) * axis + (slice(w.start - a.start, w.stop - a.start),)]
            continue
        found = _blend(found, axis, a, np.arange(w.start, w.stop), ratio)
    return np.ascontiguousarray(found)


class Resampled:
    """A lazy (C, *S) view of an image whose pixels have another size; see `arrays.axes.View`.

    A window reads what it needs only, and is the same, bit for bit, as cut from the whole.

    Parameters
    ----------
    view : View
        The image as it is.
    shape : sequence of int
        (*S) as it is seen; covers the image edge to edge.
    nearest : bool
        Take the nearest pixel, in the type of the image, as labels need it; else blend, float32.

    Attributes
    ----------
    shape : tuple of int
        (C, *S) as it is seen.
    dtype : numpy.dtype
    lead, name
        As in `view`.
    """

    __slots__ = ("_nearest", "_view", "dtype", "lead", "name", "scale", "shape")

    def __init__(self, view: View, shape: Sequence[int], *, nearest: bool = False) -> None:
        self._view, self._nearest = view, nearest
        self.shape: tuple[int, ...] = (view.shape[0], *shape)
        self.scale = tuple(m / n for m, n in zip(view.shape[1:], shape, strict=True))
        self.dtype: np.dtype[Any] = view.dtype if nearest else np.dtype(np.float32)
        self.lead, self.name = view.lead, view.name

    def __getitem__(self, key: slice | tuple[slice, ...]) -> NDArray[Any]:
        channels, *window = complete_slices(key, self.shape)
        if any(w.step != 1 for w in window):
            raise IndexError(f"a resampled view takes slices of step 1, not {key!r}")
        if self._nearest:
            return self._pick(channels, window)
        at = needed(tuple(window), self.scale, self._view.shape[1:])
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            block = self._view[(channels, *at)].astype(np.float32, copy=False)
        return resample(block, at, tuple(window), self.scale)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        block = self[:]
        return block if dtype is None else block.astype(dtype, copy=False)

    def _pick(self, channels: slice, window: Sequence[slice]) -> NDArray[Any]:
        """Return the nearest pixels; of two that are as near, the later."""
        sizes = zip(window, self.shape[1:], self._view.shape[1:], strict=True)
        chosen = [(2 * np.arange(w.start, w.stop) + 1) * m // (2 * n) for w, n, m in sizes]
        if not all(map(len, chosen)):
            return np.empty((len(range(*channels.indices(self.shape[0]))), *map(len, chosen)),
                            self.dtype)  # fmt: skip
        at = tuple(slice(int(index[0]), int(index[-1]) + 1) for index in chosen)
        block = self._view[(channels, *at)]
        for axis, (index, a) in enumerate(zip(chosen, at, strict=True), start=1):
            block = block.take(index - a.start, axis=axis)
        return block


def _taps(ratio: float) -> int:
    """Return how many pixels a box meets, at most."""
    return math.ceil(max(1.0, ratio)) + 1


def _reach(index: NDArray[np.intp], ratio: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the first pixel that the box of each may meet, and its centre."""
    centre = (index.astype(np.float64) + 0.5) * ratio - 0.5
    first = np.floor(centre - max(1.0, ratio) / 2 + 0.5).astype(np.intp)
    return first, centre


def _blend(
    block: NDArray[np.float32], axis: int, at: slice, index: NDArray[np.intp], ratio: float
) -> NDArray[np.float32]:
    """Blend pixels along an axis, one after the other: every element alike, in blocks or whole."""
    first, centre = _reach(index, ratio)
    half = max(1.0, ratio) / 2
    taps = first + np.arange(_taps(ratio))[:, None]
    weights = np.minimum(taps + 0.5, centre + half) - np.maximum(taps - 0.5, centre - half)
    weights[(weights < 0) | (taps < at.start) | (taps >= at.stop)] = 0
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    middle = np.clip(np.rint(centre).astype(np.intp), at.start, at.stop - 1)
    taps = np.where(weights > 0, taps, middle) - at.start  # 0 times NaN would spread it
    along = (-1, *(1,) * (block.ndim - 1 - axis))
    total = np.zeros((*block.shape[:axis], len(index), *block.shape[axis + 1 :]), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # 0 times infinity
        for tap, weight in zip(taps, weights, strict=True):
            total += block.take(tap, axis=axis) * weight.reshape(along)
    return total
