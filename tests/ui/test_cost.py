"""What a prediction takes is told by the engine; the tiles that are drawn are counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QWidget

from napari_unet.config import PredictConfig
from napari_unet.tiling import Geometry, plan_tiles
from napari_unet.ui.cost import CostLine, count_cost
from napari_unet.ui.layers import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_unet.ui.engine import Engine

LONG_MS = 60_000

GEOMETRIES = st.sampled_from(
    [
        Geometry((8, 8), (48, 48), (0, 0), (8, 8)),
        Geometry((16, 16), (96, 96), (92, 92), (188, 188)),
        Geometry((4, 2), (12, 6), (0, 0), (4, 2)),
    ]
)


@settings(deadline=None)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(1, 400), GEOMETRIES)
def test_counting_equals_listing(shape: tuple[int, int], size: int, geometry: Geometry) -> None:
    tiles = plan_tiles(shape, size, geometry)
    cost = count_cost(shape, size, geometry, positions=3)
    read = sum(math.prod(w.stop - w.start for w in tile.read) for tile in tiles)
    assert cost.tiles == 3 * len(tiles)
    assert cost.redundant == pytest.approx(1 - math.prod(shape) / read)


def test_the_cost_in_words() -> None:
    geometry = Geometry((8, 8), (48, 48), (0, 0), (8, 8))
    assert str(count_cost((100, 100), 512, geometry)) == "1 tile of 100 pixels"
    words = str(count_cost((1000, 1000), 256, geometry))
    assert words.startswith("16 tiles of 256 pixels, each read with up to 48 more on every side")


@pytest.fixture
def line(qtbot: QtBot, engine_of_all: Engine) -> Iterator[CostLine]:
    user = QWidget()
    qtbot.addWidget(user)
    engine_of_all.join(user)
    line = CostLine(engine_of_all, user)
    qtbot.addWidget(line)
    yield line
    engine_of_all.leave(user)


def image(shape: tuple[int, ...]) -> Source:
    return Source(Untouchable(shape), "YX", (1.0, 1.0), "cells")


class Untouchable:
    """An image of which a plan needs no pixel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype("u2")

    def __getitem__(self, key: object) -> None:
        raise AssertionError(key)


def test_the_engine_is_asked_once_nothing_changes_any_more(
    qtbot: QtBot, line: CostLine, model: Path
) -> None:
    for tile in (8, 16, 32):
        line.ask(image((64, 96)), str(model), PredictConfig(tile=tile))
    assert "measuring" in line.text()
    with qtbot.waitSignal(line.answered, timeout=LONG_MS):
        pass
    assert line.text().startswith("6 tiles of 32")
    line.ask(image((64, 96)), str(model), PredictConfig(tile=32))
    assert line.text().startswith("6 tiles")  # the same question has the same answer
    line.ask(image((10**6, 10**6)), str(model), PredictConfig(tile=512))
    with qtbot.waitSignal(line.answered, timeout=LONG_MS):
        pass
    assert "tiles of 512" in line.text()


def test_what_changes_meanwhile_is_asked_next(qtbot: QtBot, line: CostLine, model: Path) -> None:
    line.ask(image((64, 96)), str(model), PredictConfig(tile=16))
    qtbot.waitUntil(lambda: line.busy, timeout=LONG_MS)
    line.ask(image((64, 96)), str(model), PredictConfig(tile=8))
    answers: list[str] = []
    line.answered.connect(lambda: answers.append(line.text()))
    qtbot.waitUntil(lambda: len(answers) == 2, timeout=LONG_MS)
    assert "measuring" in answers[0]
    assert answers[1].startswith("96 tiles of 8")


def test_a_plan_that_cannot_be_is_told(qtbot: QtBot, line: CostLine, model: Path) -> None:
    line.ask(image((64, 96)), str(model), PredictConfig(region=((0, 64), (90, 100))))
    with qtbot.waitSignal(line.answered, timeout=LONG_MS):
        pass
    assert line.text().startswith("U150: ")
    line.ask(image((64, 96)), str(model), PredictConfig())
    line.tell("open an image first")
    qtbot.wait(600)
    assert line.text() == "open an image first"
    assert not line.busy
