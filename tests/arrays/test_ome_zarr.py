"""OME-Zarr of both versions: full resolution, axes and scale from its metadata, lazily."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_unet.arrays.axes import views
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.ome_zarr import is_zarr
from napari_unet.config import InputError

IMAGE = (np.arange(2 * 4 * 20 * 30) % 251).reshape(2, 4, 20, 30).astype(np.uint16)  # CZYX
SPACE = [{"name": letter, "type": "space"} for letter in "zyx"]
AXES = [{"name": "c", "type": "channel"}, *(axis | {"unit": "micrometer"} for axis in SPACE)]


def write_ome(
    path, version, axes=AXES, scale=(1, 2.0, 0.5, 0.5), whole_scale=None, paths=("0", "1")
):
    """Write IMAGE and a level of half its size."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    levels = []
    for number, array in enumerate((IMAGE, IMAGE[..., ::2, ::2])):
        group.create_array(paths[number], data=array, chunks=(1, 2, 8, 8))
        step = {"type": "scale", "scale": [s * (1 + number) for s in scale]}
        levels.append({"path": paths[number], "coordinateTransformations": [step]})
    image = {"axes": axes, "datasets": levels}
    if whole_scale:
        image["coordinateTransformations"] = [{"type": "scale", "scale": list(whole_scale)}]
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **image}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [image]}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_full_resolution_axes_and_spacing(tmp_path, version):
    picture = open_picture(write_ome(tmp_path / "a.ome.zarr", version), ndim=3)
    assert picture.axes == "CZYX"
    assert picture.spacing == (2.0, 0.5, 0.5)
    assert isinstance(picture.data, zarr.Array)
    (view,) = views(picture, 3)
    np.testing.assert_array_equal(view[:, 1:3, :, 4:9], IMAGE[:, 1:3, :, 4:9])
    assert len(views(picture, 2)) == 4


def test_scales_of_level_and_image_multiply(tmp_path):
    path = write_ome(tmp_path / "a.zarr", "0.5", whole_scale=(1, 3.0, 2.0, 2.0))
    assert open_picture(path, ndim=3).spacing == (6.0, 1.0, 1.0)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("paths", [("0", "1"), ("s0", "s1"), ("scale0/image", "scale1/image")])
def test_every_level_has_its_own_spacing(tmp_path, version, paths):
    path = write_ome(tmp_path / "a.ome.zarr", version, paths=paths)
    for number, name in enumerate(paths):
        wanted = IMAGE[..., ::2, ::2] if number else IMAGE
        spellings = [
            open_picture(path / name, ndim=3),
            open_picture(path / str(number), ndim=3),
            open_picture(path, ndim=3, level=number),
        ]
        for picture in spellings:
            assert picture.axes == "CZYX"
            assert picture.spacing == tuple(size * (1 + number) for size in (2.0, 0.5, 0.5))
            assert isinstance(picture.data, zarr.Array)
            np.testing.assert_array_equal(picture.data[...], wanted)
    assert open_picture(path / paths[1], ndim=3).name == f"a.ome.zarr/{paths[1]}"


def test_a_level_that_is_not_there_is_told(tmp_path):
    path = write_ome(tmp_path / "a.ome.zarr", "0.5")
    for options in ({"path": path / "2"}, {"path": path, "level": 2}):
        with pytest.raises(InputError, match=r"U150: level 2 of a\.ome\.zarr: it has the levels 0"):
            open_picture(**options, ndim=3)
    with pytest.raises(InputError, match="U126"):
        open_picture(path / "x", ndim=3)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_lie_inside(tmp_path, version):
    path = write_ome(tmp_path / "a.ome.zarr", version)
    write_ome(path / "labels/cells", version)
    zarr.open_group(path / "labels").attrs.update(
        {"labels": ["cells"]} if version == "0.4" else {"ome": {"labels": ["cells"]}}
    )
    for place in ("labels/cells", "labels"):
        assert open_picture(path / place, ndim=3).spacing == (2.0, 0.5, 0.5)
    assert open_picture(path / "labels/cells", ndim=3).name == "a.ome.zarr/labels/cells"
    assert open_picture(path / "labels/cells/1", ndim=3).spacing == (4.0, 1.0, 1.0)


def test_several_labels_are_asked_back(tmp_path):
    zarr.create_group(tmp_path / "labels", attributes={"labels": ["nuclei", "cells"]})
    with pytest.raises(InputError, match=r"the images cells, nuclei: name one, such as labels/ce"):
        open_picture(tmp_path / "labels", ndim=2)


