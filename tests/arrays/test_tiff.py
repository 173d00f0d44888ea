"""TIFF as microscopes and programs write it: axes, spacing, packing, and damage."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_unet.arrays import tiff
from napari_unet.arrays.axes import views
from napari_unet.arrays.files import open_picture
from napari_unet.config import InputError

STACK = np.arange(3 * 20 * 30).reshape(3, 20, 30).astype(np.uint16)


def write(path, array, **options):
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize(
    ("options", "axes", "spacing"),
    [
        ({}, "TYX", None),
        ({"metadata": None}, "TYX", None),
        ({"metadata": {"axes": "ZYX", "spacing": [2.0, 0.5, 0.5]}}, "ZYX", (2.0, 0.5, 0.5)),
        ({"metadata": {"axes": "ZYX", "spacing": 2.0}}, "ZYX", None),
        (
            {"metadata": {"axes": "CYX"}, "resolution": (20000, 40000), "resolutionunit": 3},
            "CYX",
            (0.25, 0.5),
        ),
        ({"metadata": {"axes": "CYX"}, "resolution": (72, 72), "resolutionunit": 2}, "CYX", None),
        (
            {
                "imagej": True,
                "metadata": {"axes": "ZYX", "spacing": 2.5, "unit": "um"},
                "resolution": (2, 4),
            },
            "ZYX",
            (2.5, 0.25, 0.5),
        ),
        (
            {"imagej": True, "metadata": {"axes": "TYX", "unit": "um"}, "resolution": (2, 2)},
            "TYX",
            (0.5, 0.5),
        ),
        ({"imagej": True, "metadata": {"axes": "CYX"}}, "CYX", None),
        (
            {
                "ome": True,
                "metadata": {
                    "axes": "ZYX",
                    "PhysicalSizeX": 0.1,
                    "PhysicalSizeY": 0.2,
                    "PhysicalSizeZ": 0.3,
                },
            },
            "ZYX",
            (0.3, 0.2, 0.1),
        ),
        (
            {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}},
            "ZYX",
            None,
        ),
        (
            {
                "ome": True,
                "metadata": {
                    "axes": "TYX",
                    "PhysicalSizeX": 0.1,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 0.2,
                },
            },
            "TYX",
            None,
        ),
    ],
)
def test_axes_and_spacing_come_from_the_file(tmp_path, options, axes, spacing):
    picture = open_picture(write(tmp_path / "a.tif", STACK, **options), ndim=2)
    assert picture.axes == axes
    assert picture.spacing == (None if spacing is None else pytest.approx(spacing))
    found = np.stack([view[:] for view in views(picture, 2)])
    np.testing.assert_array_equal(found.reshape(STACK.shape), STACK)


@pytest.mark.parametrize("options", [{}, {"photometric": None}, {"metadata": None}])
@pytest.mark.parametrize("planes", [2, 3, 4, 5])
def test_a_volume_of_any_number_of_planes_is_a_volume(tmp_path, planes, options):
    volume = np.zeros((planes, 20, 30), np.uint8)
    picture = open_picture(write(tmp_path / "a.tif", volume, **options), ndim=3)
    assert picture.axes == "ZYX"


@pytest.mark.parametrize("planes", [3, 4])
def test_a_stack_of_labels_is_never_taken_for_colour(tmp_path, planes):
    labels = np.zeros((planes, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", labels)  # written as planes of colour by default
    assert open_picture(tmp_path / "a.tif", ndim=2, labels=True).axes == "TYX"


PACKED = [
    {"compression": "zlib"},
    {"compression": "lzw", "predictor": 2},
    {"tile": (16, 16)},
    {"compression": "zstd", "tile": (16, 16)},
]


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"bigtiff": True}, *PACKED])
@pytest.mark.parametrize("in_memory_bytes", [0, 2**28])
def test_packing_changes_nothing(tmp_path, monkeypatch, options, in_memory_bytes):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", in_memory_bytes)
    picture = open_picture(write(tmp_path / "a.tif", STACK, **options), ndim=2)
    packed = options in PACKED
    assert isinstance(picture.data, np.ndarray) == (packed and in_memory_bytes > 0)
    for plane, view in zip(STACK, views(picture, 2), strict=True):
        np.testing.assert_array_equal(view[:, 2:9, 5:], plane[None, 2:9, 5:])


def test_the_full_resolution_of_a_pyramid_is_read(tmp_path):
    image = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image, subifds=1, tile=(16, 16))
        file.write(image[::2, ::2], subfiletype=1, tile=(16, 16))
    (view,) = views(open_picture(tmp_path / "a.tif", ndim=2), 2)
    np.testing.assert_array_equal(view[0:1], image[None])


def test_one_bit_pictures_are_bool(tmp_path):
    (view,) = views(open_picture(write(tmp_path / "a.tif", STACK[0] > 99), ndim=2), 2)
    assert view.dtype == bool
    np.testing.assert_array_equal(view[0:1][0], STACK[0] > 99)


KINDS = [{}, {"byteorder": ">"}, {"imagej": True}, {"ome": True}, {"metadata": None}, *PACKED]


def read(path):
    return np.stack([view[:] for view in views(open_picture(path, ndim=2), 2)])


def complaint(path):
    """What is said about a file that cannot be read; nothing about one that can."""
    try:
        read(path)
    except InputError as error:
        return error
    return None


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("in_memory_bytes", [0, 2**28])
def test_a_file_cut_anywhere_is_told_or_still_right(
    tmp_path, capfd, monkeypatch, options, in_memory_bytes
):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", in_memory_bytes)
    path = write(tmp_path / "cut.tif", STACK, **options)
    content = path.read_bytes()
    cuts = np.random.default_rng(0).integers(0, len(content), 25)
    for length in (*cuts, len(content) - 1):
        path.write_bytes(content[:length])
        if (error := complaint(path)) is None:
            np.testing.assert_array_equal(read(path).ravel(), STACK.ravel())
        else:
            assert error.code == "U124"
            assert "cut.tif" in error.what
            assert "\n" not in str(error)
    path.write_bytes(content)
    assert complaint(path) is None
    assert capfd.readouterr() == ("", "")
