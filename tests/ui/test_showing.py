"""A layer that is filled again stays where it is, and is drawn no more often than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.ui.results import MARK
from napari_unet.ui.showing import show_anew
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
