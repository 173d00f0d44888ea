"""What is held out to validate, drawn on the image: the boxes, and the gaps around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import Picture, spatial_shape
from napari_unet.library.split import SplitCard, widened
from napari_unet.ui.layers import first_level
from napari_unet.ui.plan_shapes import READ, WRITE, outlined, rectangle
from napari_unet.ui.results import MARK, Place, result_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_unet.library.split import HeldBox
    from napari_unet.ui.results import LayerTuple

MOST_PLANES = 400  # of a box in a volume that are drawn, evenly spread over it
HELD_OUT, GAP = "held out", "gap"
COLOURS: Mapping[str, str] = {HELD_OUT: WRITE, GAP: READ}


def split_layer(
    layer: Layer, axes: str, ndim: int, split: Mapping[str, Any], pair: int = 0
) -> LayerTuple | None:
    """Draw what is held out of an image as a Shapes layer; None where that is nothing.

    Blue surrounds what validates. Orange surrounds the gap, in which nothing is learned.

    Parameters
    ----------
    layer : napari layer
        The image.
    axes : str
        A letter for each axis of its array.
    ndim : int
        Dimensions of the network.
    split : mapping
        `card.training["split"]` of a model.
    pair : int
        Which pair of the training set the image is of.
    """
    boxes = [box for box in SplitCard.model_validate(split).boxes if box.pair == pair]
    if not boxes:
        return None
    whole = spatial_shape(Picture(first_level(layer), axes), ndim)
    scale = boxes[0].scale or (1.0,) * ndim  # the network may see the image at another pixel size
    shape = [round(n / each) for n, each in zip(whole, scale, strict=True)]
    drawn = [part for box in boxes for part in _outlines(box, shape)]
    what = [word for _, word in drawn]
    meta: dict[str, Any] = {
        "name": f"{layer.name}: {HELD_OUT}",
        "edge_color": [COLOURS[word] for word in what],
        "features": {"what": what},
        "metadata": {MARK: {"split": layer.unique_id}},
        **outlined(shape),
        **_space(layer, axes, ndim, scale),
    }
    return [corners for corners, _ in drawn], meta, "shapes"


def _space(layer: Layer, axes: str, ndim: int, scale: Sequence[float]) -> dict[str, Any]:
    loops = len(result_axes(axes, ndim)) - ndim
    stride = None if set(scale) == {1.0} else (*(1.0,) * loops, *scale)
    return Place(layer, axes, ndim).keywords(stride)


def _outlines(box: HeldBox, shape: Sequence[int]) -> Iterator[tuple[NDArray[np.float64], str]]:
    """Yield the corners of a box and of its gap, if it has one, in every plane of a volume."""
    windows = {HELD_OUT: box.window}
    if any(box.gap):
        windows[GAP] = widened(box.window, box.gap, shape)
    for word, window in windows.items():
        lead = tuple(map(float, box.lead))
        if len(window) < 3:
            yield rectangle(window, lead), word
            continue
        first, last = window[0].start, window[0].stop - 1
        planes = np.linspace(first, last, min(last - first + 1, MOST_PLANES)).round()
        for plane in planes:
            yield rectangle(window[1:], (*lead, float(plane))), word
