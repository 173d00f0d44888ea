"""Boxes keep what was chosen while the list around it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet.config import ModelConfig
from napari_unet.library.card import Card, GeometryCard
from napari_unet.library.folders import write_model
from napari_unet.ui.choice import LayerBox, ModelBox, _words
from napari_unet.ui.pairs import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot


def images(n: int) -> list[Image]:
    return [Image(np.zeros((4 + k, 5)), name=f"image {k}") for k in range(n)]


def made(name: str, parent: str | None = None, **training: Any) -> Card:
    return Card(
        name=name, kind="instances", axes="CYX", normalisation="zscore", model=ModelConfig(),
        geometry=GeometryCard(step=(2, 2), margin=(6, 6), lost=(0, 0), smallest=(2, 2)),
        parent=parent, training=training,
    )  # fmt: skip


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


@pytest.mark.parametrize(
    ("best", "words"),
    [
        ({"dice": 0.8765}, "m (2-D unet, Dice 0.88)"),
        ({"mse": 9.0, "mae": 12.345}, "m (2-D unet, error 12.3)"),
        ({}, "m (2-D unet)"),
    ],
)
def test_a_model_is_named_with_its_score(best: dict[str, float], words: str) -> None:
    assert _words(made("m", best=best)) == words


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


def test_a_model_tells_where_it_comes_from_if_there_is_something_to_tell(
    qtbot: QtBot, tmp_path: Path
) -> None:
    for name, parent in (("first", None), ("second", "first (0123)")):
        write_model(tmp_path / name, made(name, parent), {})
    box = ModelBox("help")
    qtbot.addWidget(box)
    box.fill(tmp_path)
    box.choose(tmp_path / "second")
    assert box.words.text() == "Fine-tuned from first (0123)."
    assert not box.words.isHidden()
    box.choose(tmp_path / "first")
    assert box.words.isHidden()
    write_model(tmp_path / "first", made("first", None, resumed=[8]), {})
    box.choose(tmp_path / "first")  # it has learned more
    assert box.words.text() == "Resumed at step 8."
