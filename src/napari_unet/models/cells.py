"""How the cells of a feature map depend on those it is made from, along one axis.

Three rules say it all: a convolution, pooling or crop gathers neighbours; a transposed convolution
or repetition spreads every cell; linear upsampling blends the two nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

Cells = TypeVar("Cells", int, np.ndarray)  # one index, or many


class Rule(Protocol):
    """A dependence along one axis; cells are counted from 0, cells outside are padding."""

    def size(self, n: int) -> int:
        """Return how many cells are made from `n`."""

    def need(self, start: Cells, stop: Cells) -> tuple[Cells, Cells]:
        """Return start and stop of what cells [start, stop) are made from; it may lie outside."""

    def ready(self, have: int, n: int) -> int:
        """Return how many cells can be made when the first `have` of `n` are there."""

    def times_as_many(self, n: int) -> int:
        """Return how many cells correspond to `n` of an endless line."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Cell j is made from `kernel` cells, the first of which is j * stride - before.

    `before` and `after` count the cells of padding at both ends; negative, they are cut off.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0

    def size(self, n: int) -> int:
        """Return how many cells are made from `n`."""
        return (n + self.before + self.after - self.kernel) // self.stride + 1

    def need(self, start: Cells, stop: Cells) -> tuple[Cells, Cells]:
        """Return start and stop of what cells [start, stop) are made from."""
        first = start * self.stride - self.before
        return first, (stop - 1) * self.stride - self.before + self.kernel

    def ready(self, have: int, n: int) -> int:
        """Return how many cells the first `have` of `n` make."""
        if have >= n:
            return self.size(n)
        return max(0, (have + self.before - self.kernel) // self.stride + 1)

    def times_as_many(self, n: int) -> int:
        """Return how many cells correspond to `n` of an endless line."""
        return n // self.stride


@dataclass(frozen=True, slots=True)
class Spread:
    """Cell i is spread over `kernel` cells, the first of which is i * stride."""

    kernel: int
    stride: int

    def size(self, n: int) -> int:
        """Return how many cells are made from `n`."""
        return (n - 1) * self.stride + self.kernel

    def need(self, start: Cells, stop: Cells) -> tuple[Cells, Cells]:
        """Return start and stop of what cells [start, stop) are made from."""
        return -((self.kernel - 1 - start) // self.stride), (stop - 1) // self.stride + 1

    def ready(self, have: int, n: int) -> int:
        """Return how many cells the first `have` of `n` make."""
        return self.size(n) if have >= n else have * self.stride

    def times_as_many(self, n: int) -> int:
        """Return how many cells correspond to `n` of an endless line."""
        return n * self.stride


@dataclass(frozen=True, slots=True)
class Blend:
    """Cell j lies between two cells and is interpolated; at the ends the last one is repeated."""

    times: int

    def size(self, n: int) -> int:
        """Return how many cells are made from `n`."""
        return n * self.times

    def need(self, start: Cells, stop: Cells) -> tuple[Cells, Cells]:
        """Return start and stop of what cells [start, stop) are made from."""
        twice = 2 * self.times
        first = (2 * start + 1 - self.times) // twice
        return first, (2 * stop - 1 - self.times) // twice + 2

    def ready(self, have: int, n: int) -> int:
        """Return how many cells the first `have` of `n` make."""
        if have >= n:
            return n * self.times
        return max(0, (2 * self.times * (have - 1) + self.times) // 2)

    def times_as_many(self, n: int) -> int:
        """Return how many cells correspond to `n` of an endless line."""
        return n * self.times


SAME = Gather()
