"""What cells see, against the definition: which taps of which layer reach which pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.models.cells import Blend, Gather, Spread
from napari_unet.models.sight import Sight

if TYPE_CHECKING:
    from napari_unet.models.cells import Rule


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (2, 2, 0), (3, 2, 1)])
def test_a_convolution_sees_its_taps(kernel: int, stride: int, padding: int) -> None:
    sight = Sight.of_image(8).through(Gather(kernel, stride, padding, padding))
    assert sight.stride == stride
    for cell in range(8 // stride):
        assert sight.first[cell] == cell * stride - padding
        assert sight.last[cell] == cell * stride - padding + kernel - 1


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_a_transposed_convolution_is_met_by_the_cells_that_reach_it(kernel: int) -> None:
    sight = Sight.of_image(8).through(Spread(kernel, 2))
    for output in range(len(sight.first)):
        cells = [i for i in range(-20, 20) if 0 <= output - 2 * i < kernel]
        assert (sight.first[output], sight.last[output]) == (min(cells), max(cells))


def test_linear_upsampling_takes_the_two_nearest_centres() -> None:
    sight = Sight.of_image(4).through(Blend(2))
    for output in range(8):
        at = (output + 0.5) / 2 - 0.5
        assert (sight.first[output], sight.last[output]) == (np.floor(at), np.floor(at) + 1)


def test_what_is_joined_sees_what_either_sees() -> None:
    image = Sight.of_image(4)
    both = image.through(Gather(before=-3)).join(image.through(Gather(3, 1, 1, 1)))
    np.testing.assert_array_equal(both.first, image.first - 1)
    np.testing.assert_array_equal(both.last, image.last + 3)
    assert both.field == 5


steps_down = st.sampled_from(
    [Gather(3, 1, 1, 1), Gather(5, 1, 2, 2), Gather(2, 2), Gather(3, 2, 1, 1)]
)
steps_up = st.sampled_from([Spread(2, 2), Spread(3, 2), Blend(2), Gather(3), Gather(before=-2)])


@given(st.lists(steps_down, max_size=4), st.lists(steps_up, max_size=3))
def test_through_many_layers_a_cell_sees_what_is_reached_one_by_one(
    down: list[Rule], up: list[Rule]
) -> None:
    """From each cell back to the image, layer by layer; a stretch is never torn."""
    sight = Sight.of_image(16)
    for rule in (*down, *up):
        sight = sight.through(rule)
    for cell in range(len(sight.first)):
        first, stop = cell, cell + 1
        for rule in reversed((*down, *up)):
            first, stop = rule.need(first, stop)
        assert (sight.first[cell], sight.last[cell]) == (first, stop - 1)
