"""The tiles of a prediction, drawn: what each writes, what it reads, how far a pixel sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.axes import Picture, spatial_shape
from napari_unet.tiling import plan_tiles
from napari_unet.ui.layers import first_level
from napari_unet.ui.results import MARK, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_unet.library.card import Card
    from napari_unet.tiling import Tile, Window
    from napari_unet.ui.results import LayerTuple

MOST_TILES = 400  # more would only be a lattice
WRITE, READ = "#56b4e9", "#e69f00"


def plan_layer(
    layer: Layer, axes: str, tile: int, card: Card, looked_at: Sequence[float]
) -> LayerTuple:
    """Draw the plan of a model on an image as a Shapes layer.

    What every tile writes is drawn in blue. Around the tile in the middle, orange shows what it
    reads: its block and the context, which is mirrored where it hangs over the edge.

    Parameters
    ----------
    layer : napari layer
        The image.
    axes : str
        A letter for each axis of its array.
    tile : int
        Edge of the tiles in pixels.
    card : Card
        Of the model.
    looked_at : sequence of float
        The point of the viewer: further axes are drawn where the user is.
    """
    ndim, geometry = card.model.ndim, card.geometry.value()
    shape = spatial_shape(Picture(first_level(layer), axes), ndim)
    tiles = plan_tiles(shape, tile, geometry)
    middle = tiles[len(tiles) // 2]
    drawn = tiles if len(tiles) <= MOST_TILES else [middle]
    here = _position(layer, axes, ndim, looked_at)
    windows = [(t.write, WRITE) for t in drawn if _meets(t, middle)] + [(middle.read, READ)]
    corners = [rectangle(window, here) for window, _ in windows]
    meta: dict[str, Any] = {
        "name": f"{layer.name}: tiles of {tile} pixels",
        "edge_color": [colour for _, colour in windows],
        "features": {"what": ["writes"] * (len(windows) - 1) + ["reads"]},
        "metadata": {MARK: {"plan": layer.unique_id}},
        **outlined(shape),
        **Place(layer, axes, ndim).keywords(),
    }
    return corners, meta, "shapes"


def outlined(shape: Sequence[int]) -> dict[str, Any]:
    """Say how `rectangle`s on an image of this shape are drawn: seen through, as fine as it."""
    return {
        "shape_type": "rectangle" if len(shape) > 1 else "line",
        "face_color": "transparent",
        "edge_width": max(1.0, max(shape) / 250),
    }


def _meets(tile: Tile, middle: Tile) -> bool:
    """Whether a tile stands in the plane of the middle one, which is the one drawn."""
    return tile.write[:-2] == middle.write[:-2]


def _position(layer: Layer, axes: str, ndim: int, looked_at: Sequence[float]) -> tuple[float, ...]:
    """Return the pixel that the user is at on the axes that are looped over."""
    pixels = layer.world_to_data(list(looked_at)[-layer.ndim :])
    kept = [k for k, letter in enumerate(axes) if letter not in "ZYX"[-ndim:] + "C"]
    return tuple(float(round(pixels[k])) for k in kept)


def rectangle(window: Window, here: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the corners of a window in its last two axes; pixel centres are whole numbers."""
    low = [w.start - 0.5 for w in window]
    high = [w.stop - 0.5 for w in window]
    before = [*here, *((a + b) / 2 for a, b in zip(low[:-2], high[:-2], strict=True))]
    if len(window) == 1:
        return np.array([[*before, low[-1]], [*before, high[-1]]])
    (y0, x0), (y1, x1) = low[-2:], high[-2:]
    plane = ((y0, x0), (y0, x1), (y1, x1), (y1, x0))
    return np.array([[*before, y, x] for y, x in plane])
