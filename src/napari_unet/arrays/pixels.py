"""What a file of any format hands over: its pixels, and what it says about their axes."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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
    unit : str
        Of the sizes: "µm"; empty where it is not known.
    """

    data: Any
    axes: str | None = None
    sizes: Mapping[str, float] = field(default_factory=dict)
    alpha: bool = False
    unit: str = ""


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
    name : str
        For messages. A read that fails raises InputError U124.
    """

    __slots__ = ("_name", "_opened", "dtype", "shape")

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        name: str,
    ) -> None:
        self._opened, self._name = opened, name
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

    def is_mapped_by(self, array: np.memmap[Any, Any]) -> bool:
        """Return whether a memory map shows just these pixels of the file."""
        with self._opened() as pixels:
            return isinstance(pixels, np.memmap) and all(
                getattr(pixels, name) == getattr(array, name)
                for name in ("offset", "shape", "dtype", "strides")
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with reading(self._name, key), self._opened() as pixels:
            return np.array(pixels[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=False)


@contextmanager
def reading(name: str, key: Any = ...) -> Iterator[None]:
    """Say which part of what cannot be read (InputError U124), whatever a decoder raises."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        where = f" at [{_place(key)}]" if isinstance(key, tuple) else ""
        raise InputError(
            "U124",
            f"{name} cannot be read{where} ({in_one_line(error)})",
            "check that its file is whole and still in its place",
        ) from error


def in_one_line(error: BaseException, limit: int = 160) -> str:
    """Return what an exception says, as one line of at most `limit` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _place(key: tuple[Any, ...]) -> str:
    return ", ".join(f"{k.start}:{k.stop}" if isinstance(k, slice) else str(k) for k in key)
