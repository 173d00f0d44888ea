"""A layer that is filled again stays where it is, and is drawn no more often than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.ui.results import MARK
from napari_unet.ui.showing import go_to, show_anew
from napari_unet.ui.space import space

if TYPE_CHECKING:
    import napari

    from napari_unet.ui.results import LayerTuple

pytestmark = pytest.mark.viewer


def made(viewer: napari.Viewer, value: int, shift: float = 0.0) -> LayerTuple:
    """An answer of 8 x 9 pixels in the place of the cells."""
    where = space(viewer.layers["cells"])
    where["translate"] = where["translate"] + shift
    return np.full((8, 9), value), {"metadata": {MARK: {"made": "here"}}, **where}, "labels"


def test_a_layer_that_stays_in_its_place_is_drawn_once(cells: napari.Viewer) -> None:
    key = show_anew(cells, made(cells, 1))
    layer, drawn = cells.layers[-1], []
    layer.events.set_data.connect(drawn.append)
    assert show_anew(cells, made(cells, 2)) == key
    assert len(drawn) == 1
    assert (layer.data == 2).all()
    show_anew(cells, made(cells, 3, shift=5.0))
    np.testing.assert_allclose(layer.translate, cells.layers["cells"].translate + 5)
    np.testing.assert_allclose(layer.scale, cells.layers["cells"].scale)
    assert layer.units == cells.layers["cells"].units


def test_a_duplicate_is_the_users_own(cells: napari.Viewer) -> None:
    key = show_anew(cells, made(cells, 1))
    cells.layers.move(len(cells.layers) - 1, 0)
    ours = cells.layers[0]
    data, meta, _ = ours.as_layer_data_tuple()  # as "Duplicate layer" does
    copy = cells.add_labels(data.copy(), **meta)
    cells.layers.move(len(cells.layers) - 1, 0)
    assert cells.layers[0] is copy
    assert show_anew(cells, made(cells, 2)) == key
    assert (copy.data == 1).all()
    cells.layers.remove(ours)
    assert show_anew(cells, made(cells, 3)) not in {key, copy.unique_id}
    assert (copy.data == 1).all()


@pytest.mark.parametrize("counts", [(2, 5), (5, 2), (3, 3)])
def test_points_that_come_anew_look_as_before(
    cells: napari.Viewer, counts: tuple[int, int]
) -> None:
    def points(n: int) -> LayerTuple:
        meta = {
            "metadata": {MARK: {"made": "points"}},
            "features": {"doubt": [k / n for k in range(n)]},
            "border_color": "#e69f00",
            "face_color": "transparent",
            "size": 32,
            **space(cells.layers["cells"]),
        }
        return np.arange(2.0 * n).reshape(n, 2), meta, "points"

    key = show_anew(cells, points(counts[0]))
    look = cells.layers[-1].border_color[0]
    assert show_anew(cells, points(counts[1])) == key
    layer, n = cells.layers[-1], counts[1]
    np.testing.assert_array_equal(layer.data, points(n)[0])
    assert layer.features["doubt"].tolist() == [k / n for k in range(n)]
    np.testing.assert_array_equal(layer.border_color, np.repeat([look], n, axis=0))
    assert not layer.face_color[:, 3].any()
    assert (layer.size == 32).all()


def test_to_go_somewhere_moves_all_sliders_at_once(cells: napari.Viewer) -> None:
    stack = cells.add_image(np.zeros((4, 5, 20, 30)), scale=(2, 1, 0.5, 0.5))
    moved: list[object] = []
    cells.dims.events.point.connect(moved.append)
    go_to(cells, stack, (3, 1, 12, 7))
    assert len(moved) == 1
    assert cells.dims.point[:2] == (6, 1)
    assert tuple(cells.scene.camera.center)[-2:] == (6, 3.5)
