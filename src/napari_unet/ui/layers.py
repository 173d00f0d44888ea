"""What a layer is to us: named axes, and an array that the engine can read."""

from __future__ import annotations

import itertools
import math
import uuid
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import LETTERS, SPACE, adopt_axes, name_axes
from napari_unet.arrays.files import path_of
from napari_unet.arrays.units import in_micrometres
from napari_unet.config import InputError
from napari_unet.engine.jobs import ArrayRef
from napari_unet.ui.space import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_unet.tiling import Window

MOST_CHANNELS = 16  # an axis longer than this is not offered as channels
CHUNK = 512  # pixels per edge in the scratch folder
BLOCK_ELEMENTS = 2**24  # copied at once


@dataclass(frozen=True, slots=True)
class Source:
    """What a worker thread may know of a layer: its array and what its axes mean."""

    data: Any
    axes: str
    spacing: tuple[float, ...]  # one per spatial axis Z Y X that it has
    name: str
    unit: str = ""  # of the spacing: µm, where the layer has a unit of length


def find_layer(layers: Iterable[Layer], key: object) -> Layer | None:
    """Return the layer whose `unique_id` is `key`, or None when it was deleted."""
    return next((layer for layer in layers if key is not None and layer.unique_id == key), None)


def first_level(layer: Layer) -> Any:
    """Return the array of a layer at full resolution; nothing is read."""
    return layer.data[0] if layer.multiscale else layer.data


def axes_choices(layer: Layer, ndim: int) -> list[tuple[str, str]]:
    """List what the axes of an image can mean to a network of `ndim` dimensions.

    Returns
    -------
    list of (axes, words)
        The likeliest first.

    Raises
    ------
    InputError
        U112, U113, U116 for an array that no such network can take.
    """
    data, space = first_level(layer), SPACE[-ndim:]
    guess = name_axes(data, ndim=ndim, rgb=layer_is_rgb(layer), name=layer.name).axes
    loops = len(guess) - ndim
    shapes = [guess]
    if loops and not layer_is_rgb(layer):
        outer = "Q" * (loops - 1)
        shapes.append("Q" * loops + space)
        shapes += [outer + space + "C"] if data.shape[-1] <= MOST_CHANNELS else []
        shapes += [outer + "C" + space] if data.shape[loops - 1] <= MOST_CHANNELS else []
    known = list(dict.fromkeys(adopt_axes(axes, ndim) for axes in shapes))
    named = "".join(layer.axis_labels).upper()
    if len(named) == len(guess) and set(named) <= set(LETTERS) and set(space) <= set(named):
        known = [named, *(axes for axes in known if axes != named)]
    return [(axes, _axes_words(axes, data.shape, ndim)) for axes in known]


def layer_is_rgb(layer: Layer) -> bool:
    """Return whether the last axis of a layer is colour."""
    return bool(getattr(layer, "rgb", False))


def channels_of(layer: Layer, axes: str) -> int:
    """Count the channels of a layer; opacity is none."""
    if "C" not in axes:
        return 1
    channels = int(first_level(layer).shape[axes.index("C")])
    return min(channels, 3) if layer_is_rgb(layer) else channels


def source_of(layer: Layer, axes: str) -> Source:
    """Collect what is needed to hand a layer to the engine; nothing is read.

    The alpha channel of an RGBA layer is left out.

    Raises
    ------
    InputError
        U113 when the array has more or fewer axes than `axes` names.
    """
    data = first_level(layer)
    if data.ndim != len(axes):
        raise InputError(
            "U113",
            f"layer {layer.name!r} has {data.ndim} axes, {axes} names {len(axes)}",
            "choose layers with the same axes",
        )
    if layer_is_rgb(layer) and data.shape[-1] == 4:
        data = _lazy(data)[..., :3]
    scaled = axes.replace("C", "") if layer.ndim < len(axes) else axes
    scale = dict(zip(scaled, map(float, layer.scale), strict=True))
    units = dict(zip(scaled, map(str, layer.units), strict=True))
    scale = {letter: scale[letter] for letter in SPACE if letter in scale}
    known, unit = in_micrometres(scale, units)
    sizes = known if unit else scale
    return Source(data, axes, tuple(sizes.values()), str(layer.name), unit)


