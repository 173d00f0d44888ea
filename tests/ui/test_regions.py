"""The part that is predicted is the part that is seen, drawn or counted off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_unet.config import InputError
from napari_unet.ui.regions import RegionBoxes, shape_box, slice_box, view_box

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

SPACE = {"scale": (2.0, 0.5), "translate": (30.0, -7.0)}
CORNERS = np.array([[3.2, 4.4], [3.2, 20.1], [11.9, 20.1], [11.9, 4.4]])  # pixels of the image


@pytest.fixture
def viewer() -> ViewerModel:
    """A viewer without a window, 120 pixels high and 200 wide."""
    viewer = ViewerModel()
    if hasattr(viewer, "canvas"):
        viewer.canvas.size = (120, 200)
    else:  # before napari 0.9
        viewer._canvas_size = (120, 200)
    return viewer


def camera(viewer: ViewerModel) -> Any:
    return getattr(viewer, "scene", viewer).camera  # it moved there in napari 0.9


@pytest.mark.parametrize("centre", [(50.0, 2.0), (31.0, -6.0), (68.0, 9.0)])
def test_the_view_holds_exactly_the_pixels_in_sight(
    viewer: ViewerModel, centre: tuple[float, float]
) -> None:
    layer = viewer.add_image(np.zeros((20, 40)), **SPACE)
    camera(viewer).center, camera(viewer).zoom = centre, 8.0
    there = layer.data_to_world((0, 0)) + np.array(layer.scale) * np.moveaxis(
        np.indices((20, 40)), 0, -1
    )
    seen = (np.abs(there - centre) <= np.array([120, 200]) / 16).all(axis=-1)
    assert 0 < seen.sum() < seen.size
    box = view_box(viewer, layer, "YX")
    inside = np.zeros((20, 40), bool)
    inside[slice(*box["Y"]), slice(*box["X"])] = True
    np.testing.assert_array_equal(inside, seen)


def test_all_that_is_seen_of_a_turned_image_is_in_the_view(viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((3, 20, 40)), rotate=30)
    camera(viewer).center, camera(viewer).zoom = layer.data_to_world((1, 10, 20))[1:], 12.0
    box = view_box(viewer, layer, "TYX")
    for y, x in np.ndindex(20, 40):
        seen = np.abs(np.subtract(layer.data_to_world((1, y, x)), camera(viewer).center)[1:])
        if (seen <= np.array([120, 200]) / 24).all():
            assert box["Y"][0] <= y < box["Y"][1]
            assert box["X"][0] <= x < box["X"][1]
    assert set(box) == {"Y", "X"}


def test_a_view_beside_the_image_holds_nothing(viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((20, 40)), name="cells")
    camera(viewer).center, camera(viewer).zoom = (1000.0, 10.0), 8.0
    with pytest.raises(InputError, match="U150: nothing of 'cells' lies there along Y"):
        view_box(viewer, layer, "YX")
    viewer.dims.ndisplay = 3
    with pytest.raises(InputError, match="U150: a view in 3-D"):
        view_box(viewer, layer, "YX")


def test_the_slice_is_where_the_sliders_stand(viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((4, 6, 20, 40)), scale=(1, 3, 1, 1), translate=(0, 9, 0, 0))
    viewer.dims.set_point((0, 1), (2, 9 + 3 * 5))
    assert slice_box(viewer, layer, "TZYX", "TZ") == {"T": (2, 3), "Z": (5, 6)}
    viewer.dims.ndisplay = 3
    assert slice_box(viewer, layer, "TZYX", "TZ") == {"T": (2, 3)}


def drawn(layer: Image, corners: Any, kind: str) -> Shapes:
    """A shape that is drawn on an image, in a layer with another space."""
    shapes = Shapes(ndim=layer.ndim, scale=(3.0, 3.0), translate=(1.0, 1.0))
    corners = [shapes.world_to_data(layer.data_to_world(corner)) for corner in corners]
    shapes.add(np.array(corners), shape_type=kind)
    return shapes


def test_a_rectangle_is_its_box() -> None:
    layer = Image(np.zeros((20, 40)), **SPACE)
    box, outline = shape_box(drawn(layer, CORNERS, "rectangle"), layer, "YX", 2)
    assert box == {"Y": (4, 12), "X": (5, 21)}  # whose centres lie inside
    assert outline is None


def test_a_polygon_has_an_outline_in_pixels_of_the_image() -> None:
    layer = Image(np.zeros((20, 40)), **SPACE)
    corners = CORNERS[:3]
    box, outline = shape_box(drawn(layer, corners, "polygon"), layer, "YX", 2)
    assert box == {"Y": (4, 12), "X": (5, 21)}
    np.testing.assert_allclose(outline, corners, atol=1e-5)
    _, outline = shape_box(drawn(layer, corners, "polygon"), layer, "YX", 1)
    assert outline is None  # a signal has no plane


def test_an_ellipse_is_round() -> None:
    layer = Image(np.zeros((60, 60)), **SPACE)
    corners = np.array([[10, 20], [10, 50], [30, 50], [30, 20]])
    _, outline = shape_box(drawn(layer, corners, "ellipse"), layer, "YX", 2)
    y, x = np.array(outline).T
    np.testing.assert_allclose(((y - 20) / 10) ** 2 + ((x - 35) / 15) ** 2, 1, atol=1e-5)


def test_what_is_no_part_of_the_image_is_refused() -> None:
    layer = Image(np.zeros((20, 40)), **SPACE)
    for shapes, words in (
        (None, "no shape"),
        (Shapes(), "no shape"),
        (drawn(layer, CORNERS[:2], "line"), "no area"),
        (drawn(layer, CORNERS + 100, "rectangle"), "lies there"),
    ):
        with pytest.raises(InputError, match=f"U150: .*{words}"):
            shape_box(shapes, layer, "YX", 2)
    several = drawn(layer, CORNERS, "rectangle")
    several.add(CORNERS[:3], shape_type="polygon")
    several.selected_data = set()
    with pytest.raises(InputError, match="U150: 2 shapes"):
        shape_box(several, layer, "YX", 2)
    several.selected_data = {0}
    assert shape_box(several, layer, "YX", 2)[1] is None


@pytest.fixture
def boxes(qtbot: QtBot) -> RegionBoxes:
    boxes = RegionBoxes()
    qtbot.addWidget(boxes)
    return boxes


def test_all_of_an_image_is_no_region(boxes: RegionBoxes, viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((5, 20, 40)))
    boxes.fit((5, 20, 40), "TYX", 2)
    assert boxes.region(viewer, layer, "TYX", 2) == (None, None)
    boxes.ranges["T"].first.setValue(2)
    boxes.fit((5, 20, 40), "TYX", 2)  # the same image: what was chosen stays
    assert boxes.region(viewer, layer, "TYX", 2) == (((2, 5), (0, 20), (0, 40)), None)


def test_from_never_lies_behind_to(boxes: RegionBoxes) -> None:
    boxes.fit((9, 20, 40), "ZYX", 3)
    z = boxes.ranges["Z"]
    z.last.setValue(3)
    z.first.setValue(6)
    assert z.value == (6, 7)
    z.last.setValue(1)
    assert z.value == (1, 2)


@pytest.mark.parametrize(
    ("shape", "axes", "ndim", "offered"),
    [
        ((20, 40), "YX", 2, ""),
        ((1, 20, 40), "TYX", 2, ""),
        ((4, 7, 20, 40), "TZYX", 3, "TZ"),
        ((20, 4, 40, 3), "YTXC", 2, "T"),
        ((20, 40), "YX", 1, ""),
    ],
)
def test_every_axis_with_a_slider_has_a_range(
    boxes: RegionBoxes, shape: tuple[int, ...], axes: str, ndim: int, offered: str
) -> None:
    boxes.fit((7, 7), "TX", 1)
    boxes.fit(shape, axes, ndim)
    assert "".join(boxes.ranges) == offered


def test_axes_come_in_the_order_of_the_result(boxes: RegionBoxes, viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((20, 4, 40)))
    boxes.fit((20, 4, 40), "YTX", 2)
    boxes.ranges["T"].last.setValue(1)
    region, _ = boxes.region(viewer, layer, "YTX", 2)
    assert region == ((0, 2), (0, 20), (0, 40))


def test_a_shape_on_a_stack_reaches_through_the_range(
    boxes: RegionBoxes, viewer: ViewerModel
) -> None:
    layer = viewer.add_image(np.zeros((5, 20, 40)))
    shapes = viewer.add_shapes([np.insert(CORNERS, 0, 1, axis=1)], shape_type="rectangle")
    boxes.shapes.fill(viewer.layers)
    boxes.fit((5, 20, 40), "TYX", 2)
    boxes.kind.setCurrentText("a shape")
    assert boxes.shapes.key == shapes.unique_id
    boxes.ranges["T"].first.setValue(3)
    region, outline = boxes.region(viewer, layer, "TYX", 2)
    assert region == ((3, 5), (4, 12), (5, 21))
    assert outline is None
