"""The rectangles that are drawn are the windows of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Shapes

from napari_unet.library.folders import read_card
from napari_unet.tiling import plan_tiles
from napari_unet.ui.plan_shapes import plan_layer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("shape", "axes"), [((200, 100), "YX"), ((5, 200, 100), "TYX")])
def test_tiles_cover_the_image_and_one_shows_what_it_reads(
    model: Path, shape: tuple[int, ...], axes: str
) -> None:
    card = read_card(model)
    image = Image(np.zeros(shape), scale=[2.0] * len(shape), name="cells")
    looked_at = [6.0] * len(shape)  # pixel 3
    corners, meta, kind = plan_layer(image, axes, 64, card, looked_at)
    tiles = plan_tiles((200, 100), 64, card.geometry.value())
    drawn = [np.ptp(c[:, -2:], axis=0).tolist() for c in corners]
    written = [[w.stop - w.start for w in t.write] for t in tiles]
    middle = tiles[len(tiles) // 2].read
    assert kind == "shapes"
    assert drawn == [*written, [w.stop - w.start for w in middle]]
    shapes = Shapes(corners, **meta)
    np.testing.assert_array_equal(shapes.scale, image.scale)
    if len(shape) == 3:
        assert all((c[:, 0] == 3).all() for c in corners)
