"""An array whose axes lie in another order in the file, as formats may want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.keys import complete_key

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Turned:
    """A view of an array with its axes in our order: (T, K, Y, X) in the file, (K, T, Y, X) here.

    It can be read and written through with integers and slices.

    Parameters
    ----------
    array : zarr.Array
        As stored.
    order : tuple of int
        For each of the stored axes, which one it is here.
    """

    array: Any
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes, in the order they have here."""
        return self._turn(self.array.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Edges of a chunk, in the order they have here."""
        return self._turn(self.array.chunks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.order)

    @property
    def attrs(self) -> Any:
        """Attributes of the array; `axes` is in the order that they have here."""
        return self.array.attrs

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = complete_key(key, self.ndim)
        kept = [axis for axis in self.order if isinstance(keys[axis], slice)]
        block = np.asarray(self.array[tuple(keys[axis] for axis in self.order)])
        return block.transpose([kept.index(axis) for axis in sorted(kept)])

    def __setitem__(self, key: Any, values: Any) -> None:
        keys = complete_key(key, self.ndim)
        kept = [axis for axis in self.order if isinstance(keys[axis], slice)]
        ours = sorted(kept)
        shape = [len(range(*keys[axis].indices(self.shape[axis]))) for axis in ours]
        block = np.broadcast_to(values, shape).transpose([ours.index(axis) for axis in kept])
        self.array[tuple(keys[axis] for axis in self.order)] = block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        block = self[:]
        return block if dtype is None else block.astype(dtype, copy=False)

    def _turn(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        here = dict(zip(self.order, sizes, strict=True))
        return tuple(here[axis] for axis in range(self.ndim))
