"""Every format gives the same picture, lazily; what is no picture is told in one line."""

from __future__ import annotations

import shutil

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.arrays.axes import views
from napari_unet.arrays.files import list_pictures, open_picture, path_of
from napari_unet.config import InputError

IMAGE = (np.arange(40 * 50).reshape(40, 50) % 253).astype(np.uint8)
COLOUR = np.stack([IMAGE, IMAGE // 2, IMAGE // 3], axis=-1)


def read(path, **options):
    (view,) = views(open_picture(path, **{"ndim": 2, **options}), 2)
    return view[:]


def save(path, array):
    if path.suffix == ".zarr":
        zarr.create_array(path, data=array)
    elif path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        iio.imwrite(path, array)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".png", ".bmp", ".npy", ".zarr"])
@pytest.mark.parametrize("name", ["a", "ä 漢字 %#", "-x", "a.b"])
def test_every_format_gives_the_same_pixels(tmp_path, suffix, name):
    path = save(tmp_path / f"image{suffix.lower()}", IMAGE)
    path = path.rename(tmp_path / f"{name}{suffix}")
    np.testing.assert_array_equal(read(path), IMAGE[None])
    assert open_picture(path, ndim=2).name == path.name


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp", ".npy", ".zarr"])
def test_colours_are_channels(tmp_path, suffix):
    path = save(tmp_path / f"colour{suffix}", COLOUR)
    np.testing.assert_array_equal(read(path), np.moveaxis(COLOUR, -1, 0))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_opacity_is_left_out(tmp_path, suffix):
    path = save(tmp_path / f"colour{suffix}", np.dstack([COLOUR, IMAGE]))
    np.testing.assert_array_equal(read(path), np.moveaxis(COLOUR, -1, 0))


@pytest.mark.parametrize("dtype", ["bool", "uint16"])
def test_pictures_keep_their_depth(tmp_path, dtype):
    image = (IMAGE > 100) if dtype == "bool" else IMAGE.astype(np.uint16) * 257
    result = read(save(tmp_path / "a.png", image))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result[0], image)


def test_labels_with_a_palette_are_its_indices(tmp_path):
    from PIL import Image

    labels = (IMAGE % 5).astype(np.uint8)
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    picture.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read(tmp_path / "labels.png", labels=True)[0], labels)
    assert read(tmp_path / "labels.png").shape == (3, *IMAGE.shape)


def test_labels_in_colour_are_refused(tmp_path):
    with pytest.raises(InputError, match="U113"):
        open_picture(save(tmp_path / "a.png", COLOUR), ndim=2, labels=True)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
@pytest.mark.parametrize("dtype", [">u2", "<u4", "f4", ">f8", "i8", "f2"])
def test_files_of_any_type_are_lazy_and_native(tmp_path, suffix, dtype):
    array = np.arange(3 * 40 * 50).reshape(3, 40, 50).astype(dtype)
    path = save(tmp_path / f"a{suffix}", array)
    picture = open_picture(path, ndim=2, axes="TYX")
    assert not isinstance(picture.data, np.ndarray)
    for number, view in enumerate(views(picture, 2)):
        assert view.dtype.isnative
        np.testing.assert_array_equal(view[:, 3:9, 7:], array[number, None, 3:9, 7:])


def test_axes_that_are_given_win(tmp_path):
    array = np.zeros((2, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": "TYX"}, photometric="minisblack")
    assert open_picture(tmp_path / "a.tif", ndim=2, axes="CYX").axes == "CYX"
    assert open_picture(tmp_path / "a.tif", ndim=3, axes="ZYX").axes == "ZYX"
    with pytest.raises(InputError, match="U113"):
        open_picture(tmp_path / "a.tif", ndim=3)


def write_text(path):
    path.write_text("<html>not an image</html>")


def write_nothing(path):
    path.write_bytes(b"")


def write_half(path):
    good = save(path.with_name(f"good{path.suffix}"), IMAGE)
    path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])


