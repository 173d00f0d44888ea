"""TIFF as microscopes and programs write it: axes, spacing, packing, and damage."""

from __future__ import annotations

import os

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
            (0.2, 0.0001),
        ),
        (
            {
                "ome": True,
                "metadata": {
                    "axes": "TYX",
                    "PhysicalSizeX": 0.1,
                    "PhysicalSizeY": 0.2,
                    "PhysicalSizeXUnit": "pixel",
                },
            },
            "TYX",
            None,
        ),
        (
            {"imagej": True, "metadata": {"axes": "TYX", "unit": "nm"}, "resolution": (2, 4)},
            "TYX",
            (0.00025, 0.0005),
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


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("in_memory_bytes", [0, 2**28])
def test_every_level_of_a_pyramid_has_its_own_spacing(tmp_path, monkeypatch, ome, in_memory_bytes):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", in_memory_bytes)
    image = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25} if ome else {"spacing": [0.25, 0.5]}
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=ome) as file:
        file.write(image, subifds=1, tile=(16, 16), metadata={"axes": "YX", **sizes})
        file.write(image[::2, ::2], subfiletype=1, tile=(16, 16))
    for level in range(2):
        picture = open_picture(tmp_path / "a.tif", ndim=2, level=level)
        assert picture.spacing == (0.25 * 2**level, 0.5 * 2**level)
        np.testing.assert_array_equal(np.asarray(picture.data), image[:: 2**level, :: 2**level])
    with pytest.raises(InputError, match=r"U150: level 2 of a\.tif: it has the levels 0 to 1"):
        open_picture(tmp_path / "a.tif", ndim=2, level=2)


def write_apart(path, array, **options):
    """Write every plane with its own directory in between, as microscopes do."""
    with tifffile.TiffWriter(path, **options) as file:
        for plane in array:
            file.write(plane, contiguous=False, metadata=None, photometric="minisblack")
    return path


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_planes_that_lie_apart_are_mapped(tmp_path, options):
    path = write_apart(tmp_path / "a.tif", STACK, **options)
    picture = open_picture(path, ndim=2, axes="TYX")
    assert not isinstance(picture.data, np.ndarray)
    for plane, view in zip(STACK, views(picture, 2), strict=True):
        np.testing.assert_array_equal(view[:, 2:9, 5:], plane[None, 2:9, 5:])
    np.testing.assert_array_equal(np.asarray(picture.data), STACK)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"U124: a\.tif"):
        read(path)


def test_the_files_of_a_split_ome_tiff_are_one_image(tmp_path):
    """Both files carry the same description, which says what lies where."""
    names = ("a.ome.tif", "b.ome.tif")
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z, name in enumerate(names)
    )
    for z, name in enumerate(names):
        description = (
            '<?xml version="1.0" encoding="UTF-8"?><OME '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint16" SizeX="30" SizeY="20" SizeZ="2" SizeC="1" SizeT="1" PhysicalSizeX="0.5" '
            'PhysicalSizeY="0.5" PhysicalSizeZ="2"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        tifffile.imwrite(tmp_path / name, STACK[z], description=description, metadata=None)
    picture = open_picture(tmp_path / "a.ome.tif", ndim=3)
    assert (picture.axes, picture.spacing) == ("ZYX", (2.0, 0.5, 0.5))
    assert not isinstance(picture.data, np.ndarray)
    np.testing.assert_array_equal(views(picture, 3)[0][0:1, :, 3:9][0], STACK[:2, 3:9])


@pytest.mark.parametrize("packing", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("in_memory_bytes", [0, 2**28])
def test_positions_that_are_alike_are_one_image(tmp_path, monkeypatch, packing, in_memory_bytes):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", in_memory_bytes)
    positions = [STACK, STACK[::-1], STACK // 2]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for position in positions:
            file.write(position, photometric="minisblack", metadata={"axes": "CYX"}, **packing)
    picture = open_picture(tmp_path / "a.ome.tif", ndim=2)
    assert picture.axes == "PCYX"
    for position, view in zip(positions, views(picture, 2), strict=True):
        np.testing.assert_array_equal(view[1:, 4:, 5:9], position[1:, 4:, 5:9])


def test_positions_that_differ_are_the_first(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for image in (STACK, STACK[:, :5]):
            file.write(image, photometric="minisblack", metadata={"axes": "CYX"})
    picture = open_picture(tmp_path / "a.ome.tif", ndim=2)
    assert (picture.axes, picture.data.shape) == ("CYX", STACK.shape)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_packed_files_are_closed_between_reads_and_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", 0)
    path = write(tmp_path / "a.tif", STACK, compression="zlib", tile=(16, 16))
    before = len(os.listdir("/proc/self/fd"))
    pictures = [open_picture(path, ndim=2) for _ in range(20)]
    for picture in pictures:
        np.testing.assert_array_equal(views(picture, 2)[1][:], STACK[1:2])
    assert len(os.listdir("/proc/self/fd")) == before
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"U124: a\.tif cannot be read at"):
        views(pictures[0], 2)[2][:]
    path.unlink()
    with pytest.raises(InputError, match=r"U124: a\.tif cannot be read at"):
        views(pictures[0], 2)[0][:]


@pytest.mark.parametrize("options", [{"tile": (32, 32)}, {"rowsperstrip": 8}])
def test_a_window_unpacks_no_more_than_it_touches(tmp_path, monkeypatch, options):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", 0)
    image = np.arange(256 * 256).reshape(256, 256).astype(np.uint16)
    path = write(tmp_path / "a.tif", image, compression="zlib", **options)
    unpacked, decode = [], tifffile.TiffPage.decode.func

    def watched(page):
        decoder = decode(page)

        def watching(*args, **more):
            segment, index, shape = decoder(*args, **more)
            unpacked.append(0 if segment is None else segment.size)
            return segment, index, shape

        return watching

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(watched))
    (view,) = views(open_picture(path, ndim=2), 2)
    np.testing.assert_array_equal(view[0:1, 40:60, 70:90][0], image[40:60, 70:90])
    assert 0 < sum(unpacked) <= image.size // 8


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
