"""Plain work in a thread, with its result or its error brought back to the window."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal
from superqt.utils import create_worker

if TYPE_CHECKING:
    from collections.abc import Callable


class Background(QObject):
    """Runs one function at a time in a thread; a newer call makes an older one forgotten.

    The function gets plain values and `stopped`, a callable to ask between two blocks; it
    touches no layer and no widget.
    """

    done = Signal(object)  # what the function returned
    failed = Signal(Exception)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._stop = threading.Event()
        self._turn = 0

    @property
    def busy(self) -> bool:
        """Whether a result is still expected."""
        return self._turn > 0 and not self._stop.is_set()

    def run(self, function: Callable[..., Any], *values: Any) -> None:
        """Call `function(*values, stopped)` in a thread."""
        self.stop()
        self._stop = threading.Event()
        self._turn += 1
        create_worker(
            _guarded,
            function,
            values,
            self._stop.is_set,
            _start_thread=True,
            _connect={"returned": _deliver(self, self._turn)},
        )

    def stop(self) -> None:
        """Forget the call that is running and ask it to end."""
        self._stop.set()

    def receive(self, turn: int, result: Any) -> None:
        """Take a result, unless it comes from a call that was forgotten."""
        if turn != self._turn or self._stop.is_set():
            return
        self._stop.set()
        if isinstance(result, _Raised):
            self.failed.emit(result.error)
        else:
            self.done.emit(result)


class _Raised:
    """An exception on its way to the window; the worker itself would lose some kinds of them."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _guarded(
    function: Callable[..., Any], values: tuple[Any, ...], stopped: Callable[[], bool]
) -> Any:
    try:
        return function(*values, stopped)
    except Exception as error:  # noqa: BLE001 - told to the user by whoever asked for the work
        return _Raised(error)


def _deliver(receiver: Background, turn: int) -> Callable[[Any], None]:
    def deliver(result: Any) -> None:
        if isalive(receiver):  # the dock may have been closed meanwhile
            receiver.receive(turn, result)

    return deliver
