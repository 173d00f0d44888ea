"""A tiled prediction is that of the whole image, whatever the image and wherever it goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.axes import Picture
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.intensity import SAMPLE_SIZE
from napari_unet.arrays.writing import write_tiff
from napari_unet.config import ARCHITECTURES, InputError, PredictConfig, TrainConfig
from napari_unet.events import Finished, Started, TileDone
from napari_unet.inference.model import open_model
from napari_unet.inference.predict import predict
from napari_unet.training.loop import train
from tests.arrays.spies import Spy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

ALL = ("classes", "probabilities", "attention")


def run(model: Model, image: Any, out: Any, tile: int = 4096, outputs: Any = ALL) -> list[Any]:
    if model.card.model.architecture != "attention":
        outputs = tuple(name for name in outputs if name != "attention")
    return list(predict(model, image, out, PredictConfig(outputs=outputs, tile=tile, threads=1)))


def results(model: Model, image: Any, tile: int = 4096, outputs: Any = ALL) -> dict[str, Any]:
    out: dict[str, Any] = {}
    run(model, image, out, tile, outputs)
    return out


def placed(array: Any) -> dict[str, Any]:
    """What an array says of its place; not what its values stand for."""
    return {key: value for key, value in array.attrs.items() if key != "classes"}


def assert_same(tiled: dict[str, Any], whole: dict[str, Any]) -> None:
    """Equal but for rounding; classes where no two probabilities are as good as equal."""
    assert set(tiled) == set(whole)
    assert whole["probabilities"].std() > 0
    for name in set(whole) - {"classes"}:
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-5)
    first, second = np.sort(whole["probabilities"], axis=0)[[-1, -2]]
    sure = first - second > 1e-4
    np.testing.assert_array_equal(tiled["classes"][sure], whole["classes"][sure])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(61, 45), (40, 9), (1, 37), (3, 2)])
def test_tiled_is_whole(
    models: Models, picture: Images, architecture: str, shape: tuple[int, ...]
) -> None:
    model, image = models(architecture), picture(*shape)
    whole = results(model, image)
    assert whole["classes"].shape == shape
    assert whole["probabilities"].shape == (2, *shape)
    for tile in (1, 20):
        assert_same(results(model, image, tile), whole)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("ndim", [1, 3])
def test_tiled_is_whole_in_other_dimensions(
    models: Models, picture: Images, architecture: str, ndim: int
) -> None:
    model, image = models(architecture, ndim), picture(*{1: (331,), 3: (9, 22, 17)}[ndim])
    assert_same(results(model, image, 12), results(model, image))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_result_is_the_same_wherever_it_goes(
    models: Models, picture: Images, tmp_path: Path, architecture: str
) -> None:
    model, image = models(architecture), picture(2, 30, 41)
    memory = results(model, image, 16)
    run(model, image, tmp_path / "o.zarr", 16)
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert group.attrs["complete"] is True
    for name, array in memory.items():
        np.testing.assert_array_equal(group[name][:], array)
        assert group[name].dtype == array.dtype
    for name in ("classes", "probabilities"):
        run(model, image, tmp_path / f"{name}.tif", 16, (name,))
        found = open_picture(tmp_path / f"{name}.tif", ndim=2)
        np.testing.assert_array_equal(np.asarray(found.data), memory[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "classes.tif",
        "o.zarr",
        "probabilities.tif",
    ]


def test_leading_axes_are_looped_over(models: Models, picture: Images) -> None:
    model, stack = models(), picture(2, 3, 24, 20)
    whole = results(model, stack, 16)
    assert whole["classes"].shape == (2, 3, 24, 20)
    assert whole["probabilities"].shape == (2, 2, 3, 24, 20)
    for t, z in np.ndindex(2, 3):
        alone = results(model, stack[t, z], 16)
        np.testing.assert_array_equal(whole["probabilities"][:, t, z], alone["probabilities"])


def test_named_axes_in_any_order_give_leading_axes_first(
    models: Models, picture: Images, tmp_path: Path
) -> None:
    model, stack = models(), picture(3, 24, 20)
    turned = Picture(np.moveaxis(stack, 0, -1), "YXT", (0.5, 0.25), "turned")
    run(model, turned, tmp_path / "o.zarr")
    array = zarr.open_array(tmp_path / "o.zarr/classes", mode="r")
    assert placed(array) == {"axes": "TYX", "offset": [0, 0, 0], "spacing": [0.5, 0.25]}
    np.testing.assert_array_equal(array[:], results(model, stack)["classes"])
    run(model, turned, tmp_path / "o.tif", outputs=("classes",))
    found = open_picture(tmp_path / "o.tif", ndim=2, labels=True)
    assert (found.axes, found.spacing) == ("TYX", (0.5, 0.25))
    np.testing.assert_array_equal(np.asarray(found.data), array[:])


def test_planes_of_a_volume_keep_their_distance(
    models: Models, picture: Images, tmp_path: Path
) -> None:
    volume = Picture(picture(2, 24, 20), "ZYX", (3.0, 0.5, 0.25), "volume")
    run(models("attention"), volume, tmp_path / "o.zarr")
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert placed(group["classes"]) == {
        "axes": "ZYX",
        "offset": [0] * 3,
        "spacing": [3.0, 0.5, 0.25],
    }
    assert group["probabilities"].attrs["axes"] == "KZYX"
    gate = {"axes": "ZYX", "offset": [0] * 3, "spacing": [3.0, 2.0, 1.0], "stride": [4, 4]}
    assert placed(group["attention/gate1"]) == gate
    assert group["attention/gate1"].shape == (2, 6, 5)
    assert open_picture(tmp_path / "o.zarr/classes", ndim=2).axes == "ZYX"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_channels_may_stand_first_or_last(
    models: Models, picture: Images, architecture: str
) -> None:
    model, image = models(architecture, channels=3), picture(30, 22, 3)
    last = results(model, image, 16)
    assert last["classes"].shape == (30, 22)
    first = results(model, np.ascontiguousarray(np.moveaxis(image, -1, 0)), 16)
    np.testing.assert_array_equal(first["probabilities"], last["probabilities"])
    frames = results(model, np.stack([image, image]), 16)
    np.testing.assert_array_equal(frames["classes"], np.stack([last["classes"]] * 2))


@pytest.mark.parametrize("values", [(0, 255), (0, 1, 2), (1, 7, 200)])
def test_classes_come_back_as_the_values_they_were_drawn_with(
    models: Models, picture: Images, values: tuple[int, ...]
) -> None:
    model = models(values=values)
    found = results(model, picture(40, 40), 16)
    best = found["probabilities"].argmax(axis=0)
    np.testing.assert_array_equal(found["classes"], np.asarray(values)[best])
    assert len(found["probabilities"]) == len(values)


DTYPES = {
    "float64": lambda a: a.astype(np.float64),
    "big-endian": lambda a: a.astype(">f4"),
    "uint32": lambda a: a.astype(np.uint32),
    "int16, big-endian": lambda a: a.astype(">i2"),
    "bool": lambda a: a > 100,
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order": np.asfortranarray,
}


@pytest.mark.parametrize("kind", DTYPES)
def test_numbers_of_any_kind_are_read_as_what_they_are(
    models: Models, picture: Images, kind: str
) -> None:
    image = DTYPES[kind](picture(24, 30))
    image.flags.writeable = False
    before = image.copy()
    plain = np.ascontiguousarray(image).astype(np.float32)
    found = results(models(), image, 16)
    np.testing.assert_array_equal(
        found["probabilities"], results(models(), plain, 16)["probabilities"]
    )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("spacing", [None, (4.0, 1.0, 1.0)])
def test_axes_that_are_halved_unlike_are_tiled_exactly(
    picture: Images, tmp_path: Path, spacing: tuple[float, ...] | None
) -> None:
    image = picture(6, 34, 40)
    settings = {"epochs": 0, "threads": 1, "patch": 16, "labels": {"kind": "classes"}}
    config = TrainConfig.from_recipe(
        "quick", **settings, model={"architecture": "attention", "ndim": 3, "base": 2, "depth": 2}
    )
    pair = (Picture(image, "ZYX", spacing, "i"), (image > 100).astype(np.uint8))
    list(train(config, [pair], tmp_path / "m"))
    model = open_model(tmp_path / "m", "cpu")
    assert (model.card.model.halvings, model.geometry.step) == ((0, 2, 2), (1, 4, 4))
    assert model.card.model.flat == ((0, 0, 0) if spacing is None else (1, 0, 0))
    volume = Picture(picture(5, 50, 37), "ZYX", (4.0, 1.0, 1.0), "v")
    whole, tiled = results(model, volume, 4096), results(model, volume, 12)
    assert_same(tiled, whole)
    run(model, volume, tmp_path / "o.zarr", 12)
    gate = zarr.open_group(tmp_path / "o.zarr", mode="r")["attention/gate1"]
    stride = gate.attrs["stride"]
    assert gate.attrs["spacing"] == [n * size for n, size in zip(stride, (4, 1, 1), strict=True)]
    cells = [-(-n // size) for n, size in zip((5, 50, 37), stride, strict=True)]
    assert (stride, list(gate.shape)) == ([1, 4, 4], cells)


def test_pixels_that_are_not_finite_do_no_harm(models: Models, picture: Images) -> None:
    image = picture(24, 30)
    image[3, 4], image[5, 6] = np.nan, np.inf
    found = results(models(), image, 16)
    assert np.isfinite(found["probabilities"]).all()


def test_events_cover_the_image_once(models: Models, picture: Images) -> None:
    out: dict[str, Any] = {}
    events = run(models(), picture(2, 30, 41), out, 16, ("classes",))
    tiles = [event for event in events if isinstance(event, TileDone)]
    seen = np.zeros((2, 30, 41), int)
    for tile in tiles:
        seen[tuple(map(slice, tile.start, tile.stop))] += 1
    assert (seen == 1).all()
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[0].total == len(tiles) == events[-1].summary["tiles"]
    assert [tile.left_s >= 0 for tile in tiles] == [True] * len(tiles)


def test_tiles_near_the_focus_come_first(models: Models, picture: Images) -> None:
    config = PredictConfig(tile=16, threads=1)
    stream = predict(models(), picture(64, 64), {}, config, focus=(50, 60))
    tiles = [event for event in stream if isinstance(event, TileDone)]
    assert (tiles[0].start, tiles[-1].start) == ((48, 48), (0, 0))
    for wanted in ((5.0, 50, 60), [50, 60]):  # leading axes are left out
        stream = predict(models(), picture(64, 64), {}, config, focus=wanted)
        assert [e.start for e in stream if isinstance(e, TileDone)] == [t.start for t in tiles]
    with pytest.raises(InputError, match="U150"):
        list(predict(models(), picture(64, 64), {}, config, focus=(1.0,)))


@pytest.mark.parametrize("tile", [64, "rows"])
def test_no_more_is_read_than_tiles_and_their_margin(
    models: Models, picture: Images, tile: int | str
) -> None:
    model, whole = models(), picture(2600, 2500)
    (margin, _), (step, _) = model.geometry.margin, model.geometry.step
    spy = Spy(whole)
    config = PredictConfig(region=((700, 900), (1000, 1130)), tile=tile, threads=1)
    out: dict[str, Any] = {}
    stream = predict(model, spy, out, config)
    assert isinstance(next(stream), Started)
    measured = len(spy.reads)
    list(stream)
    assert sum(math.prod(shape) for shape in spy.reads[:measured]) <= 1.1 * SAMPLE_SIZE
    reads, edges = spy.reads[measured:], (64, 64) if tile == 64 else (200, 130)
    longest = [edge + 2 * (margin + step) for edge in edges]
    assert all(a <= b for shape in reads for a, b in zip(shape, longest, strict=True))
    n_tiles = math.prod(-(-n // edge) for n, edge in zip((200, 130), edges, strict=True))
    assert len(reads) == n_tiles
    run(model, whole, expected := {}, 4096, ("classes",))
    assert (out["classes"] == expected["classes"][700:900, 1000:1130]).mean() > 0.999


def test_a_file_is_read_tile_by_tile_as_an_array_is(
    models: Models, picture: Images, tmp_path: Path
) -> None:
    image = picture(50, 40)
    write_tiff(tmp_path / "i.tif", image, "YX", (0.5, 0.5))
    run(models(), tmp_path / "i.tif", tmp_path / "o.tif", 16, ("classes",))
    assert open_picture(tmp_path / "o.tif", ndim=2, labels=True).spacing == (0.5, 0.5)
    found = np.asarray(open_picture(tmp_path / "o.tif", ndim=2, labels=True).data)
    np.testing.assert_array_equal(found, results(models(), image, 16)["classes"])
