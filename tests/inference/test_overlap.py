"""Reader, network and writer work at the same time, and none runs away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from napari_unet.inference.overlap import Overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_reading_and_writing_go_on_while_the_network_computes() -> None:
    reading, writing, computed = threading.Event(), threading.Event(), threading.Event()

    def read(job: int) -> int:
        if job == 1:
            reading.set()
            assert computed.wait(20)
        return job

    def write(tile: int) -> int:
        if tile == 0:
            writing.set()
            assert computed.wait(20)
        return tile

    written = []
    with Overlap(write) as overlap:
        for job, block in overlap.ahead(range(3), read):
            if job == 0:
                written += overlap.behind(block)
                assert reading.wait(20)
                assert writing.wait(20)
                computed.set()
            else:
                written += overlap.behind(block)
        written += overlap.settle()
    assert written == [0, 1, 2]


def test_one_block_is_read_ahead_and_no_more() -> None:
    asked = []

    def jobs() -> Iterator[int]:
        for job in range(10):
            asked.append(job)
            yield job

    with Overlap(int) as overlap:
        for job, _ in overlap.ahead(jobs(), int):
            assert asked[-1] <= job + 1


def test_what_goes_wrong_in_a_thread_is_told() -> None:
    def fail(_: int) -> None:
        raise OSError("the disk is full")

    with Overlap(int) as overlap, pytest.raises(OSError, match="full"):
        list(overlap.ahead([1], fail))
    with Overlap(fail) as overlap:
        assert not list(overlap.behind(1))
        with pytest.raises(OSError, match="full"):
            list(overlap.settle())
    with pytest.raises(OSError, match="full"), Overlap(fail) as overlap:
        list(overlap.behind(1))
    with pytest.raises(ZeroDivisionError):  # what came first
        write_and_fail(fail)


def test_a_write_that_was_begun_is_finished() -> None:
    written: list[int] = []
    with pytest.raises(ZeroDivisionError):
        write_and_fail(written.append)
    assert written == [7]


def write_and_fail(write: Callable[[int], None]) -> None:
    with Overlap(write) as overlap:
        list(overlap.behind(7))
        raise ZeroDivisionError


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with Overlap(int) as overlap:
        for _, block in overlap.ahead(range(5), int):
            list(overlap.behind(block))
            break
    assert set(threading.enumerate()) == before
