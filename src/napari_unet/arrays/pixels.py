"""What a file of any format hands over: its pixels, and what it says about their axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Found:
    """Pixels as a reader found them; names and checks come later.

    Parameters
    ----------
    data : array-like
        In memory or lazy.
    axes : str or None
        Letters as the file has them; None where it names no axes.
    sizes : mapping of str to float
        Size of a pixel along the axes Z, Y, X where it is known, all in the same unit.
    alpha : bool
        The last channel is opacity.
    """

    data: Any
    axes: str | None = None
    sizes: Mapping[str, float] = field(default_factory=dict)
    alpha: bool = False


class FilePixels:
    """An array in a file that is opened anew for every read.

    No file stays open or mapped in between, so thousands of pictures can be at hand at once,
    and a file that shrinks meanwhile is an error rather than a crash.

    Parameters
    ----------
    opened : callable
        Returns a context manager that yields the array, mapped or lazy.
    shape : tuple of int
    dtype : numpy.dtype
    """

    __slots__ = ("_opened", "dtype", "shape")

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._opened = opened
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with self._opened() as pixels:
            return np.array(pixels[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=False)
