"""Boxes keep what was chosen while the list around it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet.ui.choice import LayerBox, ModelBox
from napari_unet.ui.pairs import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot


def images(n: int) -> list[Image]:
    return [Image(np.zeros((4 + k, 5)), name=f"image {k}") for k in range(n)]


def test_a_choice_outlives_other_layers(qtbot: QtBot) -> None:
    box, layers = LayerBox(Image, "help"), images(3)
    qtbot.addWidget(box)
    box.fill([*layers, Labels(np.zeros((4, 5), int))])
    assert box.count() == 3
    box.key = layers[0].unique_id
    box.fill(layers[::-1])
    assert box.key == layers[0].unique_id
    box.fill(layers[1:])
    assert box.key == layers[2].unique_id
    box.fill([])
    assert box.key is None


def test_labels_of_the_shape_of_the_image_are_preferred(qtbot: QtBot) -> None:
    pairs, layers = Pairs(), images(3)
    qtbot.addWidget(pairs)
    drawn = [Labels(np.zeros(layers[k].data.shape, int)) for k in (1, 2)]
    pairs.fill([*layers, drawn[1], drawn[0], Labels(np.zeros((9, 9), int))])
    assert pairs.keys == [(layers[1].unique_id, drawn[0].unique_id)]


@pytest.mark.parametrize("nothing", ["", "begin anew"])
def test_models_of_the_library_and_of_elsewhere(
    qtbot: QtBot, model: Path, tmp_path: Path, nothing: str
) -> None:
    box = ModelBox("help", nothing)
    qtbot.addWidget(box)
    box.fill(tmp_path)
    assert box.folder == ""
    assert box.card is None
    box.choose(model)
    assert box.folder == str(model)
    assert box.card.name == "tiny"
    box.fill(tmp_path)
    assert box.folder == str(model)
    box.fill(model.parent)  # it is in the library now, and there once
    assert box.box.count() == 1 + bool(nothing)
    with qtbot.waitSignal(box.refused):
        box.choose(tmp_path)
    assert box.folder == str(model)
