"""Pairs of an image and what should be learned of it, opened and checked plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import spatial_shape, views
from napari_unet.arrays.labels import open_labels_array
from napari_unet.arrays.source import as_picture, with_channels
from napari_unet.config import InputError
from napari_unet.training.pixels import choose_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.arrays.resampled import Resampled
    from napari_unet.config import TrainConfig
    from napari_unet.training.pixels import Pixels

Pair = tuple[Any, Any]  # image and labels (or target): Pictures, arrays or paths


@dataclass(frozen=True, slots=True)
class Plane:
    """One (C, *S) view of an image with its labels (*S), or its target values (K, *S)."""

    image: View | Resampled
    truth: NDArray[Any]
    name: str
    pair: int


@dataclass(frozen=True, slots=True)
class Planes:
    """All planes of a training set, the size of their pixels, and notes on how they were cut."""

    each: tuple[Plane, ...]
    pixels: Pixels
    notes: tuple[str, ...]

    @property
    def channels(self) -> int:
        """Channels of the images; raises InputError U119 where they differ."""
        return _count({plane.image.shape[0]: plane.name for plane in self.each}, "images")


def open_planes(config: TrainConfig, pairs: Sequence[Pair]) -> Planes:
    """Open pairs and cut them into planes with the dimensions of the network.

    Raises
    ------
    InputError
        U101 without pairs, U102 when shapes differ, U119 when targets differ in channels; and
        what `as_picture` and `open_labels_array` raise.
    """
    if not pairs:
        raise InputError("U101", "no image and labels", "give at least one pair")
    ndim, values = config.model.ndim, config.labels.kind == "regression"
    opened = [_open_pair(image, truth, ndim, values=values) for image, truth in pairs]
    pixels = choose_pixels(config, [image for image, _ in opened])
    planes = [
        plane
        for pair, (image, truth) in enumerate(opened)
        for plane in _cut(image, truth, pair, config, pixels)
    ]
    if values:
        _count({plane.truth.shape[0]: plane.name for plane in planes}, "targets")
    return Planes(tuple(planes), pixels, (*_tell_stacks(opened, planes, ndim), *pixels.notes))


def _open_pair(image: Any, truth: Any, ndim: int, *, values: bool) -> tuple[Picture, Picture]:
    called = "target" if values else "labels"
    picture = as_picture(image, ndim, name="image")
    answer = as_picture(truth, ndim, labels=not values, name=called)
    if "C" not in picture.axes and picture.data.shape[1:] == _extent(answer):
        picture = with_channels(picture, 0)  # only so do the labels fit
    if values and "C" not in answer.axes and answer.data.shape[1:] == _extent(picture):
        answer = with_channels(answer, 0)
    found, expected = _extent(answer), _extent(picture)
    if found != expected:
        hint = f"crop the image or choose the {called} drawn on it"
        if sorted(found) == sorted(expected):
            hint = "it looks as if the axes are swapped: transpose one of them"
        raise InputError(
            "U102",
            f"{called} {_times(found)} ({answer.name}) do not match image {_times(expected)} "
            f"({picture.name})",
            hint,
        )
    return picture, answer


def _cut(
    image: Picture, truth: Picture, pair: int, config: TrainConfig, pixels: Pixels
) -> list[Plane]:
    found = []
    ndim, labels = config.model.ndim, config.labels
    whole = (slice(None),) * (ndim + 1)
    for plane in zip(views(image, ndim), views(truth, ndim), strict=True):
        view, answer = pixels.bring(image, *plane)
        place = "".join(f"[{index}]" for index in view.lead)
        if labels.kind == "regression":
            with np.errstate(over="ignore"):  # beyond float32 is infinite, hence not known
                array = answer[whole].astype(np.float32, copy=False)
        else:
            numbers = open_labels_array(answer[whole][0], truth.name, ignore=labels.ignore)
            array = np.asarray(numbers)
        found.append(Plane(view, array, f"{image.name}{place}", pair))
    return found


def _count(channels: dict[int, str], what: str) -> int:
    """Return the one number of channels there is."""
    if len(channels) > 1:
        words = ", ".join(f"{name} has {n}" for n, name in channels.items())
        raise InputError("U119", f"{what} differ in channels: {words}", f"use {what} of one kind")
    return next(iter(channels))


def _extent(picture: Picture) -> tuple[int, ...]:
    """Shape without the channel axis."""
    return tuple(n for n, a in zip(picture.data.shape, picture.axes, strict=True) if a != "C")


def _times(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)


def _tell_stacks(
    opened: Sequence[tuple[Picture, Picture]], planes: Sequence[Plane], ndim: int
) -> tuple[str, ...]:
    if len(planes) == len(opened):
        return ()
    shape = _times(spatial_shape(opened[0][0], ndim))
    what = {1: "lines", 2: "planes", 3: "volumes"}[ndim]
    return (f"{len(planes)} {what} of {shape} pixels are learned one by one (ndim={ndim})",)
