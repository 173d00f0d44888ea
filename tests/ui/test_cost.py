"""The cost that is told is the cost of the plan that is run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.tiling import Geometry, plan_tiles
from napari_unet.ui.cost import count_cost

GEOMETRIES = st.sampled_from(
    [
        Geometry((8, 8), (48, 48), (0, 0), (8, 8)),
        Geometry((16, 16), (96, 96), (92, 92), (188, 188)),
        Geometry((4, 2), (12, 6), (0, 0), (4, 2)),
    ]
)


@settings(deadline=None)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(1, 400), GEOMETRIES)
def test_counting_equals_listing(shape: tuple[int, int], size: int, geometry: Geometry) -> None:
    tiles = plan_tiles(shape, size, geometry)
    cost = count_cost(shape, size, geometry, positions=3)
    read = sum(math.prod(w.stop - w.start for w in tile.read) for tile in tiles)
    assert cost.tiles == 3 * len(tiles)
    assert cost.redundant == pytest.approx(1 - math.prod(shape) / read)


def test_the_cost_in_words() -> None:
    geometry = Geometry((8, 8), (48, 48), (0, 0), (8, 8))
    assert str(count_cost((100, 100), 512, geometry)) == "1 tile of 100 pixels"
    words = str(count_cost((1000, 1000), 256, geometry))
    assert words.startswith("16 tiles of 256 pixels, each read with up to 48 more on every side")
