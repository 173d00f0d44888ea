"""The border term and the near term: pixels between objects, and around them, weigh more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.config import InputError
from napari_unet.targets.nearest import two_nearest

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
    Objects that are further away than 5 sigma count as absent. Time and memory do not depend on
    the number of objects, see `two_nearest`.
    """
    steps, finest = _in_finest(check_spacing(spacing, labels.ndim))
    if w0 == 0:
        return np.zeros(labels.shape, np.float32)
    distances = two_nearest(labels, steps, REACH * sigma / finest)
    d1, d2 = np.sqrt(distances, out=distances)
    weight = _bell(np.square(d1 + d2), sigma / finest)
    weight *= w0
    if where == "background":
        weight[labels > 0] = 0
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
    return _bell(two_nearest(inside, steps)[0], sigma / finest)


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
