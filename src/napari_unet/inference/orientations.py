"""An image looked at flipped and turned, and maps brought back as the image lies.

A flip or a turn by 90 degrees is another order of the axes, some of them read backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.keys import complete_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import View
    from napari_unet.arrays.resampled import Resampled

Window = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Orientation:
    """One way to look at an image: axes in another order, some of them backwards.

    Parameters
    ----------
    axes : tuple of int
        For each spatial axis of the oriented image, which axis of the image it is.
    backwards : tuple of bool
        For each spatial axis of the oriented image, whether it runs backwards.
    """

    axes: tuple[int, ...]
    backwards: tuple[bool, ...]

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape (*S) of the oriented image of an image of `shape` (*S)."""
        return tuple(shape[axis] for axis in self.axes)

    def window(self, window: Window, shape: Sequence[int]) -> Window:
        """Return where `window` of an image of `shape` (*S) lies in the oriented image.

        The slices have a start and a stop, and may lie outside of the image.
        """
        turned = zip(self.axes, self.backwards, strict=True)
        return tuple(_turn(window[axis], shape[axis], back) for axis, back in turned)

    def view(self, view: View | Resampled) -> OrientedView:
        """Return the oriented image (C, *S) of `view`; nothing is read before it is indexed."""
        return OrientedView(view, self)

    def back(self, oriented: NDArray[Any]) -> NDArray[Any]:
        """Return a map (K, *S) of the oriented image, or of a part of it, as the image lies."""
        axes = [0, *(int(i) + 1 for i in np.argsort(self.axes))]
        return np.flip(oriented, self._reversed()).transpose(axes)

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an array (K, *S) oriented; the inverse of `back`."""
        axes = [0, *(axis + 1 for axis in self.axes)]
        return np.flip(image.transpose(axes), self._reversed())

    def _reversed(self) -> tuple[int, ...]:
        """Return which axes of a (K, *S) array run backwards."""
        return tuple(i for i, back in enumerate(self.backwards, start=1) if back)


class OrientedView:
    """A lazy (C, *S) view that is flipped and turned; see `arrays.axes.View`.

    Parameters
    ----------
    view : View
        The image as it lies.
    orientation : Orientation
        How to look at it.

    Attributes
    ----------
    shape : tuple of int
        (C, *S) of the oriented image.
    dtype, lead, name
        As in `view`.
    """

    __slots__ = ("_orientation", "_view", "dtype", "lead", "name", "shape")

    def __init__(self, view: View | Resampled, orientation: Orientation) -> None:
        self._view, self._orientation = view, orientation
        self.shape: tuple[int, ...] = (view.shape[0], *orientation.shape(view.shape[1:]))
        self.dtype, self.lead, self.name = view.dtype, view.lead, view.name

    def __getitem__(self, key: slice | tuple[slice, ...]) -> NDArray[Any]:
        channels, *spans = complete_slices(key, self.shape)
        if any(span.step != 1 for span in spans):
            raise IndexError(f"an oriented view takes slices of step 1, not {key!r}")
        there = self._orientation
        window: list[slice] = [slice(0)] * len(spans)
        for axis, back, span in zip(there.axes, there.backwards, spans, strict=True):
            length = slice(span.start, max(span.start, span.stop))
            window[axis] = _turn(length, self._view.shape[axis + 1], back)
        return np.ascontiguousarray(there.apply(self._view[(channels, *window)]))


def orientations(ndim: int, rotations: bool) -> list[Orientation]:
    """Return the ways to look at an image that show the same things: first, as it lies.

    Parameters
    ----------
    ndim : int
        Dimensions of space, 1 to 3.
    rotations : bool
        Whether the last two axes, Y and X, may be exchanged: only where a pixel has the same
        size along both. 1-D knows no rotations.

    Returns
    -------
    list of Orientation
        A group: 2 in 1-D, 4 flips (8 with rotations) in 2-D, 8 (16) in 3-D.
    """
    straight = tuple(range(ndim))
    orders = [straight]
    if rotations and ndim > 1:
        orders.append((*straight[:-2], straight[-1], straight[-2]))
    return [
        Orientation(axes, backwards)
        for axes in orders
        for backwards in product((False, True), repeat=ndim)
    ]


def _turn(window: slice, size: int, backwards: bool) -> slice:
    """Return the same pixels of an axis of `size` pixels, counted from its other end."""
    return slice(size - window.stop, size - window.start) if backwards else window
