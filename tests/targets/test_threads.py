"""Shared out or not, the results are those of a loop."""

from __future__ import annotations

import threading

import pytest

from napari_unet.targets.threads import MOST_THREADS, map_in_threads


@pytest.mark.parametrize("most", [None, 1, 3])
@pytest.mark.parametrize("n", [0, 1, 50])
def test_results_come_in_the_order_of_the_items(n: int, most: int | None) -> None:
    assert map_in_threads(lambda k: k * k, range(n), most) == [k * k for k in range(n)]


def test_there_are_no_more_threads_than_are_allowed() -> None:
    for most, expected in ((1, 1), (2, 2), (99, MOST_THREADS)):
        seen = set(map_in_threads(lambda _: threading.get_ident(), range(99), most))
        assert len(seen) <= expected
    assert set(map_in_threads(lambda _: threading.get_ident(), range(9), 1)) == {
        threading.get_ident()
    }


def test_an_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda k: 1 // k, [2, 1, 0, 3])
