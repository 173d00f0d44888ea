"""The next batch, made while the network computes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class Ahead(Generic[T]):
    """Makes what a step needs, one step ahead, in one thread.

    What is made depends on the number of the step alone, so that nothing changes but the time.

    Parameters
    ----------
    make : callable
        Takes the number of a step.
    overlapped : bool
        False: everything is made when it is asked for, and there is no thread.
    """

    def __init__(self, make: Callable[[int], T], *, overlapped: bool) -> None:
        self._make, self._overlapped = make, overlapped
        self._thread: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[T]] = {}

    def take(self, step: int) -> T:
        """Return what `step` needs, and let the thread begin with the next.

        An error in the thread is raised here.
        """
        coming = self._coming.pop(step, None)
        made = self._make(step) if coming is None else coming.result()
        if self._overlapped:
            self._thread = self._thread or ThreadPoolExecutor(1, "patches")
            self._coming = {step + 1: self._thread.submit(self._make, step + 1)}
        return made

    def close(self) -> None:
        """Forget what was made ahead and end the thread; the next `take` begins anew."""
        self._coming = {}
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
