"""When the window shows what is new: together, and less often where painting takes long."""

from __future__ import annotations

import time

from qtpy.QtCore import QObject, QTimer, Signal

SHORTEST_MS, LONGEST_MS = 250, 10_000  # between two pictures
PAINTED_MS = 150  # by then a picture is on the screen
PROBE_MS = 5
FRAME_MS = 16  # a delay that nobody feels
PATIENCE = 100  # pictures that take longer may delay one in a hundred moments


class Pace(QObject):
    """Calls for one picture of all that is new, at a pace that leaves the window fluid.

    Every change in a dock paints the whole window, which takes tens of milliseconds where there
    is no graphics card. Bar, curves and layers of a dock therefore wait for the same
    moment, and that moment comes the later, the longer the last picture took.
    """

    due = Signal()  # show what is new, now

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._began_s = self._heard_s = self._longest_s = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._interval_ms = SHORTEST_MS
        self.hurried = False  # nothing else goes on: every picture comes soon
        self._timer.timeout.connect(self._on_time)
        self._probe = QTimer(self)
        self._probe.setInterval(PROBE_MS)
        self._probe.timeout.connect(self._on_probed)

    @property
    def interval_ms(self) -> int:
        """Until the next picture, from the moment that somebody asks for it."""
        return self._interval_ms

    def ask(self, *, soon: bool = False) -> None:
        """Ask for a picture; who asks while another waits gets the same one.

        `soon` is for what the user waits for: then it does not matter how long the last one took.
        """
        if (soon or self.hurried) and self._timer.remainingTime() not in range(SHORTEST_MS + 1):
            self._timer.start(SHORTEST_MS)
        elif not self._timer.isActive():
            self._timer.start(self._interval_ms)

    def _on_time(self) -> None:
        self._began_s = self._heard_s = time.perf_counter()
        self._longest_s = 0.0
        self.due.emit()
        self._probe.start()

    def _on_probed(self) -> None:
        """Measure for how long the window did nothing else; painting comes a little later."""
        now_s = time.perf_counter()
        self._longest_s = max(self._longest_s, now_s - self._heard_s)
        self._heard_s = now_s
        if 1000 * (now_s - self._began_s) > PAINTED_MS:
            self._probe.stop()
            self._interval_ms = interval_ms(1000 * self._longest_s)


def interval_ms(spent_ms: float) -> int:
    """Return how long to wait after a picture that took `spent_ms`, in ms."""
    return round(min(max(SHORTEST_MS, PATIENCE * (spent_ms - FRAME_MS)), LONGEST_MS))
