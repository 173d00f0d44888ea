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

    from napari_unet.models.cells import Rule

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

    def through(self, rule: Rule) -> Sight:
        """See through a layer, or a crop."""
        cells = np.arange(rule.times_as_many(len(self.first)))
        starts, stops = rule.need(cells, cells + 1)
        n, last = len(self.first), stops - 1
        return Sight(
            self.first[starts % n] + starts // n * self.step,
            self.last[last % n] + last // n * self.step,
            self.step,
        )

    def join(self, other: Sight) -> Sight:
        """See what either sees, as after a concatenation or a sum."""
        return Sight(
            np.minimum(self.first, other.first), np.maximum(self.last, other.last), self.step
        )