def stack_of(layers: Sequence[Layer], axes: str) -> Source:
    """Collect several layers of one shape as the channels of one image; nothing is read.

    Parameters
    ----------
    layers : sequence of Layer
        The channels, in order; a single one may have channels itself.
    axes : str
        Of the first layer.

    Raises
    ------
    InputError
        U102 when the shapes differ; U113 when their axes do, or when one of several has channels
        itself.
    """
    first, *others = (source_of(layer, axes) for layer in layers)
    if not others:
        return first
    if "C" in axes:
        raise InputError(
            "U113",
            f"layer {first.name!r} has channels itself ({axes})",
            "choose other axes, or this layer alone",
        )
    for other in others:
        if other.data.shape != first.data.shape:
            raise InputError(
                "U102",
                f"channel {_times(other.data.shape)} (layer {other.name!r}) does not match "
                f"{_times(first.data.shape)} (layer {first.name!r})",
                "choose layers of one shape",
            )
    data = Channels(tuple(source.data for source in (first, *others)))
    return Source(data, f"C{axes}", first.spacing, first.name, first.unit)


class Channels:
    """Arrays of one shape as the first axis of one lazy array: (*S) each -> (C, *S).

    Parameters
    ----------
    arrays : tuple of array-like
        Whatever has a shape, a dtype and slices.
    """

    def __init__(self, arrays: tuple[Any, ...]) -> None:
        self._arrays = arrays
        self.shape = (len(arrays), *arrays[0].shape)
        self.ndim = len(self.shape)
        self.dtype = np.result_type(*(array.dtype for array in arrays))

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        channels, *window = key
        blocks = [np.asarray(array[tuple(window)]) for array in self._arrays[channels]]
        return np.stack(blocks).astype(self.dtype, copy=False)


def check_pair(image: Layer, labels: Layer, axes: str) -> tuple[str, ...]:
    """Check that labels, or a target, lie on their image; return warnings in words.

    Raises
    ------
    InputError
        U102 when the shapes differ; the remedy says so when they are swapped.
    """
    shape = pixels_of(image, axes)
    found = pixels_of(labels, truth_axes(labels, image, axes))
    if found != shape:
        swapped = sorted(found) == sorted(shape)
        drawn = "choose the target that belongs to it" if _is_image(labels) else ""
        raise InputError(
            "U102",
            f"{'target' if drawn else 'labels'} {_times(found)} (layer {labels.name!r}) do not "
            f"match image {_times(shape)} (layer {image.name!r})",
            "their axes are swapped: transpose one of them"
            if swapped
            else f"crop the image or {drawn or 'choose the labels drawn on it'}",
        )
    return tuple(
        f"{labels.name!r} has another {name} than {image.name!r}: are they of one image?"
        for name in differences(image, labels)
    )


def truth_axes(truth: Layer, image: Layer, axes: str) -> str:
    """Name the axes of labels or of a target: those of the image, and C if a target has channels.

    Parameters
    ----------
    truth, image : Layer
        A Labels layer, or an Image layer as target; the image it belongs to.
    axes : str
        Of the image.
    """
    plain = axes.replace("C", "")
    data, shape = first_level(truth), pixels_of(image, axes)
    if _is_image(truth) and data.ndim == len(plain) + 1:
        if tuple(data.shape[:-1]) == shape:
            return f"{plain}C"
        if tuple(data.shape[1:]) == shape:
            return f"C{plain}"
    return plain


def pixels_of(layer: Layer, axes: str) -> tuple[int, ...]:
    """Return the shape of a layer without its channels; as it is where the axes do not fit."""
    shape = tuple(first_level(layer).shape)
    if len(shape) != len(axes):
        return shape
    return tuple(n for n, letter in zip(shape, axes, strict=True) if letter != "C")


