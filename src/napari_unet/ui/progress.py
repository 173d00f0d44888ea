"""How far a job is: bar, phase, time left, and the buttons that stop and hold it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet.metrics.duration import duration
from napari_unet.ui.pace import Pace

STEPS = 1000  # of the bar
STOP = "Stop after the current step and keep what was reached."


class Progress(QWidget):
    """A bar, words and buttons while a job runs.

    The activity dock of napari shows nothing of it: its wheel would paint the whole window thirty
    times a second for as long as the job runs.
    """

    stopped = Signal()  # the user wants the job to stop
    ended = Signal()  # the user does not want to wait for that
    held = Signal(bool)  # the user pauses (True) or goes on (False)

    def __init__(self, pace: Pace | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stopping = False
        self._next: tuple[float, float | None, str] | None = None  # not shown yet
        self._known = False  # how far it is
        self._pace = pace or Pace(self)
        self._pace.due.connect(self._show_next)
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
        self._stopping = self._pace.hurried = False
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
        self.bar.reset()  # one that runs to and fro would paint the window all the time
        self._next, self._known = None, False

    def advance(self, share: float, left_s: float | None, words: str) -> None:
        """Show that `share` (0 to 1) of the job is done."""
        if self._stopping:
            return
        self._next = share, left_s, words
        if self._known:
            self._pace.ask()
        else:
            self._show_next()

    def _show_next(self) -> None:
        if self._next is None or self._stopping:
            return
        (share, left_s, words), self._next, self._known = self._next, None, True
        left = "" if left_s is None else f", {duration(left_s)} left"
        self.words.setText(words + left)
        self.bar.setUpdatesEnabled(False)  # it would paint the whole window at once
        self.bar.setValue(round(share * STEPS))
        self.bar.setUpdatesEnabled(True)

    def close_job(self) -> None:
        """Show no job any more."""
        self.hide()

    def _on_pause(self, held: bool) -> None:
        self.pause_button.setText("Go on" if held else "Pause")
        self._pace.hurried = held  # the window has nothing else to do
        self._pace.ask()
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
