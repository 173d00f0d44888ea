"""Where a layer is in the world, for every layer that is made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray


def space(layer: Layer) -> dict[str, Any]:
    """Return all that a layer knows about space, as keywords for a new layer.

    Returns
    -------
    dict
        `scale, translate, rotate, shear, affine, units, axis_labels`: one entry per axis of the
        layer; the colour axis of an RGB layer is none of them. Copies: they outlive the layer.
    """
    return {
        "scale": np.array(layer.scale, dtype=float),
        "translate": np.array(layer.translate, dtype=float),
        "rotate": np.array(layer.rotate, dtype=float),
        "shear": _shear_matrix(layer),
        "affine": np.array(layer.affine.affine_matrix, dtype=float),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }


def section(
    whole: Mapping[str, Any],
    axes: Sequence[int],
    *,
    stride: Sequence[float] | None = None,
    start: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return the space of an array that has only some axes, or a coarser grid, of a layer.

    Parameters
    ----------
    whole : mapping
        From `space`.
    axes : sequence of int
        Axes of the layer that the array has, in the array's order.
    stride : sequence of float, optional
        How many pixels of the layer each element covers, per axis of the array: element j covers
        pixels [j * stride, (j + 1) * stride).
    start : sequence of float, optional
        The pixel at which the array begins, per axis of the array.
    """
    kept = list(axes)
    block = np.ix_(kept, kept)
    rotate, shear, scale = whole["rotate"][block], whole["shear"][block], whole["scale"][kept]
    steps = np.ones(len(kept)) if stride is None else np.asarray(stride, dtype=float)
    first = (steps - 1) / 2 + (0 if start is None else np.asarray(start, dtype=float))
    moved = [*kept, len(whole["scale"])]  # the last row and column of an affine are its shift
    labels = tuple(whole["axis_labels"][axis] for axis in kept)
    part = {
        "scale": scale * steps,
        "translate": whole["translate"][kept] + rotate @ shear @ (scale * first),
        "rotate": rotate,
        "shear": shear,
        "affine": whole["affine"][np.ix_(moved, moved)],
        "units": tuple(whole["units"][axis] for axis in kept),
        "axis_labels": labels,
    }
    if kept != list(range(len(whole["scale"]))) and all(_is_default(label) for label in labels):
        del part["axis_labels"]  # "-3" no longer is the third axis from the end
    return part


def differences(image: Layer, labels: Layer) -> tuple[str, ...]:
    """Name the spatial settings in which two layers of one picture differ."""
    ndim = min(image.ndim, labels.ndim)
    return tuple(
        name
        for name in ("scale", "translate")
        if not np.allclose(getattr(image, name)[-ndim:], getattr(labels, name)[-ndim:])
    )


def _shear_matrix(layer: Layer) -> NDArray[np.float64]:
    """Return the shear of a layer as a matrix; napari gives upper triangles as a vector."""
    shear = np.array(layer.shear, dtype=float)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, k=1)] = shear
    return matrix


def _is_default(label: str) -> bool:
    return label.startswith(("-", "axis"))
