"""What cells see, against the definition: which taps of which layer reach which pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.models.sight import Sight


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (2, 2, 0), (3, 2, 1)])
def test_a_convolution_sees_its_taps(kernel: int, stride: int, padding: int) -> None:
    sight = Sight.of_image(8).convolve(kernel, stride, padding)
    assert sight.stride == stride
    for cell in range(8 // stride):
        assert sight.first[cell] == cell * stride - padding
        assert sight.last[cell] == cell * stride - padding + kernel - 1


@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (3, 0), (4, 1)])
def test_a_transposed_convolution_is_met_by_the_cells_that_reach_it(
    kernel: int, padding: int
) -> None:
    sight = Sight.of_image(8).transpose(kernel, 2, padding)
    for output in range(len(sight.first)):
        cells = [i for i in range(-20, 20) if 0 <= output - (2 * i - padding) < kernel]
        assert (sight.first[output], sight.last[output]) == (min(cells), max(cells))


def test_linear_upsampling_takes_the_two_nearest_centres() -> None:
    sight = Sight.of_image(4).interpolate(2)
    for output in range(8):
        at = (output + 0.5) / 2 - 0.5
        assert (sight.first[output], sight.last[output]) == (np.floor(at), np.floor(at) + 1)


def test_what_is_joined_sees_what_either_sees() -> None:
    image = Sight.of_image(4)
    both = image.shift(3).join(image.convolve(3, 1, 1))
    np.testing.assert_array_equal(both.first, image.first - 1)
    np.testing.assert_array_equal(both.last, image.last + 3)
    assert both.field == 5
