"""Zarr arrays on disk, and OME-Zarr images (0.4 and 0.5) at any of their resolutions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from napari_unet.arrays.axes import LETTERS, SPACE
from napari_unet.arrays.pixels import Found
from napari_unet.arrays.units import in_micrometres
from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKS = ("zarr.json", ".zarray", ".zgroup")  # the files that make a folder a zarr node
LEDGER = "ledger"  # of a result of ours: which tiles are done; no picture
OLDEST_AXES = "TCZYX"  # of versions before 0.3, which name none
UNKNOWN = "?"


def is_zarr(path: Path) -> bool:
    """Return whether a folder holds a zarr array or group."""
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def name_zarr(path: Path) -> str:
    """Return what to call a node: `image.zarr/labels/cells`, from its outermost zarr on."""
    top = path
    while is_zarr(top.parent):
        top = top.parent
    return path.relative_to(top.parent).as_posix()


def find_level(path: Path) -> tuple[Path, int] | None:
    """Take `image.zarr/2` for a level where nothing lies at that path, else return None."""
    number = path.name
    if number.isdecimal() and is_zarr(path.parent) and not path.exists():
        return path.parent, int(number)
    return None


def read_zarr(path: Path, level: int = 0) -> Found:
    """Read a zarr array, one level of an OME-Zarr image, or the only array of a group.

    Raises
    ------
    InputError
        U124 when a group holds several arrays, images or labels and does not say which is meant;
        U150 for a level that it does not have.
    """
    node = zarr.open(store=path, mode="r")
    if isinstance(node, zarr.Array):
        return _as_level(path, node) or Found(node, _dimension_names(node))
    metadata = _ome(node)
    if "bioformats2raw.layout" in metadata:  # a collection: its first image
        return read_zarr(path / "0", level)
    if "multiscales" in metadata:
        return _level(node, metadata["multiscales"][0], level, path.name)
    inside = sorted(metadata["labels"]) if "labels" in metadata else _wells(metadata)
    if len(inside) == 1:
        return read_zarr(path / inside[0], level)
    return _only_array(node, path) if not inside else _ask(path, "images", inside)


def _ome(node: Any) -> Mapping[str, Any]:
    """Return OME's metadata: below "ome" since version 0.5, at the top before."""
    attributes = node.attrs.asdict()
    metadata: Mapping[str, Any] = attributes.get("ome", attributes)
    return metadata


def _wells(metadata: Mapping[str, Any]) -> list[str]:
    """List the images of a plate (the first one of each well), or of a well."""
    if "plate" in metadata:
        return [f"{well['path']}/0" for well in metadata["plate"]["wells"]]
    return [image["path"] for image in metadata.get("well", {}).get("images", ())]


def _only_array(group: zarr.Group, path: Path) -> Found:
    names = sorted(set(group.array_keys()) - {LEDGER})
    return Found(group[names[0]], _dimension_names(group[names[0]])) if len(names) == 1 else _ask(
        path, "arrays", names
    )  # fmt: skip


def _ask(path: Path, what: str, names: list[str]) -> Found:
    inside = f"the {what} {', '.join(names[:8])}" if names else "no array"
    remedy = f"name one, such as {path.name}/{names[0]}" if names else "choose an image"
    raise InputError("U124", f"{path.name} holds {inside}", remedy)


def _as_level(path: Path, array: zarr.Array[Any]) -> Found | None:
    """Read an array as the level that it is of an image further up, or return None."""
    for above in (path.parent, path.parent.parent):  # levels are called 1, or scale1/image
        if not is_zarr(above):
            continue
        group = zarr.open(store=above, mode="r")
        images = _ome(group).get("multiscales", ())
        for number, level in enumerate(images[0]["datasets"] if images else ()):
            if Path(level["path"]) == path.relative_to(above):
                return _level(group, images[0], number, path.name, array)
    return None


def _level(
    group: Any, image: Mapping[str, Any], number: int, name: str, array: Any = None
) -> Found:
    levels = image["datasets"]
    if not 0 <= number < len(levels):
        raise InputError(
            "U150", f"level {number} of {name}", f"it has the levels 0 to {len(levels) - 1}"
        )
    level = levels[number]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", ())]
    letters = "".join(_letter(axis) for axis in axes) or OLDEST_AXES
    units = {_letter(axis): axis.get("unit") for axis in axes}
    scales = zip(letters, _scale(level, image), strict=False)
    sizes, unit = in_micrometres({k: size for k, size in scales if k in SPACE}, units)
    pixels = group[level["path"]] if array is None else array
    return Found(pixels, letters, sizes, unit=unit)


def _scale(*owners: Mapping[str, Any]) -> list[float]:
    """Multiply the scales of a level and of its image; [] when neither has one."""
    steps = [step for owner in owners for step in owner.get("coordinateTransformations", ())]
    scales = [step["scale"] for step in steps if step.get("type") == "scale"]
    return [math.prod(map(float, factors)) for factors in zip(*scales, strict=True)]


def _letter(axis: Mapping[str, Any]) -> str:
    name = str(axis["name"]).upper()
    kinds = {"time": "T", "channel": "C"}
    return name if name in LETTERS else kinds.get(axis.get("type", ""), UNKNOWN)


def _dimension_names(array: zarr.Array[Any]) -> str | None:
    """Return the axes that an array names itself, if it names them all."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")  # xarray, in zarr 2
    if not names or None in names:
        return None
    return "".join(_letter({"name": name}) for name in names)
