"""What a prediction will cost, told before the click."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.tiling import Geometry, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Cost:
    """How much work a plan of tiles is.

    Parameters
    ----------
    tiles : int
        How many there are, over all positions of a stack.
    block : tuple of int
        What the largest tile writes, in pixels per axis.
    context : tuple of int
        How far it reads beyond that at most, in pixels per axis.
    redundant : float
        Share of all pixels read that are read only as context.
    """

    tiles: int
    block: tuple[int, ...]
    context: tuple[int, ...]
    redundant: float

    def __str__(self) -> str:
        if self.tiles == 1:
            return f"1 tile of {_times(self.block)} pixels"
        block, context = _times(self.block), _times(self.context)
        return (
            f"{self.tiles:,} tiles of {block} pixels, each read with up to {context} more on every "
            f"side ({self.redundant:.0%} of the reading is overlap)"
        )


def count_cost(shape: Sequence[int], size: int, geometry: Geometry, positions: int = 1) -> Cost:
    """Count the tiles of an image without listing them: a plan is a product of its axes.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape (*S).
    size : int
        Edge of the tiles in pixels.
    geometry : Geometry
        Of the model.
    positions : int
        How many such images a stack has.
    """
    plans = [
        plan_tiles((n,), size, Geometry(*((values[axis],) for values in _fields(geometry))))
        for axis, n in enumerate(shape)
    ]
    read = math.prod(sum(t.read[0].stop - t.read[0].start for t in plan) for plan in plans)
    block = tuple(max(t.write[0].stop - t.write[0].start for t in plan) for plan in plans)
    return Cost(
        tiles=positions * math.prod(len(plan) for plan in plans),
        block=block,
        context=geometry.context,
        redundant=1 - math.prod(shape) / read,
    )


def _fields(geometry: Geometry) -> tuple[tuple[int, ...], ...]:
    return geometry.step, geometry.margin, geometry.lost, geometry.smallest


def _times(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "x".join(map(str, numbers))