@pytest.mark.parametrize("damage", [write_text, write_nothing, write_half])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy"])
def test_a_broken_file_gets_one_line_and_nothing_is_printed(tmp_path, capfd, damage, suffix):
    path = tmp_path / f"broken{suffix}"
    damage(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.code == "U124"
    assert f"broken{suffix}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("metadata", ["", "{", "[]", '{"zarr_format": 3, "node_type": "array"}'])
def test_a_broken_zarr_gets_one_line(tmp_path, metadata):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text(metadata)
    with pytest.raises(InputError, match=r"U124: a\.zarr "):
        open_picture(tmp_path / "a.zarr", ndim=2)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(InputError, match="U124"):
        open_picture(tmp_path / "a.npy", ndim=1)


@pytest.mark.parametrize("name", ["none.tif", "none", "none.zarr", "x" * 300, "a\0b", "file/x.tif"])
def test_a_missing_file_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    for opener in (list_pictures, lambda path: open_picture(path, ndim=2)):
        with pytest.raises(InputError, match="U126: no file"):
            opener(tmp_path / name)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("1,2")
    for name in ("table.csv", "."):
        with pytest.raises(InputError, match="U124"):
            open_picture(tmp_path / name, ndim=2)


def test_empty_arrays_are_refused(tmp_path):
    with pytest.raises(InputError, match="U112"):
        open_picture(save(tmp_path / "a.npy", np.zeros((0, 5))), ndim=2)


def test_a_folder_stands_for_its_pictures_in_name_order(tmp_path):
    for name in ("b.tif", "a.PNG", "c.npy", ".hidden.tif", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    save(tmp_path / "d.zarr", IMAGE)
    assert [p.name for p in list_pictures(tmp_path)] == ["a.PNG", "b.tif", "c.npy", "d.zarr"]
    assert list_pictures(tmp_path / "b.tif") == [tmp_path / "b.tif"]
    assert list_pictures(tmp_path / "d.zarr") == [tmp_path / "d.zarr"]
    with pytest.raises(InputError, match="U101"):
        list_pictures(tmp_path / "sub")


@pytest.mark.parametrize(
    ("folder", "ndim", "axes"),
    [
        ("isbi2012_em", 2, "YX"),
        ("msd_hippocampus", 3, "ZYX"),
        ("stardist_samples", 2, None),
        ("drive_retina", 2, "YXC"),
    ],
)
def test_real_images_open_with_their_labels(data, folder, ndim, axes):
    images = list_pictures(data / folder / "images")
    labels = list_pictures(data / folder / "labels")
    assert [p.name for p in images] == [p.name for p in labels]
    for image, truth in zip(images[:2], labels[:2], strict=True):
        picture = open_picture(image, ndim=ndim)
        marks = open_picture(truth, ndim=ndim, labels=True)
        assert axes in (None, picture.axes)
        for view, mark in zip(views(picture, ndim), views(marks, ndim), strict=True):
            assert view.shape[1:] == mark.shape[1:]


def test_a_copy_is_as_good(tmp_path):
    path = save(tmp_path / "a.zarr", IMAGE)
    shutil.copytree(path, tmp_path / "plain folder name")
    np.testing.assert_array_equal(read(tmp_path / "plain folder name")[0], IMAGE)


def test_arrays_on_disk_are_known_by_their_path(tmp_path):
    da = pytest.importorskip("dask.array", reason="dask comes with napari")
    zarr.create_group(tmp_path / "a.zarr").create_array("labels/cells", data=IMAGE, chunks=(9, 9))
    np.save(tmp_path / "a.npy", IMAGE)
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    inside = zarr.open_array(tmp_path / "a.zarr/labels/cells", mode="r")
    lazy = da.from_zarr(inside)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    tiff = tifffile.memmap(tmp_path / "a.tif", mode="r")
    for array in (inside, lazy, mapped, tiff):
        path = path_of(array)
        assert path is not None
        np.testing.assert_array_equal(np.asarray(open_picture(path, ndim=2).data), IMAGE)
    parts = (lazy[1:], lazy + 1, mapped[1:], mapped.T, tiff[:, ::2], tiff.view(np.int8), IMAGE)
    assert [path_of(array) for array in parts] == [None] * len(parts)


def test_maps_of_other_files_have_no_path(tmp_path):
    (tmp_path / "a.raw").write_bytes(IMAGE.tobytes())
    raw = np.memmap(tmp_path / "a.raw", np.uint8, mode="r", shape=IMAGE.shape)
    assert path_of(raw) is None
    np.save(tmp_path / "a.npy", IMAGE)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    (tmp_path / "a.npy").unlink()
    assert path_of(mapped) is None
    assert path_of(zarr.create_array(zarr.storage.MemoryStore(), data=IMAGE)) is None


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_files_without_a_pyramid_have_one_level(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", IMAGE)
    with pytest.raises(InputError, match=f"U150: level 1 of a{suffix}"):
        open_picture(path, ndim=2, level=1)
