"""Where the elements of every level lie, from where the pixels of the image lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.arrays.ome_metadata import (
    check_axes,
    describe_image,
    name_dimensions,
    order_axes,
    pixel_sizes,
)
from napari_unet.config import InputError


@pytest.mark.parametrize(
    ("axes", "names"),
    [("KTYX", "tcyx"), ("KZTYX", "tczyx"), ("ZYX", "zyx"), ("CYX", "cyx"), ("YZX", "zyx")],
)
def test_time_comes_first_then_channels_then_space(axes, names):
    assert "".join(name_dimensions(axes)) == names
    assert [axes[i].replace("K", "C").lower() for i in order_axes(axes)] == list(names)


@pytest.mark.parametrize("axes", ["PYX", "KTX", "X"])
def test_axes_without_a_place_are_refused(axes):
    with pytest.raises(InputError, match=rf"U151: .* {axes} of classes: use x\.zarr or x\.tif"):
        check_axes(axes, "classes")


def places(attrs, factors):
    (image,) = describe_image(attrs, [factors], labels=False)["multiscales"]
    scale, shift = image["datasets"][0]["coordinateTransformations"]
    return scale["scale"], shift["translation"]


@given(
    st.integers(0, 99),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4]),
    st.none() | st.floats(0.01, 10),
)
def test_an_element_lies_at_the_mean_of_its_pixels(offset, stride, factor, pixel):
    attrs = {"axes": "KYX", "ndim": 2, "offset": [0, offset], "stride": [1, stride]}
    if pixel:
        attrs["spacing"] = [pixel, pixel * stride]
    (_, _, size), (_, _, start) = places(attrs, (1, factor))
    x = (np.arange(offset, offset + 5 * stride * factor) * (pixel or 1)).reshape(5, -1)
    np.testing.assert_allclose(start + size * np.arange(5), x.mean(axis=1), rtol=1e-9)


def test_the_planes_of_a_stack_keep_their_distance():
    attrs = {"axes": "KTZYX", "ndim": 2, "spacing": [3.0, 0.5, 0.25], "offset": [7, 2, 8, 4]}
    scale, shift = places(attrs, (2, 2))
    assert scale == [1, 1, 3, 1, 0.5]
    assert shift == [7, 0, 6, 4.25, 1.125]
    assert pixel_sizes(attrs) == {"T": 1, "Z": 3, "Y": 0.5, "X": 0.25}


@pytest.mark.parametrize(
    "attrs", [{}, {"spacing": [0.5, 0.5]}, *({"spacing": [n, n], "unit": "µm"} for n in (0.5, 1.0))]
)
def test_a_unit_is_named_where_one_is_known(attrs):
    (image,) = describe_image({"axes": "TYX", "ndim": 2, **attrs}, [(1, 1)], labels=True)[
        "multiscales"
    ]
    unit = "micrometer" if "unit" in attrs else None
    assert [axis.get("unit") for axis in image["axes"]] == [None, unit, unit]
    scale, _ = image["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [1, *attrs.get("spacing", (1, 1))]
