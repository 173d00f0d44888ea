"""The engine as a real process: it answers, it can be killed, it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from qtpy.QtWidgets import QWidget

from napari_unet.config import ModelConfig
from napari_unet.engine.jobs import DescribeJob
from napari_unet.events import Beat, Failed, Finished, Ready
from napari_unet.ui import engine as engine_module
from napari_unet.ui.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
SMALL = ModelConfig(base=1, depth=1)


def processes() -> set[int]:
    """The engines that this test process has."""
    children = psutil.Process().children()
    return {p.pid for p in children if "napari_unet" in " ".join(p.cmdline())}


class Heard(list[tuple[str, Any]]):
    """What an engine said, in order."""

    def of(self, kind: type) -> list[Any]:
        return [event for _, event in self if isinstance(event, kind)]


@pytest.fixture
def user(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def engine(qtbot: QtBot) -> Iterator[Engine]:
    before = processes()
    engine = Engine()
    yield engine
    engine.close()
    assert processes() <= before


@pytest.fixture
def heard(engine: Engine) -> Heard:
    heard = Heard()
    engine.happened.connect(lambda job, event: heard.append((job, event)))
    engine.died.connect(lambda job, words: heard.append((job, words)))
    engine.silent.connect(lambda job, silence_s: heard.append((job, silence_s)))
    return heard


def test_a_warm_process_answers_jobs_one_after_the_other(
    qtbot: QtBot, engine: Engine, heard: Heard, user: QWidget
) -> None:
    engine.join(user)
    qtbot.waitUntil(lambda: len(heard.of(Ready)) == 1, timeout=30_000)
    for job in ("first", "second"):
        engine.submit(DescribeJob(job=job, config=SMALL), user)
        assert engine.pid(job) == heard.of(Ready)[0].pid
        qtbot.waitUntil(lambda job=job: engine.pid(job) == 0, timeout=30_000)
    finished = heard.of(Finished)
    assert [event.summary["name"] for event in finished] == ["unet", "unet"]


def test_an_order_that_is_refused_fails(
    qtbot: QtBot, engine: Engine, heard: Heard, user: QWidget
) -> None:
    bad = SMALL.model_copy(update={"architecture": "none"})
    engine.submit(DescribeJob.model_construct(job="mine", config=bad), user)
    qtbot.waitUntil(lambda: engine.pid("mine") == 0, timeout=30_000)
    assert [job for job, event in heard if isinstance(event, Failed)] == ["mine"]


def test_a_killed_process_is_told_within_two_seconds(
    qtbot: QtBot, engine: Engine, heard: Heard, user: QWidget
) -> None:
    engine.join(user)
    engine.submit(DescribeJob(job="mine", config=SMALL), user)
    os.kill(engine.pid("mine"), signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(heard.of(str)), timeout=2000)
    ((job, words),) = heard
    assert job == "mine"
    assert "killed: probably out of memory" in words
    assert engine.pid("mine") == 0


def test_silence_is_told_and_a_beat_ends_it(
    qtbot: QtBot, engine: Engine, heard: Heard, user: QWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SILENCE_S", 0.5)
    engine.join(user)
    qtbot.waitUntil(lambda: bool(heard.of(Ready)), timeout=30_000)
    pid = heard.of(Ready)[0].pid
    os.kill(pid, signal.SIGSTOP)
    engine.submit(DescribeJob(job="mine", config=SMALL), user)
    qtbot.waitUntil(lambda: bool(heard.of(float)), timeout=5000)
    os.kill(pid, signal.SIGCONT)
    qtbot.waitUntil(lambda: bool(heard.of(Finished)), timeout=20_000)
    assert "mine" in [job for job, event in heard if isinstance(event, Beat | Finished)]


def test_when_the_last_user_goes_every_process_ends(
    qtbot: QtBot, engine: Engine, user: QWidget
) -> None:
    before = processes()
    other = QWidget()
    engine.join(user)
    engine.join(other)
    engine.submit(DescribeJob(job="mine", config=SMALL), other)
    pid = engine.pid("mine")
    other.deleteLater()
    qtbot.waitUntil(lambda: engine.pid("mine") == 0)
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=5000)
    engine.leave(user)
    assert processes() <= before
