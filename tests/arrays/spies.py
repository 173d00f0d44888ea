"""Arrays that watch how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Spy:
    """A lazy array that remembers the shapes it was asked for and refuses to be read whole."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        block = self._array[key]
        self.reads.append(block.shape)
        return block

    def __array__(self, *_args: Any, **_more: Any) -> np.ndarray[Any, Any]:
        raise AssertionError("a lazy array was read whole")
