"""Where a layer is in the world, for every layer that is made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray


def space(
    layer: Layer,
    axes: Sequence[int] | None = None,
    *,
    stride: Sequence[float] | None = None,
    start: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return the spatial metadata of an array made from `layer`, as keywords for a new layer.

    Parameters
    ----------
    layer : napari layer
        The source.
    axes : sequence of int, optional
        Axes of the layer that the array has, in the array's order; default all. The colour axis
        of an RGB layer is none of its axes.
    stride : sequence of float, optional
        How many pixels of the layer each element covers, per axis of the array: element j covers
        pixels [j * stride, (j + 1) * stride).
    start : sequence of float, optional
        The pixel at which the array begins, per axis of the array.

    Returns
    -------
    dict
        `scale, translate, rotate, shear, affine, units, axis_labels`.
    """
    kept = list(range(layer.ndim)) if axes is None else list(axes)
    block = np.ix_(kept, kept)
    rotate, shear = np.asarray(layer.rotate)[block], shear_matrix(layer)[block]
    scale = np.asarray(layer.scale, dtype=float)[kept]
    steps = np.ones(len(kept)) if stride is None else np.asarray(stride, dtype=float)
    first = (steps - 1) / 2 + (0 if start is None else np.asarray(start, dtype=float))
    meta = {
        "scale": scale * steps,
        "translate": np.asarray(layer.translate)[kept] + rotate @ shear @ (scale * first),
        "rotate": rotate,
        "shear": shear,
        "affine": layer.affine.set_slice(kept).affine_matrix,
        "units": tuple(layer.units[axis] for axis in kept),
    }
    labels = tuple(layer.axis_labels[axis] for axis in kept)
    unnamed = len(kept) != layer.ndim and all(label.startswith(("-", "axis")) for label in labels)
    return meta if unnamed else {**meta, "axis_labels": labels}


def shear_matrix(layer: Layer) -> NDArray[np.float64]:
    """Return the shear of a layer as a matrix; napari gives upper triangles as a vector."""
    shear = np.asarray(layer.shear, dtype=float)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, k=1)] = shear
    return matrix


def differences(image: Layer, labels: Layer) -> tuple[str, ...]:
    """Name the spatial settings in which two layers of one picture differ."""
    ndim = min(image.ndim, labels.ndim)
    return tuple(
        name
        for name in ("scale", "translate")
        if not np.allclose(getattr(image, name)[-ndim:], getattr(labels, name)[-ndim:])
    )
