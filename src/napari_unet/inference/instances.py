"""Objects from a map of classes of any size: connected regions, parted where they are narrow."""

from __future__ import annotations

from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_unet.inference.components import (
    BYTES_PER_REGION,
    Blocks,
    label_components,
    make_table,
    rank,
    relabel,
)
from napari_unet.inference.parting import BYTES_PER_PIXEL, boxes_around, part_object, part_regions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.config.prediction import InstanceConfig

T = TypeVar("T")


def label_instances(
    classes: Any,
    out: Any,
    config: InstanceConfig,
    *,
    block: Sequence[int],
    memory_bytes: int,
    values: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
) -> Generator[float | str, None, None]:
    """Give every object of one plane its number.

    An object is a region of one class that is connected by faces and, with `config.split`, a
    part of it (see `part_object`). Numbers run from 1 without gaps in the order of the first
    pixels, after objects of fewer than `config.smallest_px` pixels were left out; they begin
    anew in each plane. They do not depend on `block`.

    Parameters
    ----------
    classes : array-like, (*S)
        Integers, lazy or not; never read whole.
    out : array-like, (*S)
        uint32; whatever it holds is overwritten, and it holds no result before the end. If
        this is stopped, it begins from the start.
    config : InstanceConfig
        How objects are told apart.
    block : sequence of int
        Edges of the blocks that are read and written, multiples of the chunks of both arrays.
        Some 40 bytes for each of their pixels are held.
    memory_bytes : int
        For what is known of the objects, and for one that is parted. Objects whose box is too
        large for it stay whole, and are told.
    values : sequence of int, optional
        The classes that are objects; all but 0 if None. No object spans two classes.
    spacing : sequence of float, optional
        Size of a pixel along each axis, for the depth of objects.

    Yields
    ------
    float or str
        The share that is done, after every block; in words, what the user should know.

    Raises
    ------
    InputError
        U161 when there are too many regions for the memory, U150 for more than 2**32 - 1.
    """
    blocks = Blocks(tuple(out.shape), tuple(block))
    found = label_components(
        classes, out, blocks, memory_bytes, values=values, smallest=config.smallest_px
    )
    if not config.split:
        yield from found
        return
    regions = yield from _within(found, 0, 0.5)
    boxes = boxes_around(regions, blocks.shape)
    left_bytes = memory_bytes - len(regions) * BYTES_PER_REGION
    huge = np.prod(boxes[:, 1] - boxes[:, 0], axis=1) * BYTES_PER_PIXEL > left_bytes
    if huge.any():
        yield _tell(boxes[huge], memory_bytes)
    part = partial(part_object, neck_px=config.neck_px, spacing=spacing)
    parting = part_regions(out, regions, np.flatnonzero(~huge), blocks, part)
    parted = yield from _within(parting, 0.5, 0.75)
    if len(parted) > len(regions):
        table = make_table(rank(parted, config.smallest_px), len(parted))
        yield from _within(relabel(out, blocks, repeat(table)), 0.75, 1)


def _within(
    part: Generator[float, None, T], first: float, last: float
) -> Generator[float, None, T]:
    """Pass on the progress of a part of the work as that of the whole."""
    while True:
        try:
            done = next(part)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        yield first + done * (last - first)


def _tell(boxes: NDArray[np.int64], memory_bytes: int) -> str:
    """Say how many objects stay whole, and where the first of them is."""
    start, stop = boxes[0].tolist()
    where = ", ".join(f"{a}:{b}" for a, b in zip(start, stop, strict=True))
    many = "1 object is" if len(boxes) == 1 else f"{len(boxes):,} objects are"
    return (
        f"{many} too large to be parted in {memory_bytes / 2**20:,.0f} MiB and left whole, "
        f"the first at [{where}]: raise memory_gib"
    )
