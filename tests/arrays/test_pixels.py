"""Pixels of a file stay in the file, and the file stays closed."""

from __future__ import annotations

import os
from contextlib import contextmanager

import numpy as np
import pytest

from napari_unet.arrays.axes import views
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.pixels import FilePixels
from napari_unet.arrays.writing import write_array
from napari_unet.config import InputError


def test_the_file_is_open_only_while_it_is_read():
    array = np.arange(24.0).reshape(4, 6)
    log = []

    @contextmanager
    def opened():
        log.append("open")
        yield array
        log.append("closed")

    pixels = FilePixels(opened, array.shape, array.dtype, "a.tif")
    assert (pixels.shape, pixels.ndim, pixels.size, len(pixels)) == ((4, 6), 2, 24, 4)
    assert not log
    block = pixels[1:3]
    assert log == ["open", "closed"]
    assert not np.shares_memory(block, array)
    np.testing.assert_array_equal(np.asarray(pixels), array)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_pictures_at_hand_hold_no_file_open(tmp_path, suffix):
    write_array(tmp_path / f"a{suffix}", np.zeros((9, 9), np.uint8))
    before = len(os.listdir("/proc/self/fd"))
    pictures = [open_picture(tmp_path / f"a{suffix}", ndim=2) for _ in range(50)]
    assert [views(picture, 2)[0][:].shape for picture in pictures] == [(1, 9, 9)] * 50
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("fate", ["deleted", "cut"])
def test_a_file_that_changes_meanwhile_is_an_error_in_words(tmp_path, suffix, fate):
    path = tmp_path / f"image{suffix}"
    write_array(path, np.zeros((90, 90), np.uint16))
    picture = open_picture(path, ndim=2)
    (view,) = views(picture, 2)
    if fate == "deleted":
        path.unlink()
    else:
        os.truncate(path, 1000)
    with pytest.raises(InputError, match=f"U124: image{suffix} cannot be read at"):
        view[:]
    with pytest.raises(InputError, match="U124"):
        np.asarray(picture.data)
