"""How results are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from napari.layers import Image

from napari_unet.config import ModelConfig
from napari_unet.library.card import Card, GeometryCard, TargetCard
from napari_unet.ui.results import Place, load_results, open_results, result_layers, span

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("values", "expected"), [((0.9, 0.95), (0.9, 0.95)), ((0.5, 0.5), (0.0, 1.0))]
)
def test_contrast_limits_are_never_empty(values: tuple[float, ...], expected: object) -> None:
    assert span(np.array(values)) == expected


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
    arrays = open_results(tmp_path / "o.zarr")
    made = result_layers(arrays, Place(layer, "TYX", 2), regression(channels), "job")
    assert len(made) == channels
    assert set(made) == set(load_results(arrays, lambda: False))
    for array, meta, kind in made.values():
        shown = Image(array, **meta)
        assert (kind, shown.data.shape) == ("image", shape)
        np.testing.assert_allclose(shown.scale, layer.scale)
        np.testing.assert_allclose(shown.translate, layer.translate)
        assert shown.contrast_limits == [70, 130]
    loaded = np.stack(list(load_results(arrays, lambda: False).values()))
    np.testing.assert_array_equal(loaded, data.reshape(channels, *shape))


def test_a_gate_has_a_stride_for_each_axis(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "o.zarr")
    attributes = {"axes": "ZYX", "stride": [1, 4, 2]}
    group.create_array("attention/g", data=np.zeros((5, 6, 7), np.float32), attributes=attributes)
    layer = Image(np.zeros((5, 24, 14)), scale=(2, 0.5, 0.5))
    card = regression(1).model_copy(update={"model": ModelConfig(ndim=3)})
    made = result_layers(open_results(tmp_path / "o.zarr"), Place(layer, "ZYX", 3), card, "job")
    (array, meta, _) = made["attention/g"]
    np.testing.assert_allclose(Image(array, **meta).scale, (2, 2, 1))