def test_a_plate_is_asked_for_its_wells(tmp_path):
    wells = [{"path": "A/1"}, {"path": "A/2"}]
    zarr.create_group(tmp_path / "p.zarr", attributes={"ome": {"plate": {"wells": wells}}})
    with pytest.raises(InputError, match=r"name one, such as p\.zarr/A/1/0"):
        open_picture(tmp_path / "p.zarr", ndim=3)
    write_ome(tmp_path / "p.zarr/A/1/0", "0.5")
    zarr.create_group(
        tmp_path / "p.zarr/A/1", attributes={"ome": {"well": {"images": [{"path": "0"}]}}}
    )
    assert open_picture(tmp_path / "p.zarr/A/1", ndim=3).spacing == (2.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("units", "spacing"),
    [
        (("nanometer", "micrometer", "micrometer"), (0.002, 0.5, 0.5)),
        (("millimeter",) * 3, (2000.0, 500.0, 500.0)),
        (("parsec",) * 3, (2.0, 0.5, 0.5)),
        ((None,) * 3, (2.0, 0.5, 0.5)),
        (("parsec", "micrometer", "micrometer"), None),
        ((None, "micrometer", "micrometer"), None),
    ],
)
def test_sizes_are_in_micrometres(tmp_path, units, spacing):
    axes = [
        AXES[0],
        *(axis | ({"unit": unit} if unit else {}) for axis, unit in zip(SPACE, units, strict=True)),
    ]
    path = write_ome(tmp_path / "a.zarr", "0.5", axes=axes)
    picture = open_picture(path, ndim=3)
    assert picture.spacing == spacing
    named = not {None, "parsec"} & set(units)
    assert picture.unit == ("µm" if named else "")


def test_axes_may_be_plain_letters_or_have_other_names(tmp_path):
    picture = open_picture(write_ome(tmp_path / "a.zarr", "0.4", axes=list("czyx")), ndim=2)
    assert picture.axes == "CZYX"
    axes = [{"name": "wavelength", "type": "channel"}, {"name": "slice"}, *AXES[2:]]
    assert open_picture(write_ome(tmp_path / "b.zarr", "0.4", axes=axes), ndim=3).axes == "CZYX"


def test_a_collection_is_its_first_image(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"bioformats2raw.layout": 3}})
    write_ome(tmp_path / "a.zarr/0", "0.5")
    write_ome(tmp_path / "a.zarr/1", "0.5", scale=(1, 3.0, 1.0, 1.0))
    assert open_picture(tmp_path / "a.zarr", ndim=3).spacing == (2.0, 0.5, 0.5)
    assert open_picture(tmp_path / "a.zarr", ndim=3, level=1).spacing == (4.0, 1.0, 1.0)
    assert open_picture(tmp_path / "a.zarr/1", ndim=3).spacing == (3.0, 1.0, 1.0)


def test_arrays_may_name_their_axes(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("image", data=IMAGE[0], dimension_names=["t", "y", "x"])
    assert open_picture(tmp_path / "a.zarr/image", ndim=2).axes == "TYX"
    assert open_picture(tmp_path / "a.zarr", ndim=2).axes == "TYX"  # its only array


@pytest.mark.parametrize("version", [2, 3])
def test_plain_arrays_of_both_formats(tmp_path, version):
    array = zarr.create_array(
        tmp_path / "a.zarr", data=IMAGE[0], chunks=(1, 8, 8), zarr_format=version
    )
    picture = open_picture(tmp_path / "a.zarr", ndim=2)
    assert isinstance(picture.data, zarr.Array)
    np.testing.assert_array_equal(views(picture, 2)[2][:, 3:9], IMAGE[0, 2:3, 3:9])
    array.attrs["_ARRAY_DIMENSIONS"] = ["z", "y", "x"]  # as xarray writes it
    assert open_picture(tmp_path / "a.zarr", ndim=2).axes == "ZYX"


def test_the_ledger_of_a_result_is_no_image(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    for name in ("classes", "ledger"):
        group.create_array(name, shape=(9, 9), dtype="u1", dimension_names=["y", "x"])
    assert open_picture(tmp_path / "a.zarr", ndim=2).data.path == "classes"


def test_a_group_of_several_arrays_is_asked_back(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=r"U124: a\.zarr holds no array"):
        open_picture(tmp_path / "a.zarr", ndim=2)
    for name in ("probabilities", "classes"):
        group.create_array(name, shape=(9, 9), dtype="u1")
    with pytest.raises(InputError, match=r"classes, probabilities: name one, such as a\.zarr/cl"):
        open_picture(tmp_path / "a.zarr", ndim=2)


def test_a_broken_chunk_is_told_when_it_is_read(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=IMAGE[0], chunks=(1, 20, 30))
    (chunk,) = (tmp_path / "a.zarr/c/2").rglob("0/0") if array else ()
    chunk.write_bytes(chunk.read_bytes()[:40])
    planes = views(open_picture(tmp_path / "a.zarr", ndim=2), 2)
    np.testing.assert_array_equal(planes[1][:], IMAGE[0, 1:2])
    with pytest.raises(InputError, match=r"U124: a\.zarr cannot be read at \[2, 0:20, 0:30\]"):
        planes[2][:]


def test_folders_are_zarr_by_what_they_hold(tmp_path):
    assert not is_zarr(tmp_path)
    (tmp_path / "a.zarr").mkdir()
    assert not is_zarr(tmp_path / "a.zarr")
    assert is_zarr(write_ome(tmp_path / "b", "0.4"))
    assert not is_zarr(tmp_path / "b/.zgroup")
