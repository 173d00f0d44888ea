"""Work on arrays shared out to a few threads: what numpy and compiled code do lets others run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 4  # more wait for the memory


def map_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], most: int | None = None
) -> list[Result]:
    """Call `function` for each of `items`; return what it returned, in their order.

    Parameters
    ----------
    function : callable
        Changes nothing that two calls share. Its first error is raised when all calls have ended.
    items : sequence
        One for each call.
    most : int, optional
        How many threads there may be; never more than 4, nor than the computer has cores.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1, most or MOST_THREADS, len(items))
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
