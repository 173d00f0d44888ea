"""What OME-Zarr 0.5 says of an image: axes, where each level lies, names and colours.

It is made of the attributes that our results have: `axes`, one letter per axis; `ndim`, how many
of the last ones were space to the network; `spacing`, along Z, Y, X, and its `unit` where it has
one; `stride` and `offset`, in pixels of the image; `classes`, a list of name, value and colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.arrays.axes import SPACE
from napari_unet.arrays.units import UNIT
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = "0.5"
CHANNELS = "KC"
ORDER = f"T{CHANNELS}{SPACE}"  # in which OME-Zarr wants the axes
KINDS: Mapping[str, str] = {"t": "time", "c": "channel"}


def check_axes(axes: str, name: str) -> None:
    """Raise InputError U151 for axes that an OME-Zarr image cannot have: positions, or no plane."""
    if "P" in axes or "Y" not in axes:
        what = f"OME-Zarr has no place for the axes {axes} of {name}"
        raise InputError("U151", what, "use x.zarr or x.tif")


def order_axes(axes: str) -> tuple[int, ...]:
    """Return which of our axes comes when: time, channels, space.

    Examples
    --------
    >>> order_axes("KTYX")
    (1, 0, 2, 3)
    """
    return tuple(sorted(range(len(axes)), key=lambda axis: ORDER.index(axes[axis])))


def name_dimensions(axes: str) -> list[str]:
    """Return the names of the axes, in the order of the file."""
    return [("C" if axes[i] in CHANNELS else axes[i]).lower() for i in order_axes(axes)]


def pixel_sizes(attrs: Mapping[str, Any]) -> dict[str, float]:
    """Return the size of an element along each axis: physical, or in pixels of the image."""
    axes, stride = attrs["axes"], _stride(attrs)
    known = zip(
        (letter for letter in SPACE if letter in axes), attrs.get("spacing", ()), strict=False
    )
    return {**stride, **dict(known)}


def describe_image(
    attrs: Mapping[str, Any], levels: Sequence[Sequence[int]], *, labels: bool
) -> dict[str, Any]:
    """Return the metadata of an image.

    Parameters
    ----------
    attrs : mapping
        As above, and `name`.
    levels : sequence of tuple of int
        How many elements of the finest level make one of each level, along the last `ndim` axes.
    labels : bool
        Whether the elements are labels.
    """
    axes = attrs["axes"]
    names = name_dimensions(axes)
    kinds = [{"name": name, "type": KINDS.get(name, "space")} for name in names]
    if attrs.get("unit") == UNIT:
        kinds = [a | ({"unit": "micrometer"} if a["type"] == "space" else {}) for a in kinds]
    image = {
        "name": attrs.get("name", ""),
        "type": "nearest" if labels else "mean",
        "axes": kinds,
        "datasets": [
            {"path": str(number), "coordinateTransformations": _place(attrs, factors)}
            for number, factors in enumerate(levels)
        ],
    }
    metadata: dict[str, Any] = {"version": VERSION, "multiscales": [image]}
    if labels:
        metadata["image-label"] = _image_label(attrs.get("classes", ()))
    elif "K" in axes and "classes" in attrs:
        metadata["omero"] = {"channels": [_channel(entry) for entry in attrs["classes"]]}
    return metadata


def _place(attrs: Mapping[str, Any], factors: Sequence[int]) -> list[dict[str, Any]]:
    """Return scale and translation of a level: where the centre of its first element lies.

    That of n pixels in a row lies (n - 1) / 2 pixels behind the centre of the first one.
    """
    axes, ndim = attrs["axes"], attrs["ndim"]
    sizes, stride = pixel_sizes(attrs), _stride(attrs)
    offset = dict(zip(stride, attrs.get("offset", (0,) * len(stride)), strict=True))
    coarser = dict(zip(axes[-ndim:], factors, strict=True))
    scale, shift = [], []
    for letter in (axes[i] for i in order_axes(axes)):
        n = stride.get(letter, 1) * coarser.get(letter, 1)  # pixels of the image
        pixel = sizes.get(letter, 1) / stride.get(letter, 1)
        scale.append(float(n * pixel))
        shift.append(float((offset.get(letter, 0) + (n - 1) / 2) * pixel))
    return [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]


def _stride(attrs: Mapping[str, Any]) -> dict[str, int]:
    """Return how many pixels of the image an element covers, along all axes but channels."""
    letters = [letter for letter in attrs["axes"] if letter not in CHANNELS]
    every = dict.fromkeys(letters, 1)
    stride = attrs.get("stride", ())
    return every | dict(zip(letters[len(letters) - len(stride) :], stride, strict=True))


def _image_label(classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what labels mean: names and colours of the classes, where they are classes."""
    named = [entry for entry in classes if entry["value"]]
    if not named:
        return {}
    return {
        "colors": [{"label-value": c["value"], "rgba": _rgba(c["colour"])} for c in named],
        "properties": [{"label-value": c["value"], "class": c["name"]} for c in named],
    }


def _channel(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the probabilities of a class are shown."""
    red, green, blue, opacity = _rgba(entry["colour"])
    return {
        "label": entry["name"],
        "color": f"{red:02X}{green:02X}{blue:02X}" if opacity else "FFFFFF",
        "window": {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0},
        "active": True,
    }


def _rgba(colour: str) -> list[int]:
    """Translate "#rrggbb" or "#rrggbbaa"."""
    return list(bytes.fromhex(colour.lstrip("#").ljust(8, "f")))
