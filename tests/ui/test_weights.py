"""The maps that are shown are the weights of the loss."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import InputError, LabelConfig, WeightConfig
from napari_unet.ui.layers import Source
from napari_unet.ui.weights import map_layers, weight_maps


def never() -> bool:
    return False


def source(labels: np.ndarray, axes: str = "YX") -> Source:
    return Source(labels, axes, (1.0, 1.0), "drawn")


def test_the_total_is_the_sum_and_weighs_one_in_the_mean_without_borders() -> None:
    _, labels = touching_cells((64, 80), seed=2)
    (maps,) = weight_maps([source(labels)], 2, LabelConfig(), WeightConfig(), never)
    parts = maps.arrays
    np.testing.assert_allclose(
        parts["total weight"], parts["class weights"] + parts["border term"], rtol=1e-6
    )
    assert parts["class weights"].mean() == pytest.approx(1)
    assert not maps.ignored.any()


def test_planes_of_a_stack_are_weighed_one_by_one() -> None:
    planes = np.stack([touching_cells((48, 40), seed=k)[1] for k in range(3)])
    settings = LabelConfig(), WeightConfig(balance_classes=False)
    (maps,) = weight_maps([source(planes, "TYX")], 2, *settings, never)
    for plane, border in zip(planes, maps.arrays["border term"], strict=True):
        (alone,) = weight_maps([source(plane)], 2, *settings, never)
        np.testing.assert_array_equal(border, alone.arrays["border term"])


def test_what_is_ignored_is_shown() -> None:
    _, labels = touching_cells((48, 40), seed=2)
    labels[:10] = 0
    labels = np.where(labels == 0, 1, labels + 1)
    labels[:5] = 0
    settings = LabelConfig(zero="unlabelled")
    (maps,) = weight_maps([source(labels)], 2, settings, WeightConfig(), never)
    np.testing.assert_array_equal(maps.ignored, labels == 0)
    assert not maps.arrays["total weight"][labels == 0].any()
    kinds = [kind for _, _, kind in map_layers(maps, {}, "key", "total weight")]
    assert kinds == ["image", "image", "image", "labels"]


def test_of_values_all_that_are_known_weigh_the_same() -> None:
    target = np.random.default_rng(0).normal(size=(3, 20, 24))
    target[1, :4] = np.nan
    config = LabelConfig(kind="regression")
    (maps,) = weight_maps([source(target, "TYX")], 2, config, WeightConfig(), never)
    assert list(maps.arrays) == ["total weight"]
    np.testing.assert_array_equal(maps.arrays["total weight"], np.isfinite(target))
    np.testing.assert_array_equal(maps.ignored, np.isnan(target))
    assert "weigh 1" in maps.notes[0]


def test_labels_that_training_would_refuse_are_refused() -> None:
    with pytest.raises(InputError) as raised:
        weight_maps([source(np.zeros((8, 8), int))], 2, LabelConfig(), WeightConfig(), never)
    assert raised.value.code == "U105"
