"""How results are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels

from napari_unet.config import ModelConfig
from napari_unet.library.card import Card, GeometryCard, TargetCard
from napari_unet.ui.filling import fillings, take_over
from napari_unet.ui.results import Place, done_share, open_results, result_layers

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"image": Image, "labels": Labels}
ROTATED = np.array([[0.8, -0.6, 3.0], [0.6, 0.8, -2.0], [0.0, 0.0, 1.0]])


def regression(channels: int) -> Card:
    target = tuple(TargetCard(name=f"value {k}", mean=100, spread=10) for k in range(channels))
    return Card(
        name="m", kind="regression", target=target, axes="CYX", normalisation="zscore",
        model=ModelConfig(base=2, depth=1, classes=channels),
        geometry=GeometryCard(step=(2, 2), margin=(6, 6), lost=(0, 0), smallest=(2, 2)),
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 2])
def test_values_are_images_in_the_place_of_their_source(tmp_path: Path, channels: int) -> None:
    shape = (3, 20, 30)
    data = np.random.default_rng(0).normal(100, 10, (channels, *shape)).astype(np.float32)
    if channels == 1:
        data = data[0]
    group = zarr.create_group(tmp_path / "o.zarr")
    axes = "TYX" if channels == 1 else "CTYX"
    group.create_array("values", data=data, attributes={"axes": axes})
    layer = Image(np.zeros(shape), name="cells", scale=(1, 0.5, 0.25), translate=(0, 3, 4))
    filled = fillings(open_results(tmp_path / "o.zarr"), tmp_path)
    take_over(filled, {}, tuple(filled), lambda: False)
    made = result_layers(filled, Place(layer, "TYX", 2), regression(channels), "job")
    assert len(made) == channels
    for array, meta, kind in made.values():
        shown = Image(array, **meta)
        assert (kind, shown.data.shape) == ("image", shape)
        np.testing.assert_allclose(shown.scale, layer.scale)
        np.testing.assert_allclose(shown.translate, layer.translate)
        assert shown.contrast_limits == [70, 130]
    loaded = np.stack([array for array, _, _ in made.values()])
    np.testing.assert_array_equal(loaded, data.reshape(channels, *shape))


def test_a_gate_has_a_stride_for_each_axis(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "o.zarr")
    attributes = {"axes": "ZYX", "stride": [1, 4, 2]}
    group.create_array("attention/g", data=np.zeros((5, 6, 7), np.float32), attributes=attributes)
    layer = Image(np.zeros((5, 24, 14)), scale=(2, 0.5, 0.5))
    card = regression(1).model_copy(update={"model": ModelConfig(ndim=3)})
    filled = fillings(open_results(tmp_path / "o.zarr"), tmp_path)
    made = result_layers(filled, Place(layer, "ZYX", 3), card, "job")
    (array, meta, _) = made["attention/g"]
    np.testing.assert_allclose(Image(array, **meta).scale, (2, 2, 1))


def test_a_part_of_a_turned_image_lies_on_it(tmp_path: Path) -> None:
    """Pixel (4, 6) of the image and the first one of a result that begins there are one place."""
    group = zarr.create_group(tmp_path / "o.zarr")
    attributes = {"axes": "YX", "offset": [4, 6]}
    group.create_array("classes", data=np.zeros((5, 7), np.uint8), attributes=attributes)
    gate = {"axes": "YX", "offset": [4, 4], "stride": [4, 4]}
    group.create_array("attention/g", data=np.zeros((2, 3), np.float32), attributes=gate)
    layer = Image(np.zeros((20, 30)), scale=(2, 0.5), translate=(9, 8), rotate=30, affine=ROTATED)
    filled = fillings(open_results(tmp_path / "o.zarr"), tmp_path)
    made = result_layers(filled, Place(layer, "YX", 2), classes(), "job")
    shown = {name: KINDS[kind](data, **meta) for name, (data, meta, kind) in made.items()}
    expected = layer.data_to_world((4, 6))
    np.testing.assert_allclose(shown["classes"].data_to_world((0, 0)), expected)
    cell = shown["attention/g"].data_to_world((0, 0))
    np.testing.assert_allclose(cell, layer.data_to_world((5.5, 5.5)))  # of pixels 4 to 7


def test_the_ledger_is_no_layer_and_tells_the_share(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "o.zarr")
    group.create_array("classes", data=np.zeros((8, 8), np.uint8), attributes={"axes": "YX"})
    group.create_array(".classes", data=np.zeros((8, 8), np.uint8), attributes={"axes": "YX"})
    assert done_share(tmp_path / "o.zarr") == 0
    group.create_array("ledger", data=np.array([[1, 1, 0, 2]], np.uint8))
    assert done_share(tmp_path / "o.zarr") == 0.5
    assert list(open_results(tmp_path / "o.zarr")) == ["classes"]


def classes() -> Card:
    return Card(
        name="m", kind="classes", axes="CYX", normalisation="zscore",
        classes=({"name": "background", "value": 0, "colour": "#000000"},
                 {"name": "cell", "value": 7, "colour": "#ff0000"}),
        model=ModelConfig(base=2, depth=1),
        geometry=GeometryCard(step=(2, 2), margin=(6, 6), lost=(0, 0), smallest=(2, 2)),
    )  # fmt: skip


def test_objects_lie_above_classes_and_doubt_below(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "o.zarr")
    for name in ("instances", "uncertainty", "classes", "loss", "attention/g"):
        dtype = np.uint32 if name in {"instances", "classes"} else np.float32
        group.create_array(name, data=np.zeros((8, 8), dtype), attributes={"axes": "YX"})
    filled = fillings(open_results(tmp_path / "o.zarr"), tmp_path)
    made = result_layers(filled, Place(Image(np.zeros((8, 8))), "YX", 2), classes(), "job")
    assert list(made) == ["attention/g", "uncertainty", "loss", "classes", "instances"]
    shown = {name: KINDS[kind](data, **meta) for name, (data, meta, kind) in made.items()}
    assert {name for name, layer in shown.items() if layer.visible} == {
        "attention/g", "uncertainty", "instances",
    }  # fmt: skip
    colours = shown["instances"].get_color(1), shown["instances"].get_color(2)
    assert not np.allclose(*colours)
