"""Every layer that is made from a layer lies where that layer lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet.ui.results import Place
from napari_unet.ui.space import differences, section, space

TURNED = {
    "scale": (2.0, 0.5, 0.25), "translate": (1.0, -2.0, 3.0), "rotate": (10, 20, 30),
    "shear": (0.1, 0.2, 0.3), "units": ("um", "um", "um"), "axis_labels": ("z", "y", "x"),
    "affine": np.array([[1, 0.1, 0, 4], [0, 2, 0, 5], [0.2, 0, 1, 6], [0, 0, 0, 1.0]]),
}  # fmt: skip
LAYERS = {
    "plane": lambda: Image(np.zeros((20, 30)), scale=(2, 3), rotate=25, shear=(0.3,)),
    "lower": lambda: Image(np.zeros((20, 30)), shear=np.array([[1, 0], [0.4, 1]])),
    "stack": lambda: Image(np.zeros((5, 20, 30)), **TURNED),
    "labels": lambda: Labels(np.zeros((5, 20, 30), int), **TURNED),
    "colour": lambda: Image(np.zeros((20, 30, 3)), rgb=True, scale=(2, 3), units=("mm", "mm")),
}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("name", LAYERS)
def test_a_copy_lies_where_its_source_lies(name: str) -> None:
    source = LAYERS[name]()
    copy = Labels(np.zeros(source.data.shape[: source.ndim], int), **space(source))
    for point in np.random.default_rng(0).uniform(0, 20, (5, source.ndim)):
        np.testing.assert_allclose(copy.data_to_world(point), source.data_to_world(point))
    assert copy.units == source.units
    assert copy.axis_labels == source.axis_labels


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("name", LAYERS)
def test_a_cell_of_a_coarse_grid_lies_amid_the_pixels_it_covers(name: str) -> None:
    source = LAYERS[name]()
    stride = np.arange(2, 2 + source.ndim)
    axes = range(source.ndim)
    grid = Image(np.zeros((4,) * source.ndim), **section(space(source), axes, stride=stride))
    for cell in np.random.default_rng(0).integers(0, 4, (5, source.ndim)):
        middle = cell * stride + (stride - 1) / 2
        np.testing.assert_allclose(grid.data_to_world(cell), source.data_to_world(middle))


@pytest.mark.parametrize(
    ("shape", "axes", "ndim", "kept"),
    [
        ((3, 20, 30), "CYX", 2, (1, 2)),
        ((20, 30, 3), "YXC", 2, (0, 1)),
        ((7, 3, 20, 30), "TCYX", 2, (0, 2, 3)),
        ((7, 20, 30), "ZYX", 2, (0, 1, 2)),
        ((20, 7, 30), "YTX", 2, (1, 0, 2)),
    ],
)
def test_results_keep_the_axes_that_they_have(
    shape: tuple[int, ...], axes: str, ndim: int, kept: tuple[int, ...]
) -> None:
    n = len(shape)
    own: dict[str, Any] = {
        "scale": np.arange(1.0, n + 1),
        "translate": np.arange(5.0, n + 5),
        "axis_labels": tuple("abcde"[:n]),
        "units": ("um",) * n,
    }
    source = Image(np.zeros(shape), rgb=False, **own)
    result = Image(np.zeros([shape[k] for k in kept]), **Place(source, axes, ndim).keywords())
    np.testing.assert_array_equal(result.scale, own["scale"][list(kept)])
    np.testing.assert_array_equal(result.translate, own["translate"][list(kept)])
    assert result.axis_labels == tuple(own["axis_labels"][k] for k in kept)
    assert result.units == tuple(source.units[k] for k in kept)


def test_what_a_place_knows_outlives_the_layer() -> None:
    source = Image(np.zeros((20, 30)), scale=(2, 3))
    place = Place(source, "YX", 2)
    source.scale = (9, 9)
    np.testing.assert_array_equal(place.keywords()["scale"], (2, 3))


def test_layers_that_do_not_lie_on_each_other_are_told_apart() -> None:
    image = Image(np.zeros((4, 20, 30)), scale=(1, 2, 3))
    assert differences(image, Labels(np.zeros((4, 20, 30), int), scale=(1, 2, 3))) == ()
    assert differences(image, Labels(np.zeros((4, 20, 30), int))) == ("scale",)
    moved = Labels(np.zeros((4, 20, 30), int), scale=(1, 2, 3), translate=(0, 0, 9))
    assert differences(image, moved) == ("translate",)
