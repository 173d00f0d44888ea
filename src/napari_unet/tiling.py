"""Tiles as values: which window to read, which to write, for any shape and dimension.

A tile writes a block whose origin is a multiple of the network's step, so every tile meets
the poolings in the same phase. It reads that block and the context around it; what lies
outside the image is mirrored by the reader. At the far edge it hangs over rather than shift
inwards. Beyond a frame around the image, the same for all tiles, no padded network reads. The
reference is one tile as large as the image: any other plan gives the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Window = tuple[slice, ...]

AUTO_TILE: Mapping[int, int] = {1: 65536, 2: 512, 3: 64}  # pixels per edge, by dimension


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a network does to space, one number per axis, in pixels.

    Parameters
    ----------
    step : tuple of int
        Total stride: tile origins are multiples of it.
    margin : tuple of int
        Context that an aligned block needs on every side, rounded up to a multiple of `step`.
    lost : tuple of int
        Border that valid convolutions eat on every side; 0 for padded networks.
    smallest : tuple of int
        The smallest legal input size; the others are `smallest + k * step`. Of a padded network
        it is `step`.
    """

    step: tuple[int, ...]
    margin: tuple[int, ...]
    lost: tuple[int, ...]
    smallest: tuple[int, ...]

    @property
    def context(self) -> tuple[int, ...]:
        """How far a tile reads beyond what it writes: the lost border, or else the margin."""
        return tuple(lost or margin for lost, margin in zip(self.lost, self.margin, strict=True))

    def frame(self, axis: int, size: int) -> int:
        """Return how far tiles read beyond both ends of an image of `size` pixels (and a step).

        That is the lost border of a valid network. For a padded one it is the margin, but at most
        a quarter of the image: a volume of 35 pixels would else disappear in a mirrored margin of
        128. What lies further out is zero to every tile, as it was around the patches of the
        training.
        """
        step = self.step[axis]
        return self.lost[axis] or min(self.margin[axis], -(-size // (4 * step)) * step)

    def legal(self, axis: int, size: int) -> int:
        """Return the smallest legal input size along `axis` that is at least `size`."""
        step, smallest = self.step[axis], self.smallest[axis]
        return smallest + max(0, -(-(size - smallest) // step)) * step

    def input_size(self, axis: int, size: int) -> int:
        """Return the input size whose output covers at least `size` pixels along `axis`."""
        return self.legal(axis, size + 2 * self.lost[axis])


@dataclass(frozen=True, slots=True)
class Tile:
    """`read` indexes the image and may lie outside it; `write` indexes the result."""

    read: Window
    write: Window


def plan_tiles(shape: Sequence[int], size: int | Sequence[int], geometry: Geometry) -> list[Tile]:
    """Cover `shape` with tiles that write blocks of about `size` pixels per axis.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape (*S) of the image.
    size : int or sequence of int
        Edge of the written blocks; rounded down to a multiple of the step, at least one step,
        and never more than the image needs.
    geometry : Geometry
        What the network needs around a block.

    Returns
    -------
    list of Tile
        In reading order; the written windows partition the image.
    """
    sizes = [size] * len(shape) if isinstance(size, int) else size
    axes = []
    for n, s, step in zip(shape, sizes, geometry.step, strict=True):
        block = max(s // step, 1) * step
        axes.append([slice(start, min(start + block, n)) for start in range(0, n, block)])
    return [tile_at(write, shape, geometry) for write in product(*axes)]


def tile_at(write: Window, shape: Sequence[int], geometry: Geometry) -> Tile:
    """Return the tile of an image of `shape` (*S) that writes `write`, wherever that begins.

    It reads what the blocks of one step need in which `write` begins and ends.
    """
    read = []
    for axis, (w, n) in enumerate(zip(write, shape, strict=True)):
        step, context, frame = geometry.step[axis], geometry.context[axis], geometry.frame(axis, n)
        start, stop = w.start // step * step, -(-w.stop // step) * step
        first = max(start - context, -frame)
        length = min(stop + context, -(-n // step) * step + frame) - first
        read.append(slice(first, first + geometry.legal(axis, length)))
    return Tile(tuple(read), write)


def cut(block: NDArray[np.generic], tile: Tile) -> NDArray[np.generic]:
    """Cut what `tile.write` takes from the (K, *S) output of the network for `tile.read`."""
    keep = []
    for r, w, n in zip(tile.read, tile.write, block.shape[1:], strict=True):
        lost = (r.stop - r.start - n) // 2
        offset = w.start - r.start - lost
        keep.append(slice(offset, offset + w.stop - w.start))
    return block[(slice(None), *keep)]
