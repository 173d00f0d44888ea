"""The curves hold what was said, and are drawn a few times a second at most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtGui import QColor, QPalette

from napari_unet.ui.curves import COLOURS, Curves

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.fixture
def curves(qtbot: QtBot) -> Curves:
    curves = Curves()
    qtbot.addWidget(curves)
    return curves


def test_the_training_loss_is_smoothed_between_its_extremes(curves: Curves) -> None:
    losses = np.random.default_rng(0).uniform(1, 2, 50)
    for step, loss in enumerate(losses):
        curves.add_loss(step, loss)
    steps, values = curves.points("training")
    assert steps == list(range(50))
    assert values[0] == losses[0]
    assert np.std(values[10:]) < np.std(losses[10:]) / 3
    assert losses.min() <= min(values) <= max(values) <= losses.max()


def test_what_is_no_number_is_left_out(curves: Curves) -> None:
    curves.add_validation(3, 0.5, {"dice": math.nan})
    curves.add_validation(4, 0.4, {})
    assert curves.points("validation") == ([3, 4], [0.5, 0.4])
    assert curves.points("score") == ([], [])


@pytest.mark.parametrize(
    ("scores", "value", "words"),
    [
        ({"jaccard": 0.5, "dice": 0.7}, 0.7, "validation Dice"),
        ({"mse": 9.0, "rmse": 3.0, "mae": 2.5}, 2.5, "validation mean absolute error"),
    ],
)
def test_the_score_is_named_by_what_it_is(curves: Curves, scores, value, words: str) -> None:
    curves.add_validation(3, 0.5, scores)
    assert curves.points("score") == ([3], [value])
    assert words in curves._legend.text()
    low, high = curves._right.viewRange()[1]
    assert low < 1 < high
    curves.clear_points()
    assert "validation Dice" in curves._legend.text()


def test_an_error_beyond_one_is_in_sight(qtbot: QtBot, curves: Curves) -> None:
    for step, error in enumerate((900.0, 400.0, 120.0)):
        curves.add_validation(step, 0.5, {"mae": error})
    curves.show()
    qtbot.waitUntil(lambda: curves._right.viewRange()[1][1] >= 900)


def test_a_thousand_steps_are_drawn_at_once(qtbot: QtBot, curves: Curves) -> None:
    drawn: list[int] = []
    line = curves._lines["training"]
    line.sigPlotChanged.connect(lambda _line: drawn.append(1))
    for step in range(1000):
        curves.add_loss(step, 1.0)
    qtbot.waitUntil(lambda: bool(drawn))
    assert len(drawn) == 1
    assert len(line.getData()[0]) == 1000
    curves.clear_points()
    assert all(curves.points(name) == ([], []) for name in COLOURS)


def test_axes_take_the_colour_of_the_theme(curves: Curves) -> None:
    palette = curves.palette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#123456"))
    curves.setPalette(palette)
    assert curves._plot.getPlotItem().getAxis("left").textPen().color().name() == "#123456"
