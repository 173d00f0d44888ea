"""One engine process: lines in, lines out, and why it ended, in words."""

from __future__ import annotations

import signal
import sys
import time

from qtpy.QtCore import QObject, QProcess, Signal

from napari_unet.engine.jobs import Order, to_line
from napari_unet.events import from_line

KEPT_BYTES = 2**16  # of what the process says besides events
STOP_MS = 1500  # how long a process may take to end by itself


class Child(QObject):
    """A process that speaks events; it ends itself when its input is closed.

    Attributes
    ----------
    job : str
        The job it works on; empty when it is free.
    user : int
        Whose job it is.
    heard_s : float
        When it last said anything, on the clock of `time.monotonic`.
    """

    said = Signal(object, str, object)  # this child, job, Event
    ended = Signal(object, str)  # this child, why in words

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.job, self.user = "", 0
        self.heard_s = time.monotonic()
        self._kept = b""
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._on_output)
        self._process.readyReadStandardError.connect(self._on_words)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)
        self._process.start(sys.executable, ["-m", "napari_unet", "engine"])

    @property
    def pid(self) -> int:
        """The number of the process; 0 when it does not run."""
        return int(self._process.processId())

    def order(self, order: Order) -> None:
        """Send an order; it is read when the process is ready for it."""
        self.heard_s = time.monotonic()
        self._process.write(to_line(order).encode())

    def close_input(self) -> None:
        """Ask the process to end itself."""
        self._process.closeWriteChannel()

    def end(self) -> None:
        """End the process and wait until it is gone; a job may save what it has reached."""
        self._process.blockSignals(True)
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self.close_input()
            if not (self.job and self._process.waitForFinished(STOP_MS)):
                self._process.kill()
                self._process.waitForFinished(STOP_MS)
        self.deleteLater()

    def dismiss(self) -> None:
        """End a process without a job; the window does not wait until it is gone."""
        self._process.kill()

    def _on_output(self) -> None:
        self.heard_s = time.monotonic()
        while self._process.canReadLine():
            line = bytes(self._process.readLine().data())
            try:
                job, event = from_line(line)
            except ValueError:
                self._keep(line)  # a library that prints
                continue
            self.said.emit(self, job, event)

    def _on_words(self) -> None:
        self._keep(bytes(self._process.readAllStandardError().data()))

    def _keep(self, words: bytes) -> None:
        self._kept = (self._kept + words)[-KEPT_BYTES:]

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._on_output()
        self._on_words()
        crashed = status == QProcess.ExitStatus.CrashExit
        self.ended.emit(self, last_words(code, self._kept.decode(errors="replace"), crashed))

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.ended.emit(self, f"the engine could not be started with {sys.executable}")


def last_words(code: int, said: str = "", crashed: bool = False) -> str:
    """Say why a process ended.

    Parameters
    ----------
    code : int
        Exit code, or the number of the signal when `crashed`.
    said : str
        What it wrote to its error output; the last line is quoted.
    crashed : bool
        Whether a signal or the system ended it.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    quoted = f" ({lines[-1][:300]})" if lines else ""
    if not crashed:
        return f"the engine ended by itself with code {code}{quoted}"
    if code == signal.SIGTERM:
        return "the engine was ended by the system or by another program"
    if sys.platform != "win32" and code == signal.SIGKILL:
        return "the engine was killed: probably out of memory, or ended by the system"
    return f"the engine crashed (signal {code}){quoted}"
