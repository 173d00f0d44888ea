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
AXES = [
    {"name": "c", "type": "channel"},
    *({"name": letter, "type": "space", "unit": "micrometer"} for letter in "zyx"),
]


def write_ome(path, version, axes=AXES, scale=(1, 2.0, 0.5, 0.5), whole_scale=None):
    """Write IMAGE and a level of half its size."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    levels = []
    for number, array in enumerate((IMAGE, IMAGE[..., ::2, ::2])):
        group.create_array(str(number), data=array, chunks=(1, 2, 8, 8))
        step = {"type": "scale", "scale": [s * (1 + number) for s in scale]}
        levels.append({"path": str(number), "coordinateTransformations": [step]})
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
def test_levels_are_arrays_of_their_own(tmp_path, version):
    path = write_ome(tmp_path / "a.zarr", version)
    picture = open_picture(path / "1", ndim=3, axes="CZYX")
    assert picture.data.shape == (2, 4, 10, 15)


def test_units_that_differ_give_no_spacing(tmp_path):
    axes = [AXES[0], {**AXES[1], "unit": "nanometer"}, *AXES[2:]]
    assert open_picture(write_ome(tmp_path / "a.zarr", "0.5", axes=axes), ndim=3).spacing is None


def test_axes_may_be_plain_letters_or_have_other_names(tmp_path):
    picture = open_picture(write_ome(tmp_path / "a.zarr", "0.4", axes=list("czyx")), ndim=2)
    assert picture.axes == "CZYX"
    axes = [{"name": "wavelength", "type": "channel"}, {"name": "slice"}, *AXES[2:]]
    assert open_picture(write_ome(tmp_path / "b.zarr", "0.4", axes=axes), ndim=3).axes == "CZYX"


def test_a_collection_is_its_first_image(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"bioformats2raw.layout": 3}})
    write_ome(tmp_path / "a.zarr/0", "0.5")
    assert open_picture(tmp_path / "a.zarr", ndim=3).spacing == (2.0, 0.5, 0.5)


def test_arrays_may_name_their_axes(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("image", data=IMAGE[0], dimension_names=["t", "y", "x"])
    assert open_picture(tmp_path / "a.zarr/image", ndim=2).axes == "TYX"
    assert open_picture(tmp_path / "a.zarr", ndim=2).axes == "TYX"  # its only array


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
