"""Read windows that hang over the edge of an image: what lies outside is mirrored.

Nothing is padded or copied whole; the image may be a memory map, zarr, dask or a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Window = tuple[slice, ...]


class Channels(Protocol):
    """What has a shape (C, *S) and is read in windows: an array, a View, one that is turned."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *S)."""

    def __getitem__(self, key: Window, /) -> NDArray[Any]:
        """Read a block, one slice for each axis."""


def mirror(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Fold indices outside [0, size) back in, without repeating the edge: -1 -> 1."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    folded = np.abs(index) % period
    return np.where(folded < size, folded, period - folded)


def read_mirrored(image: Channels, window: Window) -> NDArray[np.float32]:
    """Read `window` of an image, mirroring whatever lies outside it.

    Parameters
    ----------
    image : array, View or OrientedView, (C, *S)
        Only the box of pixels that the window needs is read, in one piece.
    window : tuple of slice
        One slice with start and stop for each spatial axis; may lie outside the image.

    Returns
    -------
    float32 array, (C, *S')
        A copy. Pixels that are not finite stay so; values beyond float32 become infinite.
    """
    indices = [
        mirror(np.arange(w.start, w.stop), n) for w, n in zip(window, image.shape[1:], strict=True)
    ]
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices)
    with np.errstate(over="ignore"):
        block = np.array(image[(slice(None), *box)], dtype=np.float32, order="C")
    for axis, (index, w, b) in enumerate(zip(indices, window, box, strict=True), start=1):
        if (w.start, w.stop) != (b.start, b.stop):
            block = block.take(index - b.start, axis=axis)
    return block
