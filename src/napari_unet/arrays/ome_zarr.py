"""Zarr arrays on disk, and OME-Zarr images (0.4 and 0.5) at full resolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import zarr

from napari_unet.arrays.axes import LETTERS, SPACE
from napari_unet.arrays.pixels import Found
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKS = ("zarr.json", ".zarray", ".zgroup")  # the files that make a folder a zarr node
OLDEST_AXES = "TCZYX"  # of versions before 0.3, which name none
UNKNOWN = "?"


def is_zarr(path: Path) -> bool:
    """Return whether a folder holds a zarr array or group."""
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def read_zarr(path: Path) -> Found:
    """Read a zarr array, an OME-Zarr image, or the only array of a group.

    Raises InputError U124 when a group holds several arrays and does not say which is meant.
    """
    node = zarr.open(store=path, mode="r")
    if isinstance(node, zarr.Array):
        return Found(node, _dimension_names(node))
    attributes = node.attrs.asdict()
    if "bioformats2raw.layout" in _ome(attributes):  # a collection: its first image
        node = node["0"]
        attributes = node.attrs.asdict()
    scales = _ome(attributes).get("multiscales")
    return _full_resolution(node, scales[0]) if scales else _only_array(node, path)


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return OME's metadata: below "ome" since version 0.5, at the top before."""
    metadata: Mapping[str, Any] = attributes.get("ome", attributes)
    return metadata


def _only_array(group: zarr.Group, path: Path) -> Found:
    names = sorted(group.array_keys())
    if len(names) != 1:
        inside = f"the arrays {', '.join(names)}" if names else "no array"
        remedy = f"name one, such as {path.name}/{names[0]}" if names else "choose an image"
        raise InputError("U124", f"{path.name} holds {inside}", remedy)
    return Found(group[names[0]], _dimension_names(group[names[0]]))


def _full_resolution(group: zarr.Group, image: Mapping[str, Any]) -> Found:
    level = image["datasets"][0]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", ())]
    letters = "".join(_letter(axis) for axis in axes) or OLDEST_AXES
    units = {axis.get("unit") for axis in axes if _letter(axis) in SPACE}
    scale = _scale(level, image)
    sizes = dict(zip(letters, scale, strict=False)) if len(units) == 1 else {}
    return Found(group[level["path"]], letters, {k: v for k, v in sizes.items() if k in SPACE})


def _scale(*owners: Mapping[str, Any]) -> list[float]:
    """Multiply the scales of a level and of its image; [] when neither has one."""
    steps = [step for owner in owners for step in owner.get("coordinateTransformations", ())]
    scales = [step["scale"] for step in steps if step.get("type") == "scale"]
    return [math.prod(map(float, factors)) for factors in zip(*scales, strict=True)]


def _letter(axis: Mapping[str, Any]) -> str:
    name = str(axis["name"]).upper()
    kinds = {"time": "T", "channel": "C"}
    return name if name in LETTERS else kinds.get(axis.get("type", ""), UNKNOWN)


def _dimension_names(array: zarr.Array) -> str | None:
    """Return the axes that a zarr 3 array names itself, if it names them all."""
    names = getattr(array.metadata, "dimension_names", None)
    if not names or None in names:
        return None
    return "".join(_letter({"name": name}) for name in names)
