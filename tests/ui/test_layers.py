"""A layer reaches the engine as it is: by its path, or as a copy made block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Labels

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.writing import write_tiff
from napari_unet.config import InputError
from napari_unet.ui.layers import (
    Source,
    axes_choices,
    channels_of,
    check_pair,
    copy_blocks,
    find_layer,
    source_of,
    stack_of,
    store,
    truth_axes,
)

if TYPE_CHECKING:
    from pathlib import Path


def values(shape: tuple[int, ...], dtype: Any = np.uint16) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [">u2", "?", "f4", ">f8", "i8"])
@pytest.mark.parametrize("shape", [(1,), (30, 40), (3, 600, 17), (2, 2, 3, 5, 4)])
def test_a_copy_equals_its_array(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    data = values(shape, dtype)
    copy_blocks(data, tmp_path / "copy.zarr")
    copy = zarr.open_array(tmp_path / "copy.zarr")
    assert copy.dtype.isnative
    np.testing.assert_array_equal(copy[:], data)


def test_a_lazy_array_is_never_read_whole(tmp_path: Path) -> None:
    largest = 0

    class Lazy:
        shape, ndim, dtype = (64, 1024, 1024), 3, np.dtype("u1")

        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
            nonlocal largest
            sizes = [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)]
            largest = max(largest, int(np.prod(sizes)))
            return np.zeros(sizes, self.dtype)

        def __array__(self) -> np.ndarray[Any, Any]:
            raise AssertionError("read whole")

    copy_blocks(Lazy(), tmp_path / "copy.zarr")
    assert largest <= 2**24


def test_a_copy_that_is_called_off_stops_at_the_next_block(tmp_path: Path) -> None:
    asked = iter([False, True])
    copy_blocks(np.ones((1200, 600), "u1"), tmp_path / "copy.zarr", lambda: next(asked))
    copied = zarr.open_array(tmp_path / "copy.zarr")[:]
    assert 0 < copied.sum() < copied.size


def test_axes_that_do_not_fit_are_refused() -> None:
    for layer, axes in ((Image(values((3, 8, 9))), "YX"), (Image(values((8, 9))), "YXC")):
        with pytest.raises(InputError) as raised:
            source_of(layer, axes)
        assert raised.value.code == "U113"


def test_words_are_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        copy_blocks(np.array(["a"]), tmp_path / "copy.zarr")
    assert raised.value.code == "U116"


@pytest.mark.parametrize("suffix", ["zarr", "npy", "tif"])
def test_arrays_on_disk_go_by_their_path(tmp_path: Path, suffix: str) -> None:
    path, data = tmp_path / f"a.{suffix}", values((8, 9))
    if suffix == "zarr":
        array = dask.array.from_zarr(zarr.create_array(path, data=data))
    elif suffix == "npy":
        np.save(path, data)
        array = np.load(path, mmap_mode="r")
    else:
        write_tiff(path, data, "YX")
        array = tifffile.memmap(path, mode="r")
    layer = Image([array, array[::2, ::2]], multiscale=True)
    assert store(source_of(layer, "YX"), tmp_path).path == str(path)
    part = store(source_of(Image(array[1:]), "YX"), tmp_path)
    np.testing.assert_array_equal(zarr.open_array(part.path)[:], data[1:])


def test_only_the_part_that_is_needed_is_copied(tmp_path: Path) -> None:
    read = []

    class Lazy:
        shape, ndim, dtype = (5, 600, 40), 3, np.dtype("u1")

        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
            read.append(key[0])
            return np.ones(
                [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)]
            )

    window = (slice(2, 4), slice(0, 600), slice(0, 40))
    source = Source(Lazy(), "TYX", (1.0, 1.0), "lazy")
    copy = zarr.open_array(store(source, tmp_path, within=window).path)
    assert copy.shape == Lazy.shape
    assert {k for key in read for k in range(key.start, key.stop)} == {2, 3}
    np.testing.assert_array_equal(copy[2:4], 1)
    nothing = store(source, tmp_path, within=(slice(0, 0),) * 3)
    n = len(read)
    assert zarr.open_array(nothing.path).shape == Lazy.shape
    assert len(read) == n


@pytest.mark.parametrize("snapshot", [False, True])
def test_the_engine_reads_the_pixels_of_the_layer(tmp_path: Path, snapshot: bool) -> None:
    layer = Image(zarr.create_array(tmp_path / "a.zarr", data=values((4, 30, 40))), scale=(3, 2, 1))
    reference = store(source_of(layer, "ZYX"), tmp_path, snapshot=snapshot)
    assert (reference.path == str(tmp_path / "a.zarr")) is not snapshot
    assert reference.spacing == (3, 2, 1)
    picture = open_picture(reference.path, ndim=3, axes=reference.axes)
    np.testing.assert_array_equal(picture.data[:], layer.data[:])


def test_a_snapshot_does_not_change_when_one_paints_on(tmp_path: Path) -> None:
    layer = Labels(values((20, 20), np.int32))
    before = layer.data.copy()
    reference = store(source_of(layer, "YX"), tmp_path, snapshot=True)
    layer.fill((0, 0), 199)
    layer.data[:] = 7
    np.testing.assert_array_equal(zarr.open_array(reference.path)[:], before)


@pytest.mark.parametrize("wrap", [np.asarray, dask.array.from_array, zarr.array])
def test_opacity_is_left_out(tmp_path: Path, wrap: Any) -> None:
    colour = values((20, 30, 4), np.uint8)
    reference = store(source_of(Image(wrap(colour), rgb=True), "YXC"), tmp_path)
    np.testing.assert_array_equal(zarr.open_array(reference.path)[:], colour[..., :3])


@pytest.mark.parametrize(
    ("shape", "settings", "ndim", "first"),
    [
        ((20, 30), {}, 2, "YX"),
        ((7, 20, 30), {}, 2, "TYX"),
        ((7, 20, 30), {}, 3, "ZYX"),
        ((20, 30, 3), {"rgb": True}, 2, "YXC"),
        ((7, 20, 30, 3), {"rgb": True}, 3, "ZYXC"),
        ((7, 2, 20, 30), {"axis_labels": ("z", "c", "y", "x")}, 3, "ZCYX"),
        ((30,), {}, 1, "X"),
    ],
)
def test_the_likeliest_axes_come_first(
    shape: tuple[int, ...], settings: dict[str, Any], ndim: int, first: str
) -> None:
    source = Source(np.zeros(shape), "", (), "")
    layer = Image(source.data, **settings) if len(shape) > 1 else Lines(source.data)
    assert axes_choices(layer, ndim)[0][0] == first


class Lines:
    """A signal; napari itself has no layer with one axis."""

    multiscale, rgb, name, axis_labels = False, False, "signal", ("-1",)

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data = data


def test_other_axes_can_be_chosen() -> None:
    offered = dict(axes_choices(Image(np.zeros((5, 3, 20, 30))), 2))
    assert offered["TCYX"] == "5 images, each on its own, 3 channels"
    assert offered["PTYX"] == "15 images, each on its own"


def test_too_few_axes_are_refused() -> None:
    with pytest.raises(InputError) as raised:
        axes_choices(Image(np.zeros((20, 30))), 3)
    assert raised.value.code == "U113"


def test_labels_must_have_the_shape_of_their_image() -> None:
    image = Image(np.zeros((3, 20, 30)), name="nuclei")
    assert check_pair(image, Labels(np.zeros((20, 30), int)), "CYX") == ()
    with pytest.raises(InputError, match=r"U102: labels 20x31 .* image 20x30 .*crop"):
        check_pair(image, Labels(np.zeros((20, 31), int)), "CYX")
    with pytest.raises(InputError, match=r"swapped: transpose"):
        check_pair(image, Labels(np.zeros((30, 20), int)), "CYX")


def test_labels_elsewhere_are_doubted() -> None:
    image = Image(np.zeros((20, 30)), name="nuclei", scale=(2, 2))
    (words,) = check_pair(image, Labels(np.zeros((20, 30), int), name="drawn"), "YX")
    assert "scale" in words
    assert "drawn" in words


def test_a_deleted_layer_is_not_found() -> None:
    layers = [Image(np.zeros((4, 4))), Image(np.zeros((4, 4)))]
    key = layers[1].unique_id
    assert find_layer(layers, key) is layers[1]
    assert find_layer(layers[:1], key) is None
    assert find_layer(layers, None) is None


@pytest.mark.parametrize("shape", [(20, 30), (4, 600, 17)])
def test_layers_of_one_shape_become_the_channels_of_one_image(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    planes = [values(shape, np.uint8), values(shape, np.float32) / 7]
    axes = "ZYX"[-len(shape) :]
    layers = [Image(plane, name=f"stain {k}", scale=(2,) * len(shape)) for k, plane in
              enumerate(planes)]  # fmt: skip
    reference = store(stack_of(layers, axes), tmp_path)
    assert reference.axes == f"C{axes}"
    assert reference.spacing == (2,) * len(shape)
    copy = zarr.open_array(reference.path)
    assert copy.dtype == np.float32
    np.testing.assert_array_equal(copy[:], np.stack(planes).astype(np.float32))


def test_a_single_layer_is_no_stack() -> None:
    layer = Image(values((20, 30, 3), np.uint8), rgb=True)
    assert stack_of([layer], "YXC").data is layer.data
    assert channels_of(layer, "YXC") == 3
    assert channels_of(Image(np.zeros((5, 20, 30))), "TYX") == 1


def test_channels_must_have_one_shape_and_no_channels_themselves() -> None:
    images = [Image(np.zeros((20, 30)), name="a"), Image(np.zeros((20, 31)), name="b")]
    with pytest.raises(InputError, match=r"U102: channel 20x31 \(layer 'b'\) .* 20x30"):
        stack_of(images, "YX")
    both = [Image(np.zeros((2, 20, 30)), name=name) for name in "ab"]
    with pytest.raises(InputError, match="U113: layer 'a' has channels itself"):
        stack_of(both, "CYX")


def test_a_target_may_have_channels() -> None:
    image = Image(np.zeros((3, 20, 30)))
    for shape, axes in (((20, 30), "YX"), ((20, 30, 2), "YXC"), ((2, 20, 30), "CYX")):
        target = Image(np.zeros(shape), name="clean")
        assert truth_axes(target, image, "CYX") == axes
        assert check_pair(image, target, "CYX") == ()
    with pytest.raises(InputError, match=r"U102: target 20x31 .*the target that belongs to it"):
        check_pair(image, Image(np.zeros((20, 31))), "CYX")
    with pytest.raises(InputError, match="U102: labels 20x30x2"):
        check_pair(image, Labels(np.zeros((20, 30, 2), int)), "CYX")


@pytest.mark.parametrize(
    ("scale", "units", "spacing", "unit"),
    [
        ((0.65, 0.325), ("um", "um"), (0.65, 0.325), "µm"),
        ((650.0, 325.0), ("nm", "nm"), (0.65, 0.325), "µm"),
        ((0.65, 0.325), None, (0.65, 0.325), ""),
        ((0.65, 0.325), ("um", "pixel"), (0.65, 0.325), ""),
    ],
)
def test_a_size_is_in_micrometres_where_the_layer_has_units(
    tmp_path: Path, scale: Any, units: Any, spacing: Any, unit: str
) -> None:
    layer = Image(values((20, 30)), scale=scale, units=units)
    for source in (source_of(layer, "YX"), stack_of([layer, layer], "YX")):
        reference = store(source, tmp_path)
        assert reference.spacing == pytest.approx(spacing)
        assert reference.unit == unit
