"""How a command ends: exit status, and what the user is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import napari_unet.cli
from napari_unet.cli import main
from napari_unet.cli.following import follow
from napari_unet.events import Finished, Noted, Started, Stepped, TileDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.events import Event
    from tests.cli.conftest import Done

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Breaks:
    """A parser whose command ends with an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def parse_args(self, _words: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyError("of\nours"), 1, r"U001: KeyError: 'of\nours': report it with the above"),
        (MemoryError(), 2, "U161: out of memory: close other programs"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException,
    code: int, told: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(napari_unet.cli, "make_parser", lambda: Breaks(error))
    assert main([]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().splitlines()[-1:] == [told] * bool(told)
    assert ("Traceback" in err) == (code == 1)


@posix
def test_a_reader_that_leaves_is_no_error() -> None:
    line = [sys.executable, "-m", "napari_unet", "architectures", "--json"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(60) == 141


def stream(*events: Event | int, closed: list[bool]) -> Iterator[Event]:
    """Yield events; a number is a signal that arrives before the next one."""
    try:
        for event in events:
            if isinstance(event, int):
                os.kill(os.getpid(), event)
            else:
                yield event
    except GeneratorExit:
        closed.append(True)
        raise


STEP = Stepped(1, 0, 0.5, 0.1, 0.0, None)
TILE = TileDone(1, 2, (0,), (1,), 1.0)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_stream_after_the_next_event(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[bool] = []
    before = signal.getsignal(number)
    assert follow(stream(Started(), STEP, number, TILE, TILE, closed=closed), "all is kept") == 130
    assert closed == [True]
    assert capsys.readouterr().err == "stopped: all is kept\n"
    assert signal.getsignal(number) is before


@posix
def test_a_second_signal_does_not_wait() -> None:
    closed: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        follow(stream(Started(), signal.SIGINT, signal.SIGINT, STEP, closed=closed))
    assert signal.getsignal(signal.SIGINT) is before


@posix
def test_a_signal_after_the_end_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    share = Noted("pyramid: 40 %")  # told now and then only
    assert follow(stream(Noted("done soon"), share, signal.SIGINT, Finished(), closed=[])) == 0
    assert capsys.readouterr().err == "done soon\n"


def test_help_and_the_zoo_need_no_torch(shell: Callable[..., Done]) -> None:
    code = (
        "import sys; from napari_unet.cli import main; main(['architectures']); "
        "main(['weights', 'none.tif', 'w.tif']); assert 'torch' not in sys.modules"
    )
    assert shell(start=("-c", code)).code == 0
