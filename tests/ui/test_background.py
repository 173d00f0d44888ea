"""What a thread returns or raises comes back to the window; what was forgotten does not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QObject, QThread

from napari_unet.ui.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot


@pytest.fixture
def background(qtbot: QtBot) -> Background:
    parent = QObject()
    background = Background(parent)
    background.keep = parent
    return background


def test_a_result_arrives_in_the_thread_of_the_window(qtbot: QtBot, background: Background) -> None:
    threads: list[Any] = []
    background.done.connect(lambda _result: threads.append(QThread.currentThread()))

    def work(a: int, b: int, stopped: Callable[[], bool]) -> int:
        threads.append(QThread.currentThread())
        return a + b if not stopped() else 0

    with qtbot.waitSignal(background.done) as blocker:
        background.run(work, 1, 2)
    assert blocker.args == [3]
    assert threads[0] != threads[1] == background.thread()


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("no"), MemoryError("no")])
def test_every_error_is_told(qtbot: QtBot, background: Background, error: Exception) -> None:
    def work(_stopped: object) -> None:
        raise error

    with qtbot.waitSignal(background.failed) as blocker:
        background.run(work)
    assert blocker.args == [error]


def test_a_newer_call_makes_an_older_one_forgotten(qtbot: QtBot, background: Background) -> None:
    results: list[str] = []
    background.done.connect(results.append)
    begun, stopped_early = threading.Event(), threading.Event()

    def slow(stopped: Callable[[], bool]) -> str:
        begun.set()
        while not stopped():
            pass
        stopped_early.set()
        return "old"

    background.run(slow)
    begun.wait(5)
    background.run(lambda _stopped: "new")
    qtbot.waitUntil(lambda: results == ["new"] and stopped_early.is_set())
    assert not background.busy
