"""Labels are integers: bool and whole floats become integers, anything else is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK_SIZE = 2**22  # pixels looked at in one go


def open_labels_array(data: Any, name: str = "labels", *, ignore: int | None = None) -> Any:
    """Return labels as integers, lazy ones unread if their type alone says that they are fine.

    Parameters
    ----------
    data : array-like, (*S) or with further axes
        bool becomes uint8; floats must be whole numbers and become int32 or int64; integers
        stay as they are (arrays in memory in native byte order). Lazy integers stay lazy.
    name : str
        For messages.
    ignore : int, optional
        The value that stands for unlabelled pixels; the only one that may be negative.

    Raises
    ------
    InputError
        U109 negative labels; U110 values that are no whole numbers, or beyond 64 bit; U116
        other types.
    """
    if not (hasattr(data, "shape") and hasattr(data, "dtype")):
        data = np.asarray(data)
    kind = data.dtype.kind
    if kind not in "biuf":
        raise InputError("U116", f"{name} holds values of type {data.dtype}", "choose integers")
    if kind == "b":
        return np.asarray(data).astype(np.uint8)
    if kind == "f":
        data = _whole(data, name)
    _check_range(data, name, ignore)
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return data.astype(data.dtype.newbyteorder("="), copy=False)
    return data


def _whole(data: Any, name: str) -> NDArray[np.integer[Any]]:
    """Turn whole floats into integers, block by block."""
    largest = 0.0
    for _, block in _blocks(data):
        odd = ~np.isfinite(block) | (block != np.rint(block))
        if odd.any():
            raise InputError(
                "U110",
                f"{name} holds {block[odd][0]!s}, which is no whole number",
                "save labels as integers",
            )
        largest = max(largest, float(np.abs(block).max(initial=0)))
    if largest >= 2.0**63:
        raise InputError("U110", f"{name} goes up to {largest:g}", "number the objects from 1")
    whole = np.empty(data.shape, np.int32 if largest < 2.0**31 else np.int64)
    for window, block in _blocks(data):
        whole[window] = block
    return whole


def _check_range(data: Any, name: str, ignore: int | None) -> None:
    if data.dtype.kind == "u" and data.dtype.itemsize < 8:
        return
    for _, block in _blocks(data):
        negative = block[block < 0] if block.min(initial=0) < 0 else block[:0]
        bad = negative if ignore is None else negative[negative != ignore]
        if bad.size:
            low = int(bad.min())
            raise InputError(
                "U109",
                f"{name} holds negative values, such as {low}, in {bad.size} pixels",
                f"name the value as ignored (labels.ignore={low}) or number the objects from 1",
            )
        if int(block.max(initial=0)) > np.iinfo(np.int64).max:
            raise InputError(
                "U110", f"{name} goes up to {int(block.max())}", "number the objects from 1"
            )


def _blocks(data: Any) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
    """Yield windows over the first axes of `data` and what they hold."""
    if not data.ndim:
        yield (), np.asarray(data)
        return
    rows = max(1, BLOCK_SIZE // max(1, math.prod(data.shape[1:])))
    for start in range(0, data.shape[0], rows):
        window = (slice(start, start + rows),)
        yield window, np.asarray(data[window])
