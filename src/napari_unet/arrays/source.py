"""Whatever holds an image, a path, an array or a Picture, as a Picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_unet.arrays.axes import SPACE, Picture, name_axes
from napari_unet.arrays.files import open_picture


def as_picture(
    source: Any, ndim: int, *, labels: bool = False, channels: int = 1, name: str = ""
) -> Picture:
    """Return a Picture with `ndim` spatial axes.

    Parameters
    ----------
    source : str, Path, Picture or array-like
        Where the pixels are.
    ndim : int
        How many of the axes are spatial.
    labels : bool
        Whether the values are labels: then no axis is taken for channels.
    channels : int
        How many channels are expected; an axis before the spatial ones that has just so many
        is taken for them where nothing else says so.
    name : str
        What to call an array in messages.
    """
    if isinstance(source, Picture):
        picture = source
    elif isinstance(source, str | Path):
        picture = open_picture(source, ndim=ndim, labels=labels)
    else:
        picture = name_axes(source, ndim=ndim, labels=labels, name=name)
    before = picture.data.ndim - ndim - 1
    if channels > 1 and "C" not in picture.axes and before >= 0:
        return with_channels(picture, before) if picture.data.shape[before] == channels else picture
    return picture


def with_channels(picture: Picture, axis: int) -> Picture:
    """Take `axis` for the channels; a size that it had in space is forgotten."""
    letter, spacing = picture.axes[axis], picture.spacing
    if spacing is not None and letter in SPACE:
        space = [other for other in SPACE if other in picture.axes]
        spacing = tuple(n for n, other in zip(spacing, space, strict=True) if other != letter)
    axes = picture.axes[:axis] + "C" + picture.axes[axis + 1 :]
    return replace(picture, axes=axes, spacing=spacing)