def store(
    source: Source,
    folder: Path,
    *,
    snapshot: bool = False,
    within: Window | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ArrayRef:
    """Make an array readable for the engine; runs in a worker thread.

    Parameters
    ----------
    source : Source
        From `source_of`.
    folder : Path
        The scratch folder.
    snapshot : bool
        Copy even what lies on disk, because the user may go on painting.
    within : tuple of slice, optional
        Which part of the array is needed: what is copied has its shape, and is 0 elsewhere.
    stopped : callable
        Asked before each block; true ends the copy.

    Returns
    -------
    ArrayRef
        The file of the array itself, or of a copy made block by block.
    """
    path = None if snapshot else path_of(source.data)
    if path is None:
        path = folder / f"{uuid.uuid4().hex}.zarr"
        copy_blocks(source.data, path, stopped, within)
    return ArrayRef(
        path=str(path),
        axes=source.axes,
        spacing=source.spacing,
        unit=source.unit,
        name=source.name,
    )


def store_pairs(
    sources: Sequence[tuple[Source, Source]], folder: Path, stopped: Callable[[], bool]
) -> tuple[tuple[ArrayRef, ArrayRef], ...]:
    """Make images readable for the engine and copy what belongs to them; runs in a thread.

    Parameters
    ----------
    sources : sequence of (Source, Source)
        Each image with its labels or its target, on which the user may go on working.
    folder : Path
        The scratch folder.
    stopped : callable
        Asked before each block; true ends the copy.
    """
    return tuple(
        (
            store(image, folder, stopped=stopped),
            store(truth, folder, snapshot=True, stopped=stopped),
        )
        for image, truth in sources
    )


def store_labels(
    images: Sequence[ArrayRef], truths: Sequence[Source], folder: Path, stopped: Callable[[], bool]
) -> tuple[tuple[ArrayRef, ArrayRef], ...]:
    """Copy labels, or targets, anew for images that the engine has; runs in a thread."""
    return tuple(
        (image, store(truth, folder, snapshot=True, stopped=stopped))
        for image, truth in zip(images, truths, strict=True)
    )


def copy_blocks(
    data: Any,
    path: Path,
    stopped: Callable[[], bool] = lambda: False,
    within: Window | None = None,
) -> None:
    """Copy an array (or `within` it) to a zarr array at `path`, a few megabytes at a time.

    Raises
    ------
    InputError
        U116 for a dtype that is no number.
    """
    import zarr

    dtype = np.dtype(data.dtype)
    if dtype.kind not in "buif":
        raise InputError("U116", f"an array of dtype {dtype}", "convert it to numbers")
    edges = (CHUNK if axis >= data.ndim - 3 else 1 for axis in range(data.ndim))
    chunks = tuple(max(1, min(n, edge)) for n, edge in zip(data.shape, edges, strict=True))
    target = zarr.create_array(
        store=str(path),
        shape=data.shape,
        chunks=_shrink(chunks),
        dtype=dtype.newbyteorder("="),
        compressors=None,
    )
    for block in blocks(data.shape, target.chunks, within):
        if stopped():
            return
        target[block] = np.asarray(data[block])


def _shrink(chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Thin chunks along their first axes until one is at most a block."""
    sizes = list(chunks)
    for axis, size in enumerate(sizes):
        others = math.prod(sizes) // max(size, 1)
        sizes[axis] = max(1, min(size, BLOCK_ELEMENTS // max(others, 1)))
    return tuple(sizes)


def blocks(
    shape: tuple[int, ...], edges: tuple[int, ...], within: Window | None = None
) -> Iterator[Window]:
    """Cut a shape, or a part of it, along a grid with these edges."""
    bounds = within or tuple(slice(0, n) for n in shape)
    ranges = (
        range(w.start // size * size, w.stop, size) for size, w in zip(edges, bounds, strict=True)
    )
    for corner in itertools.product(*ranges):
        yield tuple(
            slice(max(a, w.start), min(a + size, w.stop))
            for a, size, w in zip(corner, edges, bounds, strict=True)
        )


def _axes_words(axes: str, shape: tuple[int, ...], ndim: int) -> str:
    """Say what axes mean: `12 images, each on its own, 3 channels`."""
    sizes = dict(zip(axes, shape, strict=True))
    thing = {1: "line", 2: "image", 3: "volume"}[ndim]
    n = math.prod(m for letter, m in sizes.items() if letter not in SPACE[-ndim:] + "C")
    words = f"{n} {thing}s, each on its own" if n > 1 else f"one {thing}"
    return f"{words}, {sizes['C']} channels" if "C" in sizes else words


def _is_image(layer: Layer) -> bool:
    return hasattr(layer, "rgb")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def _module(data: Any) -> str:
    return type(data).__module__


def _lazy(data: Any) -> Any:
    """Wrap a zarr array, which reads whatever is sliced, so that slicing reads nothing."""
    if not _module(data).startswith("zarr"):
        return data
    wrap: Any = import_module("dask.array").from_array
    return wrap(data)
