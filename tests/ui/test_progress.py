"""A bar goes when its job goes, however it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from napari.utils import progress

from napari_unet.ui.progress import STEPS, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytestqt.qtbot import QtBot


@pytest.fixture
def bar(qtbot: QtBot) -> Iterator[Progress]:
    bar = Progress()
    qtbot.addWidget(bar)
    bar.open("working")
    yield bar
    bar.close_job()
    assert not list(progress._all_instances)


def test_it_tells_how_far_and_how_long(bar: Progress) -> None:
    bar.advance(0.25, 42.0, "tile 1 of 4")
    assert bar.words.text() == "tile 1 of 4, 42 s left"
    assert bar.bar.value() == STEPS // 4
    (activity,) = progress._all_instances
    assert activity.n == STEPS // 4


def test_a_second_job_takes_the_place_of_the_first(bar: Progress) -> None:
    bar.open("again")
    assert len(progress._all_instances) == 1


def test_the_second_press_on_stop_ends_the_process(qtbot: QtBot, bar: Progress) -> None:
    with qtbot.waitSignal(bar.stopped):
        bar.stop_button.click()
    assert bar.stop_button.text() == "End now"
    bar.advance(0.5, 1.0, "one more step")
    assert "stopping" in bar.words.text()
    with qtbot.waitSignal(bar.ended):
        bar.stop_button.click()


def test_pause_and_go_on(qtbot: QtBot, bar: Progress) -> None:
    for held in (True, False):
        with qtbot.waitSignal(bar.held) as blocker:
            bar.pause_button.click()
        assert blocker.args == [held]


def test_a_widget_that_is_destroyed_takes_its_bar_along(qtbot: QtBot) -> None:
    bar = Progress()
    bar.open("working")
    bar.deleteLater()
    del bar
    qtbot.waitUntil(lambda: not list(progress._all_instances))
