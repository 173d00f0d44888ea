"""Planes that lie apart, in one file or several, as one lazy array."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.keys import complete_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Planes:
    """Arrays of one shape as one array with leading axes; only those asked for are opened.

    Parameters
    ----------
    lead : tuple of int
        Sizes of the leading axes.
    shape : tuple of int
        Of one plane.
    dtype : numpy.dtype
    opened : callable
        Returns plane number i, in C order of the leading axes: mapped, or lazy.
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        opened: Callable[[int], Any],
    ) -> None:
        self._lead, self._opened = lead, opened
        self.shape = (*lead, *shape)
        self.ndim = len(self.shape)
        self.dtype = dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys, n = complete_key(key, self.ndim), len(self._lead)
        wanted = [range(size)[k] for size, k in zip(self._lead, keys[:n], strict=True)]
        kept = [len(numbers) for numbers in wanted if isinstance(numbers, range)]
        ranges = [numbers if isinstance(numbers, range) else [numbers] for numbers in wanted]
        inside = tuple(keys[n:])
        blocks = [self._plane(index)[inside] for index in product(*ranges)]
        if not blocks:  # an empty slice
            return np.empty((*kept, *self._plane((0,) * n)[inside].shape), self.dtype)
        return np.stack(blocks).reshape((*kept, *np.shape(blocks[0])))

    def _plane(self, index: tuple[int, ...]) -> Any:
        strides = [math.prod(self._lead[axis + 1 :]) for axis in range(len(self._lead))]
        return self._opened(sum(i * step for i, step in zip(index, strides, strict=True)))
