"""How far a job is: bar, phase, time left, and the buttons that stop and hold it."""

from __future__ import annotations

import time
from functools import partial

from napari.utils import progress
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet.metrics.duration import duration

STEPS = 1000  # of the bar
CALM_S = 0.5  # between two numbers that are shown: the whole window is painted for each
STOP = "Stop after the current step and keep what was reached."


class Activity:
    """A bar in the activity dock of napari; closing it twice does no harm."""

    def __init__(self) -> None:
        self._bar: progress | None = None

    def open(self, words: str) -> None:
        """Show a new bar."""
        self.close()
        self._bar = progress(total=STEPS, desc=words)

    def advance(self, step: int) -> None:
        """Move the bar to `step`."""
        if self._bar is not None and step > self._bar.n:
            self._bar.update(step - self._bar.n)

    def close(self, _widget: object = None) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Progress(QWidget):
    """A bar that also stands in the activity dock of napari while a job runs.

    `open` and `close` are the only places where it appears and goes.
    """

    stopped = Signal()  # the user wants the job to stop
    ended = Signal()  # the user does not want to wait for that
    held = Signal(bool)  # the user pauses (True) or goes on (False)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._activity = Activity()
        # the window may go while a job runs; a bound method alone would not be kept alive
        self.destroyed.connect(partial(self._activity.close))
        self._stopping = False
        self._shown_s = 0.0
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.words = QLabel()
        self.pause_button = QPushButton("Pause")
        self.pause_button.setCheckable(True)
        self.pause_button.setToolTip("Hold the job after the current step; nothing is lost.")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip(STOP)
        self.pause_button.toggled.connect(self._on_pause)
        self.stop_button.clicked.connect(self._on_stop)
        buttons = QHBoxLayout()
        buttons.addWidget(self.words, stretch=1)
        buttons.addWidget(self.pause_button)
        buttons.addWidget(self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar)
        layout.addLayout(buttons)
        self.hide()

    def open(self, phase: str) -> None:
        """Begin to show a job; how far it is, is not known yet."""
        self._activity.open(phase)
        self._stopping = False
        self.pause_button.blockSignals(True)
        self.pause_button.setChecked(False)
        self.pause_button.blockSignals(False)
        self.pause_button.setText("Pause")
        self.pause_button.setEnabled(True)
        self.stop_button.setText("Stop")
        self.stop_button.setToolTip(STOP)
        self.phase(phase)
        self.show()

    def phase(self, words: str) -> None:
        """Say what is being done, without knowing how long it takes."""
        self.words.setText(words)
        self.bar.setRange(0, 0)
        self._shown_s = 0.0

    def advance(self, share: float, left_s: float | None, words: str) -> None:
        """Show that `share` (0 to 1) of the job is done."""
        if self._stopping or time.monotonic() - self._shown_s < CALM_S:
            return
        self._shown_s = time.monotonic()
        self.bar.setRange(0, STEPS)
        self.bar.setValue(round(share * STEPS))
        left = "" if left_s is None else f", {duration(left_s)} left"
        self.words.setText(words + left)
        self._activity.advance(round(share * STEPS))

    def close_job(self) -> None:
        """Show no job any more."""
        self._activity.close()
        self.hide()

    def _on_pause(self, held: bool) -> None:
        self.pause_button.setText("Go on" if held else "Pause")
        self.held.emit(held)

    def _on_stop(self) -> None:
        if self._stopping:
            self.ended.emit()
            return
        self._stopping = True
        self.phase("stopping, keeping what was reached")
        self.pause_button.setEnabled(False)
        self.stop_button.setText("End now")
        self.stop_button.setToolTip("Do not wait: end the process. The last checkpoint is kept.")
        self.stopped.emit()
