"""The instances of a result, found plane by plane when all classes are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.instances import label_instances
from napari_unet.tiling import AUTO_TILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.inference.canvas import Canvas

MEMORY_BYTES = 2**30  # where no limit is set


def number_objects(canvas: Canvas) -> Iterator[str]:
    """Fill the instances of a canvas from its classes; yield words of progress.

    Numbers begin anew in every plane. The first class is background.
    """
    task = canvas.task
    config, spacing = task.config, task.picture.spacing
    depths = (
        [size / min(spacing[-task.ndim :]) for size in spacing[-task.ndim :]] if spacing else None
    )
    planes = list(np.ndindex(task.grid.region.lead_shape))
    for number, lead in enumerate(planes):
        steps = label_instances(
            Plane(canvas.arrays["classes"], lead),
            Plane(canvas.arrays["instances"], lead),
            config.instances,
            block=[max(1, AUTO_TILE[task.ndim] // t) * t for t in task.grid.tile],
            memory_bytes=int((config.memory_gib or 0) * 2**30) or MEMORY_BYTES,
            values=[c.value for c in task.model.card.classes[1:]],
            spacing=depths,
        )
        said = -1
        for step in steps:
            share = (number + step) / len(planes) if isinstance(step, float) else step
            if isinstance(share, str):
                yield share
            elif int(100 * share) > said:
                said = int(100 * share)
                yield f"finding objects: {said} %"


class Plane:
    """One plane (*S) of an array with leading axes (*lead, *S), read and written in windows.

    Parameters
    ----------
    array : array-like
        Lazy or not.
    lead : tuple of int
        Where the plane lies.
    """

    def __init__(self, array: Any, lead: tuple[int, ...]) -> None:
        self._array, self._lead = array, lead
        self.shape: tuple[int, ...] = tuple(array.shape[len(lead) :])
        self.dtype, self.ndim = array.dtype, len(self.shape)

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[Any]:
        return np.asarray(self._array[(*self._lead, *window)])

    def __setitem__(self, window: tuple[slice, ...], block: NDArray[Any]) -> None:
        self._array[(*self._lead, *window)] = block
