"""What a layer shows of a result while it fills in, so that drawing it never reads a file for long.

A small result is a plain array in memory. A large one shows what lies on disk where one looks
closely, and coarser copies of it from further away. Both are filled tile by tile, in a thread.
"""

from __future__ import annotations

import math
import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.files import open_picture
from napari_unet.ui.layers import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.tiling import Window

SMALL_BYTES = 2**29  # of an array that is held in memory as a whole
PLANE_BYTES = 2**26  # of one plane of it, which is drawn at once
COARSER = 4  # times, from one copy of a large result to the next
COARSEST_PX = 1024  # a copy no longer than this needs no coarser one
UNKNOWN = ("values", "uncertainty", "loss")  # of which 0 may be one: NaN until computed
TIFF_SUFFIXES = (".tif", ".tiff")
LIMITED = ("uncertainty", "loss")  # shown up to nearly their largest value
SAMPLE = 2**22  # numbers that limits of the contrast are measured on


class Filling:
    """One layer's share of an array on disk.

    Parameters
    ----------
    array : array-like
        On disk; `attrs` says where it lies: `offset`, and for coarser grids `stride`.
    name : str
        Of the output.
    part : int or None
        Which element of its first axis (a class, a channel); None: there is no such axis.
    scratch : Path
        Where coarser copies go.
    """

    def __init__(self, array: Any, name: str, part: int | None, scratch: Path) -> None:
        self.array, self.name, self.part = array, name, part
        self.shape: tuple[int, ...] = tuple(array.shape)[0 if part is None else 1 :]
        self.dtype = np.dtype(array.dtype)
        loops = len(self.shape) - len(array.attrs.get("stride", ()))
        stride = array.attrs.get("stride")
        self.stride = None if stride is None else (1,) * loops + tuple(stride)
        self.offset = tuple(array.attrs.get("offset", (0,) * len(self.shape)))
        plane = math.prod(self.shape[-2:]) * self.dtype.itemsize
        whole = math.prod(array.shape) * self.dtype.itemsize
        self.small = whole <= SMALL_BYTES and plane <= PLANE_BYTES
        empty = np.nan if name in UNKNOWN else 0
        self._copies: list[tuple[tuple[range, ...], Any]] = []
        if self.small:
            self.data: Any = np.full(self.shape, empty, self.dtype)
        else:
            self._copies = _coarser_copies(self.shape, self.dtype, empty, scratch)
            self.data = [self._lazy(array), *(copy for _, copy in self._copies)]

    def take(self, window: Window) -> None:
        """Take over a window of the result from disk; runs in a thread."""
        at = window if self.part is None else (self.part, *window)
        block = np.asarray(self.array[at])
        if self.small:
            self.data[window] = block
        for picked, copy in self._copies:
            pairs = [_common(w, r) for w, r in zip(window, picked, strict=True)]
            copy[tuple(target for _, target in pairs)] = block[tuple(source for source, _ in pairs)]

    def window(self, start: Sequence[int], stop: Sequence[int], origin: Sequence[int]) -> Window:
        """Return which elements a tile covers.

        Parameters
        ----------
        start, stop : sequence of int
            Corners of the tile, in pixels of the results for each pixel.
        origin : sequence of int
            The pixel of the image at which these results begin.
        """
        corners = zip(start, stop, self.stride or (1,) * len(self.shape), strict=True)
        places = zip(origin, self.offset, self.shape, strict=True)
        return tuple(
            slice((a + o) // n - first // n, min(-(-(b + o) // n) - first // n, size))
            for (a, b, n), (o, first, size) in zip(corners, places, strict=True)
        )

    def whole(self) -> Iterable[Window]:
        """Cut all of it into windows along the chunks on disk."""
        chunks = getattr(self.array, "chunks", None) or self.array.shape
        edges = chunks[0 if self.part is None else 1 :]
        return blocks(self.shape, tuple(max(edge, 512) if n > edge else n for n, edge in
                                        zip(self.shape, edges, strict=True)))  # fmt: skip

    def limits(self) -> tuple[float, float] | None:
        """Return limits of the contrast that show what is there; None to leave them.

        Gates begin open, so that in a young network all of a map lies near 1.
        """
        gate = self.name.startswith("attention/")
        if not self.small or not (gate or self.name in LIMITED):
            return None
        sample = self.data.reshape(-1)[:: 1 + self.data.size // SAMPLE]
        known = sample[np.isfinite(sample)]
        if not known.size:
            return None
        low, high = span(known) if gate else (0.0, float(np.percentile(known, 99.8)))
        return (low, high) if high > low else None

    def turn_to(self, levels: Sequence[Any]) -> None:
        """Take arrays on disk, the full resolution first, instead of those until now."""
        self.array = levels[0]
        if not self.small:
            own = [copy for _, copy in self._copies]
            self.data = [*map(self._lazy, levels), *(own if len(levels) == 1 else [])]

    def _lazy(self, array: Any) -> Any:
        """Cut the part off without reading; zarr itself would read."""
        if self.part is None:
            return array
        chunks = getattr(array, "chunks", "auto")
        return import_module("dask.array").from_array(array, chunks=chunks)[self.part]


def fillings(arrays: Mapping[str, Any], scratch: Path) -> dict[str, Filling]:
    """Return what the layers of a result show, by output.

    Class k of the probabilities is ``probabilities/k``, channel k of several values ``values/k``.
    """
    made: dict[str, Filling] = {}
    for name, array in arrays.items():
        if array.attrs.get("axes", "")[:1] in {"K", "C"}:
            parts = {f"{name}/{k}": k for k in range(array.shape[0])}
            made |= {output: Filling(array, name, k, scratch) for output, k in parts.items()}
        else:
            made[name] = Filling(array, name, None, scratch)
    return made


def take_over(
    filled: Mapping[str, Filling],
    windows: Mapping[str, Sequence[Window]],
    whole: Sequence[str],
    stopped: Callable[[], bool],
) -> dict[str, tuple[float, float]]:
    """Take over what landed; runs in a thread.

    Parameters
    ----------
    filled : mapping
        By output.
    windows : mapping
        What landed, by output.
    whole : sequence of str
        Outputs of which everything is taken over.
    stopped : callable
        Asked before each block; true ends the work.

    Returns
    -------
    dict
        Limits of the contrast by output, of those that were taken over as a whole.
    """
    for output, filling in filled.items():
        for window in filling.whole() if output in whole else windows.get(output, ()):
            if stopped():
                return {}
            filling.take(window)
    limits = {output: filled[output].limits() for output in whole}
    return {output: found for output, found in limits.items() if found is not None}


def reopen(filled: Mapping[str, Filling], path: Path) -> None:
    """Turn to the finished file, where it is another than was filled, or has coarser copies."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        for filling in filled.values():
            filling.turn_to([open_picture(path, ndim=1).data])
    elif path.name.lower().endswith(".ome.zarr"):
        from napari_unet.arrays.ome_writing import open_levels

        levels = open_levels(str(path))
        for filling in filled.values():
            filling.turn_to(levels[filling.name])


def span(values: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value, or 0 and 1 where all are alike."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (0.0, 1.0)


def _coarser_copies(
    shape: tuple[int, ...], dtype: np.dtype[Any], empty: float, scratch: Path
) -> list[tuple[tuple[range, ...], Any]]:
    """Make coarser copies of an array, with the pixels along the last two axes that they hold."""
    copies: list[tuple[tuple[range, ...], Any]] = []
    factor = COARSER
    while not copies or max(copies[-1][1].shape[-2:]) > COARSEST_PX:
        picked = (*map(range, shape[:-2]), *(_middles(n, factor) for n in shape[-2:]))
        size = tuple(len(r) for r in picked)
        path = str(scratch / f"{uuid.uuid4().hex}.npy")
        copy = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=size)
        if empty:
            copy[...] = empty
        copies.append((picked, copy))
        factor *= COARSER
    return copies


def _middles(n: int, factor: int) -> range:
    """Return the pixel in the middle of every `factor` of `n` pixels."""
    return range(min(factor // 2, n - 1), n, factor)


def _common(window: slice, picked: range) -> tuple[slice, slice]:
    """Return which picked pixels lie in a window: as steps in the window, and in the copy."""
    first = max(0, -(-(window.start - picked.start) // picked.step))
    stop = max(first, -(-(window.stop - picked.start) // picked.step))
    begin = picked.start + first * picked.step - window.start
    return slice(begin, None, picked.step), slice(first, min(stop, len(picked)))
