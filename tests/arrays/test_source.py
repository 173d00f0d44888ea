"""A path, an array and a Picture of the same pixels are the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.arrays.axes import Picture, name_axes, views
from napari_unet.arrays.source import as_picture, with_channels
from napari_unet.arrays.writing import write_tiff

STACK = np.arange(2 * 20 * 30).reshape(2, 20, 30).astype(np.uint16)


@pytest.mark.parametrize("channels", [1, 2])
def test_whatever_holds_an_image_will_do(tmp_path, channels):
    write_tiff(tmp_path / "a.tif", STACK, "QYX")
    sources = [STACK, tmp_path / "a.tif", str(tmp_path / "a.tif"), name_axes(STACK, ndim=2)]
    for source in sources:
        picture = as_picture(source, 2, channels=channels)
        assert picture.axes == ("CYX" if channels == 2 else "TYX")
        found = np.concatenate([view[:] for view in views(picture, 2)])
        np.testing.assert_array_equal(found, STACK)


def test_a_picture_with_channels_stays_as_it_is():
    picture = name_axes(STACK, "CYX", ndim=2)
    assert as_picture(picture, 2, channels=2) is picture


def test_labels_have_no_channels():
    assert as_picture(np.zeros((20, 30, 3), int), 2, labels=True, name="cells").axes == "TYX"


def test_channels_have_no_size_in_space():
    picture = Picture(STACK, "ZYX", (2.0, 0.5, 0.25))
    assert with_channels(picture, 0).spacing == (0.5, 0.25)
    assert with_channels(Picture(STACK, "TYX", (0.5, 0.25)), 0).spacing == (0.5, 0.25)
    assert with_channels(Picture(STACK, "ZYX"), 0).spacing is None
