"""What was painted while a training waits: on the labels, or over errors of the live view."""

from __future__ import annotations

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


def take_over(
    labels: Labels,
    painted: NDArray[np.integer],
    shown: NDArray[np.integer],
    start: Sequence[int],
    config: LabelConfig,
) -> int:
    """Write what was painted over a prediction into the labels; it can be undone there.

    Of instances, every connected region that was painted becomes an object of its own.

    Parameters
    ----------
    labels : Labels
        The layer that the training learns from.
    painted, shown : integer arrays of one shape
        The prediction as it is now, and as it was shown.
    start : sequence of int
        The pixel of the labels at which both begin.
    config : LabelConfig
        What the labels mean.

    Returns
    -------
    int
        How many pixels were painted.
    """
    changed = painted != shown
    where = np.nonzero(changed)
    if not len(where[0]):
        return 0
    if config.kind == "instances":
        objects = number_regions(np.where(changed, painted, 0))
        first = max(int(np.max(labels.data)), background_value(config))
        painted = np.where(objects > 0, objects + first, background_value(config))
    at = tuple(index + first for index, first in zip(where, start, strict=True))
    labels.data_setitem(at, painted[where].astype(labels.data.dtype))
    return len(where[0])
