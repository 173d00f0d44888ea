"""What is written as OME-Zarr obeys the rules of version 0.5, and its readers open it in place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet.arrays import pyramid
from napari_unet.arrays.ome_writing import build_pyramid, create_image, open_level

CLASSES = [
    {"value": 0, "name": "background", "colour": "#00000000"},
    {"value": 3, "name": "cell", "colour": "#e69f00"},
]
ORDER = ("time", "channel", "space")


def check_group(group, place=""):
    """The rules of https://ngff.openmicroscopy.org/0.5 that concern us."""
    owner = group[place] if place else group
    ome = owner.attrs["ome"]
    assert ome["version"] == "0.5"
    for image in ome["multiscales"]:
        names = [axis["name"] for axis in image["axes"]]
        types = [axis["type"] for axis in image["axes"]]
        assert 2 <= len(names) == len(set(names)) <= 5
        assert types == sorted(types, key=ORDER.index)
        assert types.count("time") <= 1
        assert types.count("channel") <= 1
        assert names[-types.count("space") :] in (["z", "y", "x"], ["y", "x"])
        shapes = []
        for level in image["datasets"]:
            array = owner[level["path"]]
            assert array.metadata.zarr_format == 3
            assert list(array.metadata.dimension_names) == names
            shapes.append(array.shape)
            scale, shift = level["coordinateTransformations"]
            assert (scale["type"], shift["type"]) == ("scale", "translation")
            assert len(scale["scale"]) == len(shift["translation"]) == len(names)
        assert all(max(fine) >= max(coarse) for fine, coarse in pairwise(shapes))
    if "image-label" in ome:
        assert owner["0"].dtype.kind in "iu"
        for colour in ome["image-label"].get("colors", ()):
            assert isinstance(colour["label-value"], int)
            assert all(0 <= value <= 255 for value in colour["rgba"])
            assert len(colour["rgba"]) == 4


def write(group, place, values, ndim, **attrs):
    options = {"cell": None, "fill_value": 0, "overwrite": True}
    image = create_image(
        group, place, values.shape, values.dtype, ndim=ndim, attrs=attrs, **options
    )
    image[...] = values
    list(build_pyramid(group, place))
    return image


@given(
    st.sampled_from(
        ["YX", "KYX", "TYX", "KTYX", "ZYX", "KZYX", "TZYX", "KTZYX", "CTYX", "ZTYX", "KZTYX"]
    ),
    st.sampled_from(["u1", "u4", "f4"]),
    st.booleans(),
    st.data(),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_image_obeys_the_rules(tmp_path, monkeypatch, axes, dtype, known, data):
    monkeypatch.setattr(pyramid, "SMALLEST", 8)
    shape = tuple(
        data.draw(st.integers(1, 40 if letter in "ZYX" else 2), label=letter) for letter in axes
    )
    values = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    letters = [letter for letter in axes if letter not in "KC"]
    ndim = data.draw(st.integers(2, 3 if "ZYX" in axes else 2), label="ndim")
    attrs = {"axes": axes, "offset": [3] * len(letters), "classes": CLASSES}
    if known:
        attrs["spacing"] = [2.0, 0.5, 0.25][-sum(letter in "ZYX" for letter in axes) :]
        attrs["unit"] = "µm"
    group = zarr.create_group(tmp_path / "a.zarr", overwrite=True)
    place = "" if dtype == "f4" else "labels/classes"
    image = write(group, place, values, ndim, **attrs)
    np.testing.assert_array_equal(image[...], values)
    np.testing.assert_array_equal(open_level(group, place)[...], values)
    check_group(group, place)
    units = {axis.get("unit") for axis in (group[place] if place else group).attrs["ome"][
        "multiscales"][0]["axes"] if axis["type"] == "space"}  # fmt: skip
    assert units == ({"micrometer"} if known else {None})


def test_a_new_level_is_listed_when_it_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid, "SMALLEST", 600)
    group = zarr.create_group(tmp_path / "a.zarr")
    image = create_image(
        group, "", (2500, 2500), "f4", ndim=2, attrs={"axes": "YX"}, cell=None, fill_value=0
    )
    image[:] = 1
    listed = [
        (share, len(group.attrs["ome"]["multiscales"][0]["datasets"]))
        for share in build_pyramid(group, "")
    ]
    last = max(k for k, (share, n) in enumerate(listed) if n == 1)
    assert listed[last][0] == 1.0  # all of level 1 is there, and only then is it listed
    assert [n for _, n in listed] == sorted(n for _, n in listed)
    assert len(group.attrs["ome"]["multiscales"][0]["datasets"]) == 4
    assert list(build_pyramid(group, "")) == []  # nothing is left to do


def test_labels_are_listed_once(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    for place in ("labels/classes", "labels/instances", "labels/classes"):
        write(group, place, np.ones((9, 9), np.uint8), 2, axes="YX")
    assert group["labels"].attrs["ome"]["labels"] == ["classes", "instances"]


def test_other_readers_open_it(tmp_path):
    """Needs the reader of OME's own library, which the project does not depend on."""
    reader = pytest.importorskip("ome_zarr.reader", reason="ome-zarr is not installed")
    io = pytest.importorskip("ome_zarr.io", reason="ome-zarr is not installed")
    group = zarr.create_group(tmp_path / "a.ome.zarr")
    shares = np.random.default_rng(0).random((2, 1100, 900)).astype(np.float32)
    place = {"spacing": [0.5, 0.25], "offset": [8, 0], "classes": CLASSES}
    write(group, "", shares, 2, axes="KYX", name="probabilities", **place)
    write(group, "labels/classes", (shares[0] > 0.5).astype(np.uint8) * 3, 2, axes="YX", **place)
    group.create_array("ledger", shape=(3, 2), dtype="u1")  # is in the way of nobody
    image, _, labels = reader.Reader(io.parse_url(str(tmp_path / "a.ome.zarr")))()
    shapes = [(1100, 900), (1100, 450), (550, 225), (275, 113)]
    assert [level.shape for level in image.data] == [(2, *shape) for shape in shapes]
    np.testing.assert_array_equal(image.data[0].compute(), shares)
    scale, shift = image.metadata["coordinateTransformations"][0]
    assert scale["scale"] == [1.0, 0.5, 0.25]
    assert shift["translation"] == [0.0, 4.0, 0.0]
    assert image.metadata["channel_names"] == ["background", "cell"]
    assert [level.shape for level in labels.data] == shapes
    assert labels.metadata["properties"] == {3: {"class": "cell"}}
