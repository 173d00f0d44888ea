"""A bar goes when its job goes, however it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
    assert not bar.isVisible()


def test_it_tells_how_far_and_how_long(bar: Progress) -> None:
    bar.advance(0.25, 42.0, "tile 1 of 4")
    assert bar.words.text() == "tile 1 of 4, 42 s left"
    assert bar.bar.value() == STEPS // 4


def test_numbers_wait_for_the_next_picture_and_the_last_is_shown(
    qtbot: QtBot, bar: Progress
) -> None:
    for tile in range(1, 100):
        bar.advance(tile / 100, None, f"tile {tile}")
    assert bar.words.text() == "tile 1"
    qtbot.waitUntil(lambda: bar.words.text() == "tile 99")
    assert bar.bar.value() == 99 * STEPS // 100


def test_a_second_job_forgets_the_first(qtbot: QtBot, bar: Progress) -> None:
    bar.advance(0.5, None, "tile 1 of 2")
    bar.advance(0.9, None, "nearly done")
    bar.open("again")
    with qtbot.waitSignal(bar._pace.due):
        bar._pace.ask()
    assert bar.words.text() == "again"
    assert bar.bar.value() < STEPS // 2


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


@pytest.mark.parametrize("end", ["go on", "stop"])
def test_pictures_are_hurried_only_as_long_as_a_job_is_held(bar: Progress, end: str) -> None:
    bar.pause_button.click()
    assert bar._pace.hurried
    if end == "go on":
        bar.pause_button.click()
    else:
        bar.stop_button.click()
        bar.close_job()
        bar.open("another job")
    assert not bar._pace.hurried
