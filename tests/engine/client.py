"""The other end of the pipes: an engine process, with deadlines and without sleeps."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from napari_unet.engine.jobs import to_line
from napari_unet.events import Failed, Finished, Stopped, from_line

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.engine.jobs import Order
    from napari_unet.events import Event

PATIENCE_S = 60.0  # far more than anything here takes; a hang fails instead of waiting
ENGINE = ("-m", "napari_unet", "engine")
ENDS = (Finished, Stopped, Failed)


class Client:
    """Starts an engine, sends orders, and reads every line as an event (or fails)."""

    def __init__(self, stderr: Path, words: tuple[str, ...] = ENGINE) -> None:
        self._unread = b""
        self.heard: list[tuple[str, Event]] = []
        with stderr.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, bufsize=0,
            )  # fmt: skip

    def send(self, *orders: Order) -> None:
        """Send orders, one line each."""
        for order in orders:
            self.send_raw(to_line(order).encode())

    def send_raw(self, line: bytes) -> None:
        """Send whatever is given."""
        view = memoryview(line)
        while view:
            view = view[self.process.stdin.write(view) :]

    def hear(self, patience_s: float = PATIENCE_S) -> tuple[str, Event]:
        """Return the next (job, event); a line that is none raises ValueError."""
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._unread:
            left_s = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self.process.stdout], [], [], left_s)
            assert ready, f"nothing was said for {patience_s} s"
            block = os.read(self.process.stdout.fileno(), 2**16)
            if not block:
                raise EOFError("the engine is gone")
            self._unread += block
        line, self._unread = self._unread.split(b"\n", 1)
        self.heard.append(from_line(line))
        return self.heard[-1]

    def wait_for(self, *kinds: type, job: str | None = None) -> Any:
        """Return the next event of these kinds (about `job`)."""
        while True:
            name, event = self.hear()
            if isinstance(event, kinds) and job in (None, name):
                return event

    def run(self, order: Order) -> list[Event]:
        """Send a job and return its events, to the last."""
        self.send(order)
        return self.finish(order.job)

    def finish(self, job: str) -> list[Event]:
        """Return the events of a job until its end."""
        events: list[Event] = []
        while not (events and isinstance(events[-1], ENDS)):
            name, event = self.hear()
            if name == job:
                events.append(event)
        return events

    def read_rest(self) -> list[Event]:
        """Return what is said until the engine is gone."""
        events = []
        while True:
            try:
                events.append(self.hear()[1])
            except EOFError:
                return events

    def end(self) -> int:
        """Hang up and return the exit code; kills an engine that stays."""
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
