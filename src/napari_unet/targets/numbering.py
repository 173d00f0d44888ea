"""Labels as whole numbers; objects and regions numbered without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label
from skimage.segmentation import relabel_sequential

from napari_unet.arrays.labels import open_labels_array
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
        Integers, bool or floats that are whole numbers; read into memory.
    ignore : int or None
        The one value that may be negative.
    name : str
        What the messages call them.

    Returns
    -------
    integer array, (*S)
        The array itself where it needs no conversion, see `open_labels_array`.

    Raises
    ------
    InputError
        U112 without a pixel, U116 neither numbers nor bool, U110 not integral, U109 negative.
    """
    whole = np.asarray(open_labels_array(labels, name, ignore=ignore))
    if whole.size == 0 or whole.ndim == 0:
        raise InputError("U112", f"{name} of shape {whole.shape} hold no pixel", "choose others")
    return whole


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


def number_regions(labels: NDArray[Any], *, corners: bool = True) -> NDArray[np.integer[Any]]:
    """Number the connected regions of equal value 1, 2, 3, ...; 0 stays 0.

    Parameters
    ----------
    labels : integer or bool array, (*S)
        0 is background.
    corners : bool
        Whether pixels connect that touch by a corner (in 3-D, or an edge) only.

    Returns
    -------
    integer array, (*S)
    """
    connectivity = labels.ndim if corners else 1
    regions: NDArray[np.integer[Any]] = label(labels, background=0, connectivity=connectivity)
    return regions
