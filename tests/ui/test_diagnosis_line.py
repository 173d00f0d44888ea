"""The line says it, and a click on its button asks for the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from napari_unet.metrics.diagnosis import Diagnosis, Remedy
from napari_unet.ui.diagnosis_line import DiagnosisLine

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

SLOWER = Remedy("Train anew at rate 0.001", "train", {"optimiser": {"rate": 0.001}})


@pytest.fixture
def line(qtbot: QtBot) -> DiagnosisLine:
    line = DiagnosisLine()
    qtbot.addWidget(line)
    line.show()
    return line


def test_a_click_asks_for_the_remedy_that_is_shown(qtbot: QtBot, line: DiagnosisLine) -> None:
    stop = Remedy("Stop", "stop")
    line.show_diagnosis(Diagnosis("too fast", SLOWER))
    assert line.words.text() == "too fast"
    assert line.button.text() == "Train anew at rate 0.001"
    assert line.button.toolTip() == "optimiser.rate = 0.001"
    with qtbot.waitSignal(line.wanted) as asked:
        qtbot.mouseClick(line.button, Qt.MouseButton.LeftButton)
    assert asked.args == [SLOWER]
    line.show_diagnosis(Diagnosis("enough", stop))
    with qtbot.waitSignal(line.wanted) as asked:
        qtbot.mouseClick(line.button, Qt.MouseButton.LeftButton)
    assert asked.args == [stop]


def test_without_a_remedy_there_is_no_button(line: DiagnosisLine) -> None:
    assert not line.button.isVisible()
    line.show_diagnosis(Diagnosis("too fast", SLOWER))
    assert line.button.isVisible()
    line.show_diagnosis(Diagnosis("fine"))
    assert not line.button.isVisible()


def test_words_are_plain_and_fit_a_narrow_dock(line: DiagnosisLine) -> None:
    line.show_diagnosis(Diagnosis("class '<b>x</b>' is not found " * 8, SLOWER))
    line.resize(300, line.heightForWidth(300))
    assert line.words.textFormat() == Qt.TextFormat.PlainText
    assert line.minimumSizeHint().width() <= 300
