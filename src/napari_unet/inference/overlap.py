"""Reading, computing and writing at the same time: one block ahead, one tile behind."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

Job = TypeVar("Job")
Block = TypeVar("Block")
Tile = TypeVar("Tile")
Written = TypeVar("Written")


class Overlap(Generic[Tile, Written]):
    """One thread that reads ahead and one that writes behind; both end with the `with` block.

    What goes wrong in them is raised where their work is asked for. A write that was begun is
    finished in any case.

    Parameters
    ----------
    write : callable
        What the writer does with a tile.
    """

    def __init__(self, write: Callable[[Tile], Written]) -> None:
        self._reader = ThreadPoolExecutor(1, "reader")
        self._writer = ThreadPoolExecutor(1, "writer")
        self._write = write
        self._writing: Future[Written] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.shutdown(cancel_futures=True)
        self._writer.shutdown()
        if self._writing is not None and kind in (None, GeneratorExit):
            self._writing.result()

    def ahead(
        self, jobs: Iterable[Job], read: Callable[[Job], Block]
    ) -> Generator[tuple[Job, Block], None, None]:
        """Yield each job with what was read for it, while the next one is being read."""
        pending: deque[tuple[Job, Future[Block]]] = deque()
        try:
            for job in jobs:
                pending.append((job, self._reader.submit(read, job)))
                if len(pending) > 1:
                    yield _result(*pending.popleft())
            while pending:
                yield _result(*pending.popleft())
        finally:
            for _, reading in pending:
                reading.cancel()
            wait([reading for _, reading in pending])

    def behind(self, tile: Tile) -> Iterator[Written]:
        """Begin to write a tile once the one before is written; yield what came of that one."""
        written = list(self.settle())
        self._writing = self._writer.submit(self._write, tile)
        yield from written

    def settle(self) -> Iterator[Written]:
        """Wait for the write that is going on, if there is one; yield what came of it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            yield writing.result()


def _result(job: Job, reading: Future[Block]) -> tuple[Job, Block]:
    return job, reading.result()
