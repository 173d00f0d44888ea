"""The drawn network follows the settings, asks one question at a time, and none while folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtWidgets import QDialog

from napari_unet.config import ModelConfig
from napari_unet.events import Beat, Failed, Finished
from napari_unet.ui.network_view import (
    Drawing,
    NetworkView,
    Picture,
    in_bytes,
    layer_rows,
    sentence,
)
from napari_unet.ui.train_dock import PLANNED

if TYPE_CHECKING:
    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.engine.jobs import DescribeJob
    from napari_unet.ui.train_dock import TrainDock

LONG_MS = 120_000  # of patience; it is a busy machine that needs it
CARD: dict[str, Any] = {
    "parameters": 1234,
    "geometry": {"step": [4, 8], "margin": [24, 48], "lost": [0, 0]},
    "memory": {"parameters": 4936, "training": 3 * 2**20, "prediction": 5 * 2**30},
    "layers": [
        {"name": "head", "kind": "Conv2d", "kernel": [1, 1], "shape": [2, 8, 8],
         "parameters": 66, "field": [40, 40]},
        {"name": "act", "kind": "ReLU", "kernel": None, "shape": [2, 8, 8],
         "parameters": 0, "field": [40, 80]},
    ],
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" color="#7a8590"/>',
}  # fmt: skip


class Asked(list["DescribeJob"]):
    """A view, and the questions it has asked."""

    def __init__(self, qtbot: QtBot) -> None:
        super().__init__()
        self.view = NetworkView()
        qtbot.addWidget(self.view)
        self.view.submitted.connect(self.append)


def test_numbers_in_words() -> None:
    words = sentence(CARD)
    assert "1,234 parameters (4.8 KiB)" in words
    assert "step 4 \N{MULTIPLICATION SIGN} 8, margin 24" in words
    assert "3.0 MiB for a step of training, 5.0 GiB for a tile" in words
    assert in_bytes(999) == "999 bytes"


def test_layers_as_rows() -> None:
    head, act = layer_rows(CARD)
    assert head[2:] == ("1 \N{MULTIPLICATION SIGN} 1", "2 \N{MULTIPLICATION SIGN} 8 "
                        "\N{MULTIPLICATION SIGN} 8", 66, 40)  # fmt: skip
    assert act[2] is None


def test_nothing_is_asked_while_folded(qtbot: QtBot) -> None:
    asked = Asked(qtbot)
    asked.view.want(ModelConfig())
    assert not asked.view._calm.isActive()
    asked.view.set_open(True)
    qtbot.waitUntil(lambda: len(asked) == 1)
    asked.view.stop()


def test_one_question_at_a_time_and_the_last_one_counts(qtbot: QtBot) -> None:
    asked = Asked(qtbot)
    asked.view.set_open(True)
    for depth in (2, 3):  # in quick succession: one question
        asked.view.want(ModelConfig(depth=depth))
    qtbot.waitUntil(lambda: len(asked) == 1)
    assert asked[0].config.depth == 3
    asked.view.want(ModelConfig(depth=4))
    asked.view.take(asked[0].job, Beat())
    asked.view.take("another", Finished(summary=CARD))
    assert not asked.view.card
    asked.view.take(asked[0].job, Finished(summary=CARD))
    assert asked.view.card == CARD
    qtbot.waitUntil(lambda: len(asked) == 2)
    assert asked[1].config.depth == 4
    asked.view.take(asked[1].job, Failed("U151", "too deep", "choose less"))
    assert asked.view.words.text() == "too deep: choose less"
    asked.view.want(ModelConfig(depth=4))
    assert not asked.view._calm.isActive()  # it has been answered


def test_a_note_stands_with_the_network_it_is_about(qtbot: QtBot) -> None:
    asked = Asked(qtbot)
    asked.view.set_open(True)
    asked.view.want(ModelConfig(), "It may change.")
    qtbot.waitUntil(lambda: len(asked) == 1)
    asked.view.want(ModelConfig())
    asked.view.take(asked[0].job, Finished(summary=CARD))
    assert asked.view.words.text() == f"{sentence(CARD)} It may change."
    qtbot.waitUntil(lambda: len(asked) == 2)
    asked.view.take(asked[1].job, Finished(summary=CARD))
    assert asked.view.words.text() == sentence(CARD)


@pytest.mark.viewer
def test_words_of_a_drawing_follow_the_theme(qtbot: QtBot, viewer: napari.Viewer) -> None:
    svg = CARD["svg"].replace("/>", '><rect width="9" height="9" fill="currentColor"/></svg>')
    picture = Picture()
    picture.show_svg(svg)
    viewer.window.add_dock_widget(picture)
    large = picture.enlarge()

    def lightness(drawing: Drawing) -> int:
        drawing.resize(90, 90)  # no window is shown that would give it room
        shot = drawing.grab().toImage()
        return shot.pixelColor(shot.width() // 2, shot.height() // 2).lightness()

    for drawing in (picture, large.findChild(Drawing)):
        viewer.theme = "dark"
        qtbot.waitUntil(lambda drawn=drawing: lightness(drawn) > 200)
        viewer.theme = "light"
        qtbot.waitUntil(lambda drawn=drawing: lightness(drawn) < 80)
    large.close()


def test_a_dead_engine_is_told_and_asked_again(qtbot: QtBot) -> None:
    asked = Asked(qtbot)
    asked.view.set_open(True)
    asked.view.want(ModelConfig())
    qtbot.waitUntil(lambda: len(asked) == 1)
    asked.view.give_up(asked[0].job, "the engine died")
    assert asked.view.words.text() == "the engine died"
    asked.view.want(ModelConfig())
    qtbot.waitUntil(lambda: len(asked) == 2)


@pytest.mark.viewer
def test_the_dock_draws_the_network_that_it_would_train(qtbot: QtBot, cells: napari.Viewer) -> None:
    dock: TrainDock
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Train")
    assert not dock.network.card
    dock.drawn.expand(animate=False)
    qtbot.waitUntil(lambda: bool(dock.network.card), timeout=LONG_MS)
    card = dock.network.card
    assert card["config"]["base"] == dock.form.value.model.base
    assert f"{card['parameters']:,} parameters" in dock.network.words.text()
    assert len(dock.network.table.table.rows) == len(card["layers"])
    assert dock.network.picture.renderer().isValid()
    assert dock.train_button.isEnabled()  # it does not stand in the way of a training

    cells.add_image(cells.layers["cells"].data, name="stain")
    dock.form.network.field("architecture").value = "attention"
    dock.material.pairs.rows[0].image.more_button.click()
    qtbot.waitUntil(lambda: dock.network.card["name"] == "attention", timeout=LONG_MS)
    assert dock.network.card["config"]["in_channels"] == 2
    assert PLANNED not in dock.network.words.text()
    dock.form.network.field("ndim").value = 1
    dock.form.plain.field("plan").value = "full"
    qtbot.waitUntil(lambda: PLANNED in dock.network.words.text(), timeout=LONG_MS)
    large = dock.network.picture.enlarge()
    assert isinstance(large, QDialog)
    assert large.isVisible()
    large.close()
