"""Which pixels a cell of a feature map sees along one axis: exact for every phase of the poolings.

Far from the border of an image a network repeats itself after `step` pixels. So the cells of one
step say everything: cell r + q * n sees the pixels first[r] + q * step to last[r] + q * step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What the cells of a feature map see along one axis.

    Parameters
    ----------
    first, last : int array, (n,)
        The outermost pixels that each of the cells of one step sees.
    step : int
        Pixels after which the pattern repeats.
    """

    first: Cells
    last: Cells
    step: int

    @classmethod
    def of_image(cls, step: int) -> Sight:
        """Return the sight of the image itself: every pixel sees itself."""
        return cls(np.arange(step), np.arange(step), step)

    @property
    def stride(self) -> int:
        """How many pixels lie between two neighbouring cells."""
        return self.step // len(self.first)

    @property
    def field(self) -> int:
        """How many pixels the cell that sees furthest sees, from its first to its last."""
        return int((self.last - self.first).max()) + 1

    def convolve(self, kernel: int, stride: int, padding: int) -> Sight:
        """See through a convolution or a pooling."""
        starts = np.arange(len(self.first) // stride) * stride - padding
        return self._gather(starts, starts + kernel - 1)

    def transpose(self, kernel: int, stride: int, padding: int) -> Sight:
        """See through a transposed convolution: cell i reaches i * stride - padding + tap."""
        cells = np.arange(len(self.first) * stride) + padding
        return self._gather(-((kernel - 1 - cells) // stride), cells // stride)

    def repeat(self, times: int) -> Sight:
        """See through upsampling that repeats every cell."""
        cells = np.arange(len(self.first) * times) // times
        return self._gather(cells, cells)

    def interpolate(self, times: int) -> Sight:
        """See through linear upsampling: the two cells whose centres are nearest."""
        if times == 1:
            return self
        cells = (2 * np.arange(len(self.first) * times) + 1 - times) // (2 * times)
        return self._gather(cells, cells + 1)

    def shift(self, cells: int) -> Sight:
        """Begin `cells` later, as after a crop."""
        at = np.arange(len(self.first)) + cells
        return self._gather(at, at)

    def join(self, other: Sight) -> Sight:
        """See what either sees, as after a concatenation or a sum."""
        return Sight(
            np.minimum(self.first, other.first), np.maximum(self.last, other.last), self.step
        )

    def _gather(self, starts: Cells, stops: Cells) -> Sight:
        """Return cells of which each sees what the cells `starts` to `stops` see."""
        n = len(self.first)
        return Sight(
            self.first[starts % n] + starts // n * self.step,
            self.last[stops % n] + stops // n * self.step,
            self.step,
        )
