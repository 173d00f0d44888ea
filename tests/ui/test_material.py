"""What is chosen to learn from is what the engine gets, or the user is told why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import ModelConfig
from napari_unet.ui.layers import find_layer
from napari_unet.ui.material import Material

if TYPE_CHECKING:
    import napari
    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.viewer


@pytest.fixture
def material(cells: napari.Viewer, qtbot: QtBot) -> Material:
    """The boxes, filled with the layers of the window."""
    made = Material(lambda key: find_layer(cells.layers, key))
    qtbot.addWidget(made)
    made.fill(list(cells.layers))
    return made


def test_image_and_labels_are_handed_over_as_they_are(
    material: Material, cells: napari.Viewer
) -> None:
    assert material.check(2) == ""
    ((image, labels),) = material.sources
    assert image.data is cells.layers["cells"].data
    assert labels.data is cells.layers["drawn"].data
    assert (image.axes, image.spacing) == (labels.axes, labels.spacing) == ("YX", (0.5, 0.5))
    assert material.name == "cells"


def test_several_layers_are_channels_of_one_image(material: Material, cells: napari.Viewer) -> None:
    cells.add_image(cells.layers["cells"].data + 1, name="other")
    material.fill(list(cells.layers))
    row = material.pairs.rows[0]
    row.image.more_button.click()
    assert material.check(2) == ""
    ((image, _),) = material.sources
    assert (image.axes, image.data.shape) == ("CYX", (2, 96, 112))
    both = [cells.layers[name].data for name in ("cells", "other")]
    np.testing.assert_array_equal(image.data[:, :, :], np.stack(both))
    cells.layers.remove("other")
    assert material.sources == []
    assert material.check(2).startswith("open an image")
    material.fill(list(cells.layers))  # the box takes what is left
    assert material.check(2) == "choose another layer for each channel"


def test_a_network_gets_the_channels_of_image_and_target(
    material: Material, cells: napari.Viewer
) -> None:
    assert material.check(2) == ""
    assert material.fit(ModelConfig(classes=3)) == ModelConfig(classes=3, in_channels=1)
    cells.add_image(np.zeros((96, 112, 3), np.float32), name="three values", rgb=False)
    material.aim("regression")
    material.fill(list(cells.layers))
    row = material.pairs.rows[0]
    row.image.key = cells.layers["cells"].unique_id
    row.target.key = cells.layers["three values"].unique_id
    assert material.check(2) == ""
    assert material.fit(ModelConfig()).classes == 3
    row.target.key, row.image.key = row.image.key, row.target.key
    assert material.check(2) == ""
    fitted = material.fit(ModelConfig())
    assert (fitted.in_channels, fitted.classes) == (3, 1)


def test_pairs_with_other_axes_are_refused(material: Material, cells: napari.Viewer) -> None:
    stack = np.zeros((3, 96, 112))
    cells.add_image(stack, name="stack")
    cells.add_labels(stack.astype(int), name="drawn on the stack")
    material.fill(list(cells.layers))
    material.pairs.add_button.click()
    row = material.pairs.rows[1]
    row.image.key = cells.layers["stack"].unique_id
    row.labels.key = cells.layers["drawn on the stack"].unique_id
    assert "'stack' has 3 axes, YX names 2" in material.check(2)
    assert material.doubts.text().startswith("U113: ")


def test_what_does_not_fit_is_told(material: Material, cells: napari.Viewer) -> None:
    cells.layers["drawn"].data = cells.layers["drawn"].data[:-1]
    assert "do not match" in material.check(2)
    assert material.doubts.text().startswith("U102: ")
    cells.layers["drawn"].data = np.zeros((96, 112), int)
    cells.layers["drawn"].scale = (1, 1)
    assert material.check(2) == ""
    assert "another scale" in material.doubts.text()
    cells.layers.remove("cells")
    assert "draw or open labels" in material.check(2)
    material.aim("regression")
    assert "as its target" in material.check(2)
