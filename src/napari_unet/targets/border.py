"""The border term and the near term: pixels between objects, and around them, weigh more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import edt
import numpy as np
from scipy.ndimage import find_objects

from napari_unet.config import InputError
from napari_unet.targets.numbering import number_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REACH = 5.0  # in sigma: exp(-5^2 / 2) = 4e-6, so what lies further away is left out


def border_term(
    labels: NDArray[np.integer[Any]],
    w0: float,
    sigma: float,
    where: Literal["background", "everywhere"],
    spacing: Sequence[float] | None = None,
) -> NDArray[np.float32]:
    """Weigh pixels between near objects: w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    d1 and d2 are the distances to the nearest and the second nearest object (Ronneberger et
    al. 2015, eq. 2). With fewer than two objects the term is 0 everywhere.

    Parameters
    ----------
    labels : integer array, (*S)
        Every number above 0 is one object, also where it has several parts; all else is
        background. One to three axes.
    w0 : float
        Height: the weight where both distances are 0.
    sigma : float
        Reach, in pixels, or in units of `spacing`.
    where : {"background", "everywhere"}
        Whether pixels of objects get the term too (their d1 is 0).
    spacing : sequence of float, optional
        Size of a pixel along each axis; distances are in pixels without it.

    Returns
    -------
    float32 array, (*S)
        Exact to 1e-5 * w0.

    Raises
    ------
    InputError
        U113 with more than three axes, U150 if `spacing` does not fit.

    Notes
    -----
    Each object is measured in its bounding box grown by 5 sigma only, and of all distances
    the two smallest are kept: memory does not grow with the number of objects.
    """
    spacing = check_spacing(spacing, labels.ndim)
    objects = number_objects(labels)
    boxes = find_objects(objects)
    if len(boxes) < 2 or w0 == 0:
        return np.zeros(labels.shape, np.float32)
    steps, finest = _in_finest(spacing)
    d1, d2 = _two_nearest(objects, boxes, REACH * sigma / finest, steps)
    weight = np.add(d1, d2, out=d1)
    weight *= weight
    _bell(weight, sigma / finest)
    weight *= w0
    if where == "background":
        weight[objects > 0] = 0
    return weight


def near_term(
    inside: NDArray[np.bool_], sigma: float, spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """Weigh pixels near objects, one or many: exp(-d1^2 / (2 sigma^2)).

    d1 is the distance to the nearest object, however far (Falk et al. 2019).

    Parameters
    ----------
    inside : bool array, (*S)
        True in objects. One to three axes.
    sigma : float
        Reach, in pixels, or in units of `spacing`.
    spacing : sequence of float, optional
        Size of a pixel along each axis; distances are in pixels without it.

    Returns
    -------
    float32 array, (*S)
        1 in objects; 0 everywhere if there is none.

    Raises
    ------
    InputError
        U113 with more than three axes, U150 if `spacing` does not fit.
    """
    steps, finest = _in_finest(check_spacing(spacing, inside.ndim))
    if not inside.any():
        return np.zeros(inside.shape, np.float32)
    return _bell(_squared_distance(np.ascontiguousarray(~inside), steps), sigma / finest)


def check_spacing(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return one pixel size per axis: 1.0 each for None; InputError U113, U150 if it cannot be."""
    if not 1 <= ndim <= 3:
        remedy = "weigh each time point or position by itself"
        raise InputError("U113", f"labels have {ndim} axes, space has 1 to 3", remedy)
    if spacing is None:
        return (1.0,) * ndim
    if len(spacing) != ndim:
        what = f"spacing has {len(spacing)} numbers, the labels have {ndim} axes"
        raise InputError("U150", what, "give one number per axis")
    if not all(0 < s < math.inf for s in spacing):
        raise InputError("U150", f"spacing = {tuple(spacing)}", "give sizes above 0")
    return tuple(float(s) for s in spacing)


def _in_finest(spacing: tuple[float, ...]) -> tuple[tuple[float, ...], float]:
    """Return lengths in units of the finest, so that float32 is always precise, and the finest."""
    finest = min(spacing)
    return tuple(s / finest for s in spacing), finest


def _bell(squared: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Turn squared distances, in place, into exp(-d^2 / (2 sigma^2))."""
    squared *= -0.5 / sigma**2
    return np.exp(squared, out=squared)


def _two_nearest(
    objects: NDArray[np.int32],
    boxes: Sequence[tuple[slice, ...] | None],
    reach: float,
    steps: tuple[float, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the distances to the two nearest objects; inf where they are beyond `reach`."""
    nearest = np.full(objects.shape, np.inf, np.float32)  # squared until the end
    second = nearest.copy()
    grow = [math.ceil(reach / step) for step in steps]
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        window = tuple(
            slice(max(b.start - g, 0), b.stop + g) for b, g in zip(box, grow, strict=True)
        )
        distance = _squared_distance(objects[window] != number, steps)
        d1, d2 = nearest[window], second[window]  # views
        np.minimum(d2, np.maximum(d1, distance), out=d2)
        np.minimum(d1, distance, out=d1)
    return np.sqrt(nearest, out=nearest), np.sqrt(second, out=second)


def _squared_distance(outside: NDArray[np.bool_], steps: tuple[float, ...]) -> NDArray[np.float32]:
    """Return the squared distance of every pixel to the nearest one that is not `outside`."""
    anisotropy = steps if outside.ndim > 1 else steps[0]
    # as bytes: edt takes twice as long for bool volumes
    squared: NDArray[np.float32] = edt.edtsq(outside.view(np.uint8), anisotropy=anisotropy)
    return squared
