"""Results as OME-Zarr: what stands where, and where every level lies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from napari_unet.arrays.axes import Picture, views
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.ome_writing import open_levels
from napari_unet.config import PredictConfig
from napari_unet.inference.outputs import Outputs
from napari_unet.inference.predict import predict
from tests.inference.results import ATTRS, LABELS, SHARES, write_both


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["classes"], {"classes": ""}),
        (["classes", "instances"], {"classes": "", "instances": "labels/instances"}),
        (["classes", "probabilities"], {"classes": "labels/classes", "probabilities": ""}),
        (["uncertainty", "values"], {"values": "", "uncertainty": "uncertainty"}),
        (
            ["classes", "attention/gate1", "attention/gate2"],
            {
                "classes": "labels/classes",
                "attention/gate1": "",
                "attention/gate2": "attention/gate2",
            },
        ),
    ],
)
def test_the_first_image_is_what_others_see(tmp_path, names, places):
    asked = [name.partition("/")[0] for name in names]
    outputs = Outputs(tmp_path / "o.ome.zarr", asked)
    for name in names:
        outputs.create(name, (64, 64), "u4" if name in ("classes", "instances") else "f4", 2, ATTRS)
    outputs.close()
    group = zarr.open_group(tmp_path / "o.ome.zarr", mode="r")
    assert group.attrs["outputs"] == places
    for place in places.values():
        assert "multiscales" in (group[place] if place else group).attrs["ome"]
    labels = [place.removeprefix("labels/") for place in places.values() if "labels/" in place]
    if labels:
        assert group["labels"].attrs["ome"] == {"version": "0.5", "labels": labels}


def test_every_level_lies_where_it_should(tmp_path):
    outputs = write_both(tmp_path / "o.ome.zarr")
    words = list(outputs.finish())
    assert words[-1] == "pyramid of probabilities: 100%"
    outputs.close()
    for place, factors in (("", (1, 2, 4)), ("labels/classes", (1, 2, 4))):
        group = zarr.open_group(tmp_path / "o.ome.zarr" / place, mode="r")
        levels = group.attrs["ome"]["multiscales"][0]["datasets"]
        assert [level["path"] for level in levels] == ["0", "1", "2"]
        for level, factor in zip(levels, factors, strict=True):
            scale, shift = level["coordinateTransformations"]
            assert scale["scale"][-2:] == [0.5 * factor, 0.4 * factor]
            half = (factor - 1) / 2  # the centre of the first cell
            wanted = [(10 + half) * 0.5, (20 + half) * 0.4]
            assert shift["translation"][-2:] == pytest.approx(wanted)
            assert group[level["path"]].shape[-2:] == (1200 // factor, 700 // factor)
    levels = open_levels(str(tmp_path / "o.ome.zarr"))
    means = SHARES.reshape(2, 600, 2, 350, 2).mean((2, 4))
    np.testing.assert_allclose(levels["probabilities"][1][:], means, rtol=1e-5)
    np.testing.assert_array_equal(levels["classes"][1][:], LABELS[::2, ::2])


def test_our_reader_reads_every_level_with_its_spacing(tmp_path):
    write_both(tmp_path / "o.ome.zarr").close()
    for level in range(3):
        picture = open_picture(tmp_path / f"o.ome.zarr/{level}", ndim=2)
        assert (picture.axes, picture.spacing) == ("CYX", (0.5 * 2**level, 0.4 * 2**level))
        labels = open_picture(tmp_path / f"o.ome.zarr/labels/classes/{level}", ndim=2, labels=True)
        assert labels.spacing == picture.spacing
    np.testing.assert_array_equal(
        views(open_picture(tmp_path / "o.ome.zarr/labels/classes", ndim=2, labels=True), 2)[0][:],
        LABELS[None],
    )


@pytest.mark.parametrize("name", ["o.tif", "o.ome.tif", "o.ome.zarr"])
@pytest.mark.parametrize(
    ("spacing", "unit"), [((2.0, 0.5), ""), ((2.0, 0.5), "µm"), ((1.0, 1.0), "µm"), (None, "")]
)
def test_a_result_has_the_pixels_of_the_image(models, picture, tmp_path, name, spacing, unit):
    image = Picture(picture(30, 40), "YX", spacing, unit=unit)
    config = PredictConfig(outputs=("classes",), tile=32, threads=1)
    assert list(predict(models(), image, tmp_path / name, config))
    found = open_picture(tmp_path / name, ndim=2, labels=True)
    assert found.unit == unit
    assert found.spacing == spacing or (name == "o.ome.zarr" and found.spacing == (1, 1))


def test_time_comes_before_channels_in_the_file_only(tmp_path):
    series = np.random.default_rng(0).random((2, 3, 60, 70)).astype(np.float32)
    outputs = Outputs(tmp_path / "o.ome.zarr", ["probabilities"])
    array = outputs.create("probabilities", series.shape, "f4", 2, {"axes": "KTYX"}, (32, 32))
    assert array.shape == series.shape
    for t in range(3):
        for start in (0, 32, 64):
            array[:, t, start : start + 32] = series[:, t, start : start + 32]
    np.testing.assert_array_equal(array[:], series)
    np.testing.assert_array_equal(array[1], series[1])
    np.testing.assert_array_equal(array[..., 5:9], series[..., 5:9])
    np.testing.assert_array_equal(array[:, 2, 3], series[:, 2, 3])
    array[1, 1:3] = series[0, 1:3]
    np.testing.assert_array_equal(array[1, 1:3], series[0, 1:3])
    array[1] = series[1]
    outputs.close()
    picture = open_picture(tmp_path / "o.ome.zarr", ndim=2)
    assert picture.axes == "TCYX"
    for t, view in enumerate(views(picture, 2)):
        np.testing.assert_array_equal(view[:], series[:, t])
    (levels,) = open_levels(str(tmp_path / "o.ome.zarr")).values()
    np.testing.assert_array_equal(np.asarray(levels[0]), series)


def test_cells_of_a_gate_lie_over_their_pixels(tmp_path):
    outputs = Outputs(tmp_path / "o.ome.zarr", ["attention"])
    attrs = {"axes": "YX", "stride": [4, 4], "offset": [8, 0], "spacing": [2.0, 2.0]}
    outputs.create("attention/gate2", (20, 20), "f4", 2, attrs)
    outputs.close()
    metadata = zarr.open_group(tmp_path / "o.ome.zarr", mode="r").attrs["ome"]
    (level,) = metadata["multiscales"][0]["datasets"]
    scale, shift = level["coordinateTransformations"]
    assert scale["scale"] == [2.0, 2.0]
    assert shift["translation"] == [(8 + 1.5) * 0.5, 1.5 * 0.5]


def test_a_pyramid_that_was_broken_off_is_finished(tmp_path):
    outputs = write_both(tmp_path / "o.ome.zarr")
    finishing = outputs.finish()
    while "probabilities" not in next(finishing):
        pass
    finishing.close()
    group = zarr.open_group(tmp_path / "o.ome.zarr", mode="r+")
    group["labels/classes/1"][:] = 3  # listed: kept
    group["1"][:] = 5  # begun, but not listed: made again
    again = write_both(tmp_path / "o.ome.zarr", resume=True)
    again.close()
    levels = open_levels(str(tmp_path / "o.ome.zarr"))
    assert (levels["classes"][1][:] == 3).all()
    means = SHARES.reshape(2, 600, 2, 350, 2).mean((2, 4))
    np.testing.assert_allclose(levels["probabilities"][1][:], means, rtol=1e-5)


def test_what_is_not_known_is_so_at_every_level(tmp_path):
    outputs = Outputs(tmp_path / "o.ome.zarr", ["loss"])
    array = outputs.create("loss", (600, 700), "f4", 2, {"axes": "YX"}, (256, 256))
    array[:256, :256] = 2
    outputs.close()
    _, coarse = open_levels(str(tmp_path / "o.ome.zarr"))["loss"]
    assert (coarse[:128, :128] == 2).all()
    assert np.isnan(coarse[128:]).all()
    assert np.isnan(coarse[:, 128:]).all()


def test_classes_have_names_and_colours(tmp_path):
    write_both(tmp_path / "o.ome.zarr").close()
    group = zarr.open_group(tmp_path / "o.ome.zarr", mode="r")
    assert group["labels/classes"].attrs["ome"]["image-label"] == {
        "colors": [{"label-value": 7, "rgba": [230, 159, 0, 255]}],
        "properties": [{"label-value": 7, "class": "cell"}],
        "source": {"image": "../../"},
    }
    channels = group.attrs["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in channels] == [
        ("background", "FFFFFF"),
        ("cell", "E69F00"),
    ]
    assert json.dumps(group.attrs.asdict())
