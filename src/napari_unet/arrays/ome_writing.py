"""Results as OME-Zarr 0.5, so that other programs open them in place, with the right scale.

The first image (probabilities, values, ...) is the image of the group; labels stand in `labels/`,
further images in groups of their own. A level of a pyramid counts once the metadata list it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_unet.arrays.chunks import CHUNK, create_array
from napari_unet.arrays.ome_metadata import (
    VERSION,
    check_axes,
    describe_image,
    name_dimensions,
    order_axes,
    pixel_sizes,
)
from napari_unet.arrays.pyramid import level_shape, plan_levels, shrink
from napari_unet.arrays.turned import Turned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from numpy.typing import DTypeLike

LABELS = "labels"  # the group of the labels of an image
PLACES = "outputs"  # attribute of a result: where in the group each output lies
LEVEL_CELL = 4  # chunks per edge in a file, in large levels of a pyramid


def create_image(
    group: zarr.Group,
    place: str,
    shape: Sequence[int],
    dtype: DTypeLike,
    *,
    ndim: int,
    attrs: Mapping[str, Any],
    **more: Any,
) -> Any:
    """Make the full resolution of an image at `place` in a group: "" is the group itself.

    Parameters
    ----------
    group : zarr.Group
        Of the whole result.
    place : str
        Images in `labels/`, and integers, are labels.
    shape, dtype, ndim, **more
        As `chunks.create_array`.
    attrs : mapping
        What `ome_metadata` wants to know.

    Returns
    -------
    zarr.Array or Turned
        Axes in the order of `shape`.

    Raises
    ------
    InputError
        U151 for axes that an OME-Zarr image cannot have.
    """
    axes = attrs["axes"]
    check_axes(axes, place or "the result")
    owner = group.require_group(place) if place else group
    order = order_axes(axes)
    array = create_array(
        owner,
        "0",
        [shape[axis] for axis in order],
        dtype,
        ndim=ndim,
        attributes={"name": place.rpartition("/")[2], **attrs, "ndim": ndim},
        dimension_names=name_dimensions(axes),
        **more,
    )
    _list_levels(owner, place, [(1,) * ndim])
    if place.startswith(f"{LABELS}/"):
        labels = group.require_group(LABELS)
        known = labels.attrs.get("ome", {}).get("labels", [])
        names = [*known, place.removeprefix(f"{LABELS}/")]
        labels.attrs["ome"] = {"version": VERSION, "labels": list(dict.fromkeys(names))}
    return _in_our_order(array, axes)


def open_level(group: zarr.Group, place: str, level: int = 0) -> Any:
    """Open one level of an image, with the axes in the order in which it was made."""
    owner = _owner(group, place)
    return _in_our_order(owner[str(level)], owner["0"].attrs["axes"])


def open_levels(path: str | PathLike[str]) -> dict[str, list[Any]]:
    """Open an OME-Zarr result: the finished levels of each output, the full resolution first."""
    group = zarr.open_group(str(path), mode="r")
    places: dict[str, str] = group.attrs.asdict().get(PLACES, {})
    return {
        name: [open_level(group, place, k) for k in range(_count_levels(_owner(group, place)))]
        for name, place in places.items()
    }


def build_pyramid(group: zarr.Group, place: str) -> Iterator[float]:
    """Add the coarser levels of an image, each from the one before; those listed are kept.

    Yields
    ------
    float
        The share of the level that is done.
    """
    owner = _owner(group, place)
    finest = owner["0"]
    attrs = finest.attrs.asdict()
    ndim, sizes = attrs["ndim"], pixel_sizes(attrs)
    lead, space = finest.shape[:-ndim], finest.shape[-ndim:]
    levels = plan_levels(space, [sizes[letter] for letter in attrs["axes"][-ndim:]])
    for number in range(_count_levels(owner), len(levels)):
        pairs = zip(levels[number], levels[number - 1], strict=True)
        target = create_array(
            owner,
            str(number),
            (*lead, *level_shape(space, levels[number])),
            finest.dtype,
            cell=(LEVEL_CELL * CHUNK[ndim],) * ndim,
            ndim=ndim,
            fill_value=finest.fill_value,
            dimension_names=finest.metadata.dimension_names,
            overwrite=True,
        )
        steps = (*(1,) * len(lead), *(coarse // fine for coarse, fine in pairs))
        yield from shrink(owner[str(number - 1)], target, steps, mean=not _is_label(place, finest))
        _list_levels(owner, place, levels[: number + 1])


def _is_label(place: str, array: zarr.Array[Any]) -> bool:
    """Return whether an image holds labels, which have no mean."""
    return place.startswith(f"{LABELS}/") or np.dtype(array.dtype).kind in "iu"


def _owner(group: zarr.Group, place: str) -> Any:
    return group[place] if place else group


def _in_our_order(array: Any, axes: str) -> Any:
    order = order_axes(axes)
    return array if order == tuple(range(len(axes))) else Turned(array, order)


def _list_levels(owner: Any, place: str, levels: Sequence[Sequence[int]]) -> None:
    """Write the metadata of an image with these levels."""
    finest = owner["0"]
    labels = _is_label(place, finest)
    metadata = describe_image(finest.attrs.asdict(), levels, labels=labels)
    if labels and place:
        metadata["image-label"]["source"] = {"image": "../../"}
    owner.attrs["ome"] = metadata


def _count_levels(owner: Any) -> int:
    return len(owner.attrs.asdict()["ome"]["multiscales"][0]["datasets"])
