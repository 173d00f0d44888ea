"""The augmented samples of a training as layers: a mosaic beside the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.ui.results import MARK, open_results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.ui.results import LayerTuple, Place

GAP = 4  # pixels between two samples


def sample_layers(path: Path, place: Place) -> list[LayerTuple]:
    """Turn the arrays of a SamplesJob into layers with the pixel size of the image.

    Parameters
    ----------
    path : Path
        A zarr group with image (N, C, *S), classes (N, *S) or values (N, K, *S), and weights
        (N, *S).
    place : Place
        Of the image.
    """
    arrays = {name: np.asarray(array[:]) for name, array in open_results(path).items()}
    made = [
        _layer(place, name, plane, "image", {"colormap": "gray"})
        for name, plane in _planes(arrays, "image").items()
    ]
    weights = {"colormap": "viridis", "visible": False}
    made.append(_layer(place, "weights", arrays["weights"], "image", weights))
    if "classes" in arrays:
        made.append(_layer(place, "classes", arrays["classes"], "labels", {"opacity": 0.3}))
    for name, plane in _planes(arrays, "values").items():
        made.append(_layer(place, name, plane, "image", {"colormap": "magma", "visible": False}))
    return made


def _planes(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """Cut an array (N, C, *S) into its channels (N, *S), by what to call them."""
    if name not in arrays:
        return {}
    channels = arrays[name].swapaxes(0, 1)
    several = len(channels) > 1
    return {f"{name} {k}" if several else name: each for k, each in enumerate(channels)}


def mosaic(samples: NDArray[Any]) -> NDArray[Any]:
    """Lay samples (N, *S) side by side in their last two axes, about as wide as high.

    One-dimensional samples become the rows of an image.
    """
    if samples.ndim == 2:
        return samples
    columns = math.ceil(math.sqrt(len(samples)))
    high, wide = (n + GAP for n in samples.shape[-2:])
    rows = math.ceil(len(samples) / columns)
    whole = np.zeros((*samples.shape[1:-2], rows * high, columns * wide), samples.dtype)
    for k, sample in enumerate(samples):
        y, x = k // columns * high, k % columns * wide
        whole[..., y : y + high - GAP, x : x + wide - GAP] = sample
    return whole


def _layer(
    place: Place, what: str, samples: NDArray[Any], kind: str, look: dict[str, Any]
) -> LayerTuple:
    meta: dict[str, Any] = {
        "name": f"samples: {what}",
        "metadata": {MARK: {"sample": what}},
        **look,
    }
    if place.ndim > 1:
        meta |= place.beside()
    return mosaic(samples), meta, kind
