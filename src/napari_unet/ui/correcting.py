"""What was painted while a training waits: on the labels, or over errors of the live view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QObject

from napari_unet.targets.grammar import background_value
from napari_unet.targets.numbering import number_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unet.config import LabelConfig

PAINTED = ("labels_update", "paint", "set_data")  # what a Labels layer says when it changes


class Painted(QObject):
    """Notices that one of some Labels layers was painted on."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.changed = False
        self._emitters: list[object] = []

    def watch(self, layers: Sequence[Labels]) -> None:
        """Watch these layers, and no others, from now on."""
        self.stop()
        self.changed = False
        for layer in layers:
            for name in PAINTED:
                emitter = getattr(layer.events, name, None)
                if emitter is not None:
                    emitter.connect(self._on_painted)
                    self._emitters.append(emitter)

    def stop(self) -> None:
        """Watch nothing any more."""
        for emitter in self._emitters:
            emitter.disconnect(self._on_painted)  # type: ignore[attr-defined] # of napari
        self._emitters = []

    def _on_painted(self, _event: object = None) -> None:
        if isalive(self):
            self.changed = True


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a prediction lie in its image, along each axis.

    Pixel k covers the image from `start + k * stride` to `start + (k + 1) * stride`, in pixels of
    the image.
    """

    start: tuple[float, ...]
    stride: tuple[float, ...]


def take_over(
    labels: Labels,
    painted: NDArray[np.integer],
    shown: NDArray[np.integer],
    grid: Grid,
    config: LabelConfig,
) -> int:
    """Write what was painted over a prediction into the labels; it can be undone there.

    A pixel of the labels takes what was painted where its centre lies. Of instances, every
    connected region that was painted becomes an object of its own.

    Parameters
    ----------
    labels : Labels
        The layer that the training learns from.
    painted, shown : integer arrays of one shape
        The prediction as it is now, and as it was shown.
    grid : Grid
        Where it lies in the labels; its pixels may have another size than theirs.
    config : LabelConfig
        What the labels mean.

    Returns
    -------
    int
        How many pixels of the labels were painted.
    """
    changed = painted != shown
    if not changed.any():
        return 0
    corner, painted, changed = _on_image(painted, changed, grid, labels.data.shape)
    if config.kind == "instances":
        objects = number_regions(np.where(changed, painted, 0))
        first = max(int(np.max(labels.data)), background_value(config))
        painted = np.where(objects > 0, objects + first, background_value(config))
    where = np.nonzero(changed)
    at = tuple(index + first for index, first in zip(where, corner, strict=True))
    labels.data_setitem(at, painted[where].astype(labels.data.dtype))
    return len(where[0])


def _on_image(
    painted: NDArray[np.integer], changed: NDArray[np.bool_], grid: Grid, shape: Sequence[int]
) -> tuple[list[int], NDArray[np.integer], NDArray[np.bool_]]:
    """Return the pixel of the image at which the prediction begins, and both in its pixels."""
    boxes, nearest = [], []
    for start, stride, m, n in zip(grid.start, grid.stride, painted.shape, shape, strict=True):
        middles = np.floor(start + (np.arange(m) + 0.5) * stride).astype(int)
        first = min(middles[0], math.ceil(start - 0.5))
        last = max(middles[-1] + 1, math.ceil(start + m * stride - 0.5))
        pixels = np.arange(max(first, 0), min(last, n))
        boxes.append((pixels[0], middles))
        nearest.append(np.clip((pixels + 0.5 - start) // stride, 0, m - 1).astype(int))
    values, marks = painted[np.ix_(*nearest)], changed[np.ix_(*nearest)]
    where = np.nonzero(changed)  # of finer pixels than those of the image none is lost
    at = tuple(
        np.minimum(middles[k] - first, size - 1)
        for (first, middles), k, size in zip(boxes, where, values.shape, strict=True)
    )
    values[at], marks[at] = painted[where], True
    return [int(first) for first, _ in boxes], values, marks
