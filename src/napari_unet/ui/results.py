"""What a prediction wrote, as layer tuples that napari opens lazily."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.ui.space import section, space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_unet.library.card import Card

LayerTuple = tuple[Any, dict[str, Any], str]

MARK = "napari-unet-lab"  # key of our entry in the metadata of a layer
SPREADS = 3.0  # of a target, on either side of its mean, that the contrast spans
SMALL_BYTES = 2**29  # results below this become plain arrays at the end


class Place:
    """Where the results of an image belong: its name, its axes, and its space.

    Parameters
    ----------
    layer : napari layer
        The image; nothing of it is kept alive.
    axes : str
        A letter for each axis of its array.
    ndim : int
        How many of them the network takes for space.
    """

    def __init__(self, layer: Layer, axes: str, ndim: int) -> None:
        self.name = str(layer.name)
        self.ndim = ndim
        lead = [letter for letter in axes if letter not in "ZYX"[-ndim:] + "C"]
        self._axes = [axes.index(letter) for letter in (*lead, *"ZYX"[-ndim:])]
        self._space = space(layer)
        self._width = float(layer.extent.data[1][self._axes[-1]])

    def keywords(self, stride: tuple[float, ...] | None = None) -> dict[str, Any]:
        """Return the spatial metadata of a result, whose cells cover `stride` pixels."""
        if stride is None:
            return section(self._space, self._axes)
        loops = len(self._axes) - self.ndim
        return section(self._space, self._axes, stride=(1.0,) * loops + tuple(stride))

    def beside(self) -> dict[str, Any]:
        """Return the spatial metadata of a picture that stands to the right of the image."""
        spatial = self._axes[-self.ndim :]
        return section(self._space, spatial, start=(*(0.0,) * (self.ndim - 1), 1.05 * self._width))


def open_results(path: Path) -> dict[str, Any]:
    """Open the arrays of a prediction, by name: attention/<gate>, probabilities, classes.

    That is also the order of their layers: the classes come on top, or the values.
    """
    zarr = import_module("zarr")
    group = zarr.open_group(str(path), mode="r")
    members = dict(group.members(max_depth=None))
    arrays = {name: member for name, member in members.items() if isinstance(member, zarr.Array)}
    return {name: arrays[name] for name in sorted(arrays, key=lambda n: _height(n, arrays[n]))}


def _height(name: str, array: Any) -> tuple[bool, bool, int]:
    """Sort gates below, coarse ones first, then probabilities, then classes."""
    return name in {"classes", "values"}, name == "probabilities", math.prod(array.shape)


def result_layers(
    arrays: Mapping[str, Any], place: Place, card: Card, job: str
) -> dict[str, LayerTuple]:
    """Turn the arrays of a prediction into layers.

    Returns
    -------
    dict
        By output; class k of the probabilities is ``probabilities/k``, channel k of several
        values ``values/k``. The metadata say which job made the layer.
    """
    made: dict[str, LayerTuple] = {}
    gates = {name: math.prod(a.shape) for name, a in arrays.items() if name.startswith("attention")}
    finest = max(gates, key=lambda name: gates[name], default="")  # the others lie below it
    for name, array in arrays.items():
        if name == "probabilities":
            planes = _planes(array)
            for k, label in enumerate(_class_names(card, len(planes))):
                meta = _image_meta(place, f"{place.name}: probability of {label}", "magma")
                meta["visible"] = k > 0  # the background says the same in reverse
                made[f"{name}/{k}"] = (planes[k], meta, "image")
        elif name.startswith("attention/"):
            gate = name.removeprefix("attention/")
            stride = tuple(float(n) for n in array.attrs["stride"])
            meta = _image_meta(place, f"{place.name}: attention {gate}", "viridis", stride)
            meta |= {"blending": "translucent", "visible": name == finest}
            made[name] = (array, meta, "image")
        elif name == "values":
            made |= _value_layers(array, place, card)
        else:
            meta = {"name": f"{place.name}: {name}", **_label_meta(card), **place.keywords()}
            made[name] = (array, meta, "labels")
    for output, (_, meta, _) in made.items():
        meta["metadata"] = {MARK: {"job": job, "output": output, "model": card.name}}
    return made


def _value_layers(array: Any, place: Place, card: Card) -> dict[str, LayerTuple]:
    """Turn the values of a regression into one image layer for each channel.

    They are shown from three spreads below the mean of the training target to three above.
    """
    several = len(card.target) > 1
    planes = _planes(array) if several else [array]
    made: dict[str, LayerTuple] = {}
    for k, (plane, channel) in enumerate(zip(planes, card.target, strict=True)):
        name = channel.name if several else "values"
        meta = _image_meta(place, f"{place.name}: {name}", "gray")
        low, high = (channel.mean + side * SPREADS * channel.spread for side in (-1, 1))
        meta |= {"contrast_limits": (low, high), "opacity": 1.0, "blending": "translucent"}
        meta["visible"] = k == 0
        made[f"values/{k}" if several else "values"] = (plane, meta, "image")
    return made


def load_results(
    arrays: Mapping[str, Any], stopped: Callable[[], bool]
) -> dict[str, np.ndarray[Any, Any]]:
    """Read small results into memory, by the keys of `result_layers`; runs in a thread."""
    loaded: dict[str, np.ndarray[Any, Any]] = {}
    for name, array in arrays.items():
        if stopped() or np.prod(array.shape) * array.dtype.itemsize > SMALL_BYTES:
            continue
        values = np.asarray(array[:])
        if name == "probabilities" or "C" in array.attrs.get("axes", ""):
            loaded.update({f"{name}/{k}": plane for k, plane in enumerate(values)})
        else:
            loaded[name] = values
    return loaded


def span(values: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value, or 0 and 1 where all are alike.

    Gates begin open, so that in a young network all of a map lies near 1.
    """
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (0.0, 1.0)


def _planes(array: Any) -> list[Any]:
    """Cut (K, ...) into K arrays without reading; zarr itself would read."""
    lazy = import_module("dask.array").from_array(array)
    return [lazy[k] for k in range(len(lazy))]


def _class_names(card: Card, n: int) -> list[str]:
    names = [entry.name for entry in card.classes]
    return names if len(names) == n else [f"class {k}" for k in range(n)]


def _image_meta(
    place: Place, name: str, colormap: str, stride: tuple[float, ...] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "colormap": colormap,
        "contrast_limits": (0.0, 1.0),
        "opacity": 0.6,
        "blending": "additive",  # what is not computed yet stays see-through
        "cache": False,  # chunks change while tiles land
        **place.keywords(stride),
    }


def _label_meta(card: Card) -> dict[str, Any]:
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    colours.update({entry.value: entry.colour for entry in card.classes if entry.value})
    values = [entry.value for entry in card.classes]
    return {
        "colormap": colours,
        "features": {"index": values, "class": [entry.name for entry in card.classes]},
        "opacity": 0.6,
        "cache": False,
    }
