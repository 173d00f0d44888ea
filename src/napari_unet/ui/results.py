"""What a prediction wrote, as layer tuples that napari opens lazily."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.writing import TEMPORARY
from napari_unet.ui.space import section, space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Layer

    from napari_unet.library.card import Card
    from napari_unet.ui.filling import Filling

LayerTuple = tuple[Any, dict[str, Any], str]

MARK = "napari-unet-lab"  # key of our entry in the metadata of a layer
SPREADS = 3.0  # of a target, on either side of its mean, that the contrast spans
LEDGER = "ledger"  # which tiles of a result are written
LARGEST_LOSS = 2.3  # a true class to which the network gave a probability of 0.1


def result_axes(axes: str, ndim: int) -> tuple[int, ...]:
    """Return which axes of an image its results have: those that are looped over, then space."""
    space = "ZYX"[-ndim:]
    lead = [letter for letter in axes if letter not in f"{space}C"]
    return tuple(axes.index(letter) for letter in (*lead, *space))


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
        self._axes = list(result_axes(axes, ndim))
        self._space = space(layer)
        self._width = float(layer.extent.data[1][self._axes[-1]])

    def keywords(
        self, stride: Sequence[float] | None = None, offset: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """Return the spatial metadata of a result.

        Parameters
        ----------
        stride : sequence of float, optional
            How many pixels of the image its cells cover, per axis.
        offset : sequence of float, optional
            The pixel of the image at which it begins, per axis.
        """
        return section(self._space, self._axes, stride=stride, start=offset)

    def beside(self) -> dict[str, Any]:
        """Return the spatial metadata of a picture that stands to the right of the image."""
        spatial = self._axes[-self.ndim :]
        return section(self._space, spatial, start=(*(0.0,) * (self.ndim - 1), 1.05 * self._width))


def open_results(path: str | Path) -> dict[str, Any]:
    """Open the arrays of a prediction, finished or not, by name, in the order of their layers.

    From the bottom: gates, coarse ones first, then other images, classes or values, objects.
    """
    path = Path(path)
    if path.name.endswith(".ome.zarr"):
        from napari_unet.arrays.ome_writing import open_levels

        arrays = {name: levels[0] for name, levels in open_levels(str(path)).items()}
    else:
        arrays = _members(group_of(path))
    return {name: arrays[name] for name in sorted(arrays, key=lambda n: _height(n, arrays[n]))}


def group_of(path: Path) -> Path:
    """Return where the arrays of a result lie while it is computed."""
    hidden = path.suffix.lower() in {".tif", ".tiff"}
    return path.with_name(f"{TEMPORARY}{path.name}.zarr") if hidden else path


def done_share(path: Path) -> float:
    """Return the share of the tiles of a result that are written, 0 to 1."""
    group = import_module("zarr").open_group(str(group_of(path)), mode="r")
    if LEDGER not in group:  # it goes when the result is complete
        return float(bool(group.attrs.get("complete")))
    return float((group[LEDGER][...] == 1).mean())


def _members(path: Path) -> dict[str, Any]:
    zarr = import_module("zarr")
    members = zarr.open_group(str(path), mode="r").members(max_depth=None)
    arrays = {name: member for name, member in members if isinstance(member, zarr.Array)}
    return {name: arrays[name] for name in arrays if name != LEDGER and not name.startswith(".")}


def _height(name: str, array: Any) -> tuple[int, int]:
    """Sort gates below and what one looks at first on top."""
    order = ("uncertainty", "loss", "probabilities", "classes", "values", "instances")
    return order.index(name) if name in order else -1, math.prod(array.shape)


def result_layers(
    fillings: Mapping[str, Filling], place: Place, card: Card, job: str
) -> dict[str, LayerTuple]:
    """Turn what a prediction fills in into layers, by output.

    The metadata say which job made the layer.
    """
    gates = {output: math.prod(f.shape) for output, f in fillings.items() if _is_gate(output)}
    finest = max(gates, key=lambda output: gates[output], default="")  # the others lie below it
    made: dict[str, LayerTuple] = {}
    for output, filling in fillings.items():
        name, shown, kind = _look(output, card)
        if _is_gate(output):
            shown["visible"] = output == finest
        if output == "classes" and "instances" in fillings:
            shown["visible"] = False  # the objects lie on top
        meta = {
            "name": f"{place.name}: {name}",
            "multiscale": not filling.small,
            "cache": False,  # chunks change while tiles land
            "metadata": {MARK: {"job": job, "output": output, "model": card.name}},
            **shown,
            **place.keywords(filling.stride, filling.offset),
        }
        made[output] = (filling.data, meta, kind)
    return made


def _is_gate(output: str) -> bool:
    return output.startswith("attention/")


def _look(output: str, card: Card) -> tuple[str, dict[str, Any], str]:
    """Return how an output is called and shown, and as what kind of layer."""
    base, _, rest = output.partition("/")
    if base == "probabilities":
        label = _class_names(card)[int(rest)]
        shown = _image("magma")
        shown["visible"] = rest != "0"  # the background says the same in reverse
        return f"probability of {label}", shown, "image"
    if base == "attention":
        return f"attention {rest}", _image("viridis", blending="translucent"), "image"
    if base == "values":
        return _values_look(rest, card)
    if base in {"uncertainty", "loss"}:
        return base, _doubt_look(base, card), "image"
    shown = _label_meta(card) if base == "classes" else {"opacity": 0.6}
    return base, shown, "labels"


def _values_look(channel: str, card: Card) -> tuple[str, dict[str, Any], str]:
    """Show values from three spreads below the mean of the training target to three above."""
    target = card.target[int(channel or 0)]
    low, high = (target.mean + side * SPREADS * target.spread for side in (-1, 1))
    shown = _image("gray", blending="translucent") | {"contrast_limits": (low, high)}
    shown |= {"opacity": 1.0, "visible": channel in {"", "0"}}
    return target.name if channel else "values", shown, "image"


def _doubt_look(output: str, card: Card) -> dict[str, Any]:
    """Show doubt from none to much; pixels of which nothing is known are NaN, hence see-through."""
    spread = max((target.spread for target in card.target), default=0.0)
    most = {"uncertainty": spread or 0.5, "loss": spread**2 or LARGEST_LOSS}[output]
    shown = _image("inferno", blending="translucent")
    return shown | {"contrast_limits": (0.0, most), "visible": output == "uncertainty"}


def _class_names(card: Card) -> list[str]:
    names = [entry.name for entry in card.classes]
    n = max(card.model.classes, 2)
    return names if len(names) == n else [f"class {k}" for k in range(n)]


def _image(colormap: str, blending: str = "additive") -> dict[str, Any]:
    """Return how an image of numbers from 0 to 1 is shown; additive, 0 is see-through."""
    return {
        "colormap": colormap,
        "contrast_limits": (0.0, 1.0),
        "opacity": 0.6,
        "blending": blending,
    }


def _label_meta(card: Card) -> dict[str, Any]:
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    colours.update({entry.value: entry.colour for entry in card.classes if entry.value})
    values = [entry.value for entry in card.classes]
    return {
        "colormap": colours,
        "features": {"index": values, "class": [entry.name for entry in card.classes]},
        "opacity": 0.6,
    }
