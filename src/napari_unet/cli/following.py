"""Telling on stderr what happens in a stream of events."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from napari_unet.events import Noted, Saved, Stepped, TileDone, Validated

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.events import Event

INTERRUPTED = 130
WORDS_EVERY_S = 5.0


def follow(stream: Generator[Event, None, None]) -> int:
    """Tell what happens on stderr; on Ctrl-C or SIGTERM close the stream, which keeps its work."""
    import signal

    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _frame: asked.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    tell = _Words()
    try:
        for event in stream:
            tell(event)
            if asked:
                stream.close()
                print("stopped: what was done is kept", file=sys.stderr)
                return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


class _Words:
    """Says on stderr what happens, steps and tiles at most every few seconds."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def __call__(self, event: Event) -> None:
        match event:
            case Noted(text=text):
                self._say(text)
            case Validated(epoch=epoch, loss=loss, scores=scores, best=best):
                mark = " (best)" if best else ""
                self._say(f"epoch {epoch + 1}: loss {loss:.4f}, Dice {scores['dice']:.4f}{mark}")
            case Stepped(step=step, loss=loss, left_s=left_s):
                self._now_and_then(f"step {step}: loss {loss:.4f}, {left_s or 0:.0f} s left")
            case TileDone(done=done, total=total, left_s=left_s):
                self._now_and_then(f"tile {done} of {total}, {left_s or 0:.0f} s left")
            case Saved():
                pass

    def _now_and_then(self, words: str) -> None:
        if time.monotonic() - self._last_s > WORDS_EVERY_S:
            self._say(words)

    def _say(self, words: str) -> None:
        self._last_s = time.monotonic()
        print(words, file=sys.stderr, flush=True)
