"""What is made ahead is what would have been made, and no thread is left behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from napari_unet.events import Stepped
from napari_unet.training.ahead import Ahead
from napari_unet.training.loop import train
from napari_unet.training.run import Run
from tests.training.test_loop import disks, last, settings

if TYPE_CHECKING:
    from pathlib import Path


def helpers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("patches")]


@pytest.mark.parametrize("overlapped", [True, False])
def test_every_step_gets_its_own(overlapped: bool) -> None:
    ahead = Ahead(lambda step: step**2, overlapped=overlapped)
    assert [ahead.take(step) for step in (0, 1, 2, 7, 8, 3)] == [0, 1, 4, 49, 64, 9]
    ahead.close()
    assert not helpers()


def test_the_next_is_made_by_another_thread_while_this_one_is_used() -> None:
    made, makers = threading.Event(), {}

    def make(step: int) -> int:
        makers[step] = threading.current_thread()
        if step == 1:
            made.set()
        return step

    ahead = Ahead(make, overlapped=True)
    ahead.take(0)
    assert made.wait(30)  # nobody has asked for it
    assert ahead.take(1) == 1
    ahead.close()
    assert makers[0] is threading.current_thread()
    assert makers[1] is not threading.current_thread()


def test_an_error_is_raised_in_the_step_that_it_belongs_to() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("no such patch")
        return step

    ahead = Ahead(make, overlapped=True)
    assert ahead.take(0) == 0
    with pytest.raises(ValueError, match="no such patch"):
        ahead.take(1)
    assert ahead.take(2) == 2
    ahead.close()


def test_after_closing_everything_is_made_anew() -> None:
    state = ["old"]
    ahead = Ahead(lambda step: (step, state[0]), overlapped=True)
    ahead.take(0)
    ahead.close()
    state[0] = "new"
    assert ahead.take(1) == (1, "new")
    ahead.close()
    assert not helpers()


def overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs on a CPU work ahead, as those on a graphics card do."""
    begin = Run.__init__

    def begin_overlapped(run: Run, *arguments: object) -> None:
        begin(run, *arguments)
        run.ahead = Ahead(run.draw, overlapped=True)

    monkeypatch.setattr(Run, "__init__", begin_overlapped)


def test_working_ahead_changes_no_bit_and_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(train(settings(2), disks(), tmp_path / "plain"))
    overlap(monkeypatch)
    list(train(settings(2), disks(), tmp_path / "ahead"))
    assert not helpers()
    assert last(tmp_path / "ahead") == last(tmp_path / "plain")
    stream = train(settings(2), disks(), tmp_path / "parts")
    assert any(isinstance(event, Stepped) for event in stream)
    assert helpers()
    stream.close()
    assert not helpers()
    list(train(settings(2), disks(), tmp_path / "parts", resume=True))
    assert last(tmp_path / "parts") == last(tmp_path / "plain")
