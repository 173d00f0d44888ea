"""Labels as whole numbers, and objects numbered without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import relabel_sequential

from napari_unet.config import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def check_labels(
    labels: ArrayLike, ignore: int | None = None, name: str = "labels"
) -> NDArray[np.integer[Any]]:
    """Return `labels` as integers, or say why they cannot be labels.

    Parameters
    ----------
    labels : array-like, (*S)
        Integers, bool (becomes uint8) or floats that are all integral (become int64).
    ignore : int or None
        The one value that may be negative.
    name : str
        What the messages call them.

    Returns
    -------
    integer array, (*S)
        The array itself where it needs no conversion.

    Raises
    ------
    InputError
        U112 without a pixel, U116 neither numbers nor bool, U110 not integral, U109 negative.
    """
    array = np.asarray(labels)
    if array.size == 0 or array.ndim == 0:
        raise InputError("U112", f"{name} of shape {array.shape} hold no pixel", "choose others")
    whole = _as_integers(array, name)
    if whole.dtype.kind == "i":
        _refuse_negative(whole, ignore, name)
    return whole


def _as_integers(array: NDArray[Any], name: str) -> NDArray[np.integer[Any]]:
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind != "f":
        remedy = "convert them to integers, one number per object or class"
        raise InputError("U116", f"{name} are of type {array.dtype}", remedy)
    n_broken = int(np.count_nonzero(~np.isfinite(array) | (np.trunc(array) != array)))
    if n_broken:
        what = f"{name} are of type {array.dtype} and {n_broken:,} pixels are not whole numbers"
        raise InputError("U110", what, "choose labels, not an image or probabilities")
    return array.astype(np.int64)


def _refuse_negative(labels: NDArray[np.integer[Any]], ignore: int | None, name: str) -> None:
    if int(labels.min()) >= 0:
        return
    broken = labels[(labels < 0) & (labels != ignore)] if ignore is not None else labels[labels < 0]
    if broken.size:
        lowest = int(broken.min())
        what = f"{name} are negative in {broken.size:,} pixels (lowest {lowest})"
        raise InputError("U109", what, f"name {lowest} as the ignored value, or relabel them")


def number_objects(labels: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Number the objects of `labels` 1, 2, 3, ... in the order of their ids; all else is 0.

    Parameters
    ----------
    labels : integer array, (*S)
        Any id above 0, however large, is one object, also where it has several parts.

    Returns
    -------
    int32 array, (*S)
        C-contiguous.
    """
    numbered, _, _ = relabel_sequential(np.where(labels > 0, labels, labels.dtype.type(0)))
    return np.ascontiguousarray(numbered, dtype=np.int32)
