"""Arrays in zarr whose chunks fit the tiles that are written: a tile fills whole chunks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.codecs import BloscCodec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import zarr
    from numpy.typing import DTypeLike

CHUNK: Mapping[int, int] = {1: 65536, 2: 512, 3: 64}  # pixels per edge of a chunk, by dimension
PACKING = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")  # small and fast to read back
SHARDED_BYTES = 2**32  # arrays above this have several chunks in a file


def create_array(
    group: zarr.Group,
    name: str,
    shape: Sequence[int],
    dtype: DTypeLike,
    *,
    cell: Sequence[int] | None,
    ndim: int,
    **more: Any,
) -> zarr.Array[Any]:
    """Make an array whose last `ndim` axes are space; the others are cut into single planes.

    Parameters
    ----------
    group : zarr.Group
    name : str
        Path inside the group.
    shape : sequence of int
    dtype : dtype
    cell : sequence of int or None
        Edges of the tile grid along the last `ndim` axes: chunks divide them. An array of more
        than 4 GiB has all chunks of a cell in one file, which is then written as a whole.
    ndim : int
    **more
        As `zarr.Group.create_array`: fill value, attributes, names of the dimensions.
    """
    chunks, shards = chunk_shape(shape[-ndim:], cell)
    planes = (1,) * (len(shape) - ndim)
    large = math.prod(shape) * np.dtype(dtype).itemsize > SHARDED_BYTES
    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=np.dtype(dtype),
        chunks=(*planes, *chunks),
        shards=(*planes, *shards) if large and cell is not None else None,
        compressors=PACKING,
        **more,
    )


def chunk_shape(
    shape: Sequence[int], cell: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the edges of chunks, and of shards, for an array of the spatial shape (*S).

    Chunks are 512^2 or 64^3 pixels, or what comes nearest to it and divides the cell. Along an
    axis that a single cell covers, nothing needs to be divided.
    """
    edge = CHUNK[len(shape)]
    chunks, shards = [], []
    for n, size in zip(shape, cell or shape, strict=True):
        chunk = min(edge, n) if size >= n else _nearest_divisor(size, edge)
        chunks.append(chunk)
        shards.append(-(-n // chunk) * chunk if size >= n else size)
    return tuple(chunks), tuple(shards)


def _nearest_divisor(number: int, wanted: int) -> int:
    divisors = (d for d in range(1, number + 1) if number % d == 0)
    return min(divisors, key=lambda divisor: abs(math.log(divisor / wanted)))
