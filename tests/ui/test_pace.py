"""Pictures come together, and the less often the longer they take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QObject

from napari_unet.ui.pace import FRAME_MS, LONGEST_MS, SHORTEST_MS, Pace, interval_ms

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


def paint_for(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@given(st.floats(0, 1e5))
def test_what_paints_fast_is_shown_often_and_nothing_is_shown_never(spent_ms: float) -> None:
    assert SHORTEST_MS <= interval_ms(spent_ms) <= LONGEST_MS
    if spent_ms <= FRAME_MS:
        assert interval_ms(spent_ms) == SHORTEST_MS
    late_ms = max(spent_ms - FRAME_MS, 0)
    assert interval_ms(spent_ms) == LONGEST_MS or late_ms <= 0.01 * interval_ms(spent_ms) + 1


def test_many_who_ask_get_one_picture(qtbot: QtBot) -> None:
    pace, pictures = Pace(parent := QObject()), []
    pace.due.connect(lambda: pictures.append(time.perf_counter()))
    with qtbot.waitSignal(pace.due):
        for _ in range(100):
            pace.ask()
    assert len(pictures) == 1
    assert parent is pace.parent()


def test_a_picture_that_takes_long_holds_back_the_next(qtbot: QtBot) -> None:
    pace = Pace(parent := QObject())
    pace.due.connect(lambda: paint_for(0.1))  # as a large layer does without a graphics card
    with qtbot.waitSignal(pace.due):
        pace.ask()
    qtbot.waitUntil(lambda: pace.interval_ms > SHORTEST_MS)
    began = time.perf_counter()
    pace.ask()
    with qtbot.waitSignal(pace.due, timeout=LONGEST_MS):
        pace.ask(soon=True)  # the user waits for it
    assert 1000 * (time.perf_counter() - began) < pace.interval_ms
    assert parent is pace.parent()
