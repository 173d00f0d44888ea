"""A region is the same part of the whole, wherever it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_unet.config import PredictConfig
from napari_unet.events import Started, TileDone
from napari_unet.inference.predict import predict
from napari_unet.inference.regions import inside, touched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

BOXES = {
    1: (((37, 101),), (331,)),
    2: (((1, 3), (13, 46), (7, 51)), (3, 61, 52)),
    3: (((3, 8), (5, 22), (0, 17)), (9, 22, 17)),
}
corners = st.lists(st.tuples(*[st.floats(-5, 45, width=16)] * 2), min_size=3, max_size=8)


def run(model: Model, image: Any, out: Any, **settings: Any) -> list[Any]:
    config = PredictConfig.model_validate({"threads": 1, "tile": 16, **settings})
    return list(predict(model, image, out, config))


@pytest.mark.parametrize("architecture", ["unet2015", "attention"])
@pytest.mark.parametrize("ndim", BOXES)
@pytest.mark.parametrize("tile", [12, "rows"])
def test_a_region_is_cut_from_the_whole(
    models: Models, picture: Images, architecture: str, ndim: int, tile: int | str
) -> None:
    model, (box, shape) = models(architecture, ndim), BOXES[ndim]
    outputs = ["classes", "probabilities"]
    outputs += ["attention"] if architecture == "attention" else []
    whole: dict[str, Any] = {}
    part: dict[str, Any] = {}
    run(model, picture(*shape), whole, outputs=outputs, tile=4096)
    run(model, picture(*shape), part, outputs=outputs, region=box, tile=tile)
    windows = tuple(slice(*extent) for extent in box)
    expected = whole["probabilities"][:, *windows]
    np.testing.assert_allclose(part["probabilities"], expected, atol=1e-5)
    assert (part["classes"] == whole["classes"][windows]).mean() > 0.999
    if architecture == "attention":
        space = tuple(slice(a // 4, -(-b // 4)) for a, b in box[-ndim:])
        expected = whole["attention/gate1"][*windows[:-ndim], *space]
        np.testing.assert_allclose(part["attention/gate1"], expected, atol=1e-5)


def test_a_region_says_where_it_lies(models: Models, picture: Images, tmp_path: Path) -> None:
    outputs, box = ("probabilities", "attention"), ((1, 3), (13, 46), (7, 51))
    run(models("attention"), picture(3, 61, 52), tmp_path / "o.zarr", region=box, outputs=outputs)
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert group["probabilities"].shape == (2, 2, 33, 44)
    assert group["probabilities"].attrs["offset"] == [1, 13, 7]
    assert group["attention/gate1"].shape == (2, 9, 12)
    assert group["attention/gate1"].attrs["offset"] == [1, 12, 4]


def test_tiles_are_told_in_pixels_of_the_result(models: Models, picture: Images) -> None:
    out: dict[str, Any] = {}
    events = run(models(), picture(3, 61, 52), out, region=((1, 3), (13, 46), (7, 51)))
    seen = np.zeros(out["classes"].shape, int)
    for tile in [event for event in events if isinstance(event, TileDone)]:
        seen[tuple(map(slice, tile.start, tile.stop))] += 1
    assert (seen == 1).all()


def test_outside_of_an_outline_nothing_is_computed(models: Models, picture: Images) -> None:
    outline = ((5.0, 3.0), (40.5, 20.0), (12.0, 60.0))
    whole: dict[str, Any] = {}
    part: dict[str, Any] = {}
    settings: dict[str, Any] = {"outputs": ("probabilities", "uncertainty", "attention")}
    run(models("attention"), picture(64, 70), whole, **settings)
    box = ((2, 60), (1, 66))
    events = run(
        models("attention"), picture(64, 70), part, outline=outline, region=box, **settings
    )
    window = tuple(slice(*extent) for extent in box)
    mask = inside(outline, window)
    assert 0.2 < mask.mean() < 0.4
    for name, fill in (("probabilities", 0), ("uncertainty", np.nan)):
        expected = np.where(mask, whole[name][..., *window], fill)
        np.testing.assert_allclose(part[name], expected, atol=1e-5)
    assert (part["attention/gate1"][-1] == 0).all()
    assert (part["attention/gate1"] > 0).any()
    tiles = sum(isinstance(event, TileDone) for event in events)
    assert events[0] == Started(tiles)
    assert tiles < 4 * 5
    assert events[-1].summary["computed"] == tiles


@given(corners, st.integers(-9, 9), st.integers(-9, 9))
def test_a_polygon_is_the_same_in_every_window(outline: Any, y: int, x: int) -> None:
    whole = inside(outline, (slice(-9, 60), slice(-9, 60)))
    part = inside(outline, (slice(y, y + 30), slice(x, x + 40)))
    np.testing.assert_array_equal(part, whole[y + 9 : y + 39, x + 9 : x + 49])


def test_a_polygon_holds_the_centres_of_its_pixels() -> None:
    outline = ((4.3, 2.6), (30.2, 8.7), (22.4, 31.9), (9.1, 20.3))
    found = inside(outline, (slice(0, 40), slice(0, 36)))
    np.testing.assert_array_equal(found, polygon2mask((40, 36), outline))
    square = inside(((10, 10), (10, 20), (20, 20), (20, 10)), (slice(0, 30), slice(0, 30)))
    assert square.sum() == 100  # of what lies on an edge, the upper and the left one
    assert square[10, 10]


@given(corners)
def test_no_box_with_a_pixel_inside_is_missed(outline: Any) -> None:
    starts = np.arange(0, 40, 7)
    boxes = np.stack([starts, np.minimum(starts + 7, 40) - 1], axis=1)
    found = touched(outline, boxes, boxes)
    for i, (top, bottom) in enumerate(boxes):
        for k, (left, right) in enumerate(boxes):
            pixels = inside(outline, (slice(top, bottom + 1), slice(left, right + 1)))
            assert found[i, k] or not pixels.any()


def test_boxes_far_from_a_polygon_are_left_out() -> None:
    boxes = np.stack([np.arange(0, 100, 10), np.arange(9, 100, 10)], axis=1)
    diagonal = ((0.0, 0.0), (90.0, 90.0), (90.0, 91.0))
    found = touched(diagonal, boxes, boxes)
    assert found.diagonal()[:9].all()
    assert found.sum() <= 3 * 9
