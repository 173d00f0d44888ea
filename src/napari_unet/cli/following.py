"""Telling on stderr what happens in a stream of events."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

from napari_unet.events import Compared, Finished, Noted, Stepped, TileDone, Validated
from napari_unet.metrics.course import Course
from napari_unet.metrics.diagnosis import diagnose
from napari_unet.metrics.duration import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from napari_unet.events import Event
    from napari_unet.training.ranks import Ranks

INTERRUPTED = 130
WORDS_EVERY_S = 5.0


def follow(
    stream: Generator[Event, None, None],
    kept: str = "what was done is kept",
    ranks: Ranks | None = None,
) -> int:
    """Tell what happens on stderr; on Ctrl-C or SIGTERM close the stream, which keeps its work.

    The next event is waited for; whoever cannot wait presses Ctrl-C once more.

    Parameters
    ----------
    stream : generator of events
        From `train` or `predict`.
    kept : str
        What to say of the work of a stream that was closed early.
    ranks : Ranks, optional
        Several processes that follow the same events: the first speaks, and what one is asked
        ends all of them after the same event. `torchrun` hands on a signal that they may have
        got already, so that the second one is not impatience.

    Returns
    -------
    int
        0 done, 130 interrupted.
    """
    asked: list[int] = []
    alone = ranks is None or ranks.world == 1

    def ask(received: int, _frame: object) -> None:
        if asked and alone:
            raise KeyboardInterrupt
        asked.append(received)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in numbers}
    speaks = ranks is None or ranks.first
    tell: Callable[[Event], None] = _Words() if speaks else _listen
    try:
        for event in stream:
            tell(event)
            stop = bool(asked) if ranks is None else ranks.any(bool(asked))
            if stop and not isinstance(event, Finished):
                stream.close()
                if speaks:
                    print(f"stopped: {kept}", file=sys.stderr)
                return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _listen(_event: Event) -> None:
    """Say nothing: another process does."""


def _score(scores: Mapping[str, float]) -> str:
    """Say how well a network does: of classes their Dice, of values their mean absolute error."""
    return f"Dice {scores['dice']:.4f}" if "dice" in scores else f"MAE {scores['mae']:.4g}"


def _left(left_s: float | None) -> str:
    """Say how long it will take, where that is known."""
    return "" if left_s is None else f", {duration(left_s)} left"


class _Words:
    """Says on stderr what happens; steps, tiles and shares at most every few seconds."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._course = Course()

    def __call__(self, event: Event) -> None:
        self._course.take(event)
        match event:
            case Noted(text=text) if text.endswith("%"):  # how far something has come
                self._now_and_then(text)
            case Noted(text=text):
                self._say(text)
            case Validated(epoch=epoch, loss=loss, scores=scores, best=best):
                mark = " (best)" if best else ""
                self._say(f"epoch {epoch + 1}: loss {loss:.4f}, {_score(scores)}{mark}")
            case Stepped(step=step, loss=loss, left_s=left_s):
                self._now_and_then(f"step {step}: loss {loss:.4f}{_left(left_s)}")
            case TileDone(done=done, total=total, left_s=left_s):
                self._now_and_then(f"tile {done} of {total}{_left(left_s)}")
            case Compared(architecture=name, done=done, total=total):
                self._say(f"{name}: {done} of {total} networks compared")
                self._course.clear()
            case Finished() if len(self._course.validations) > 1:
                self._say(diagnose(self._course).text)

    def _now_and_then(self, words: str) -> None:
        if time.monotonic() - self._last_s > WORDS_EVERY_S:
            self._say(words)

    def _say(self, words: str) -> None:
        self._last_s = time.monotonic()
        print(words, file=sys.stderr, flush=True)
