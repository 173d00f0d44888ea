"""A path, an array and a Picture of the same pixels are the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.arrays.axes import Picture, name_axes, views
from napari_unet.arrays.source import as_picture, with_channels
from napari_unet.arrays.writing import write_tiff
from napari_unet.config import InputError

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


def test_of_a_dask_array_only_the_window_is_computed():
    da = pytest.importorskip("dask.array", reason="dask comes with napari")
    computed = []

    def block(block_info):
        place = block_info[None]["array-location"]
        computed.append(place)
        return STACK[tuple(slice(*span) for span in place)]

    lazy = da.map_blocks(block, chunks=((1, 1), (10, 10), (15, 15)), dtype=STACK.dtype)
    picture = as_picture(lazy, 2)
    planes = views(picture, 2)
    assert picture.data is lazy
    assert computed == []
    np.testing.assert_array_equal(planes[1][:, 12:15, 2:9], STACK[1:, 12:15, 2:9])
    assert computed == [[(1, 2), (10, 20), (0, 15)]]


def test_a_dask_array_of_unknown_size_is_told():
    da = pytest.importorskip("dask.array", reason="dask comes with napari")
    lazy = da.from_array(STACK[0], chunks=10)
    with pytest.raises(InputError, match="U112"):
        as_picture(lazy[lazy > 5], 1, name="masked")


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
