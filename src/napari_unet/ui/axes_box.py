"""A box in which the user says what the axes of an image mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from napari_unet.ui.layers import axes_choices

if TYPE_CHECKING:
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget


class AxesBox(QComboBox):
    """The readings that are possible for a layer, the likeliest first."""

    chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(
            "What the axes of the image mean: Z Y X space, C channels; T and P are looped over."
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.currentIndexChanged.connect(self._on_index)

    @property
    def axes(self) -> str:
        """One letter per axis of the array; empty when there is nothing to choose."""
        return str(self.currentData() or "")

    def fill(self, layer: Layer | None, ndim: int) -> None:
        """Offer what the axes of `layer` can mean to a network of `ndim` dimensions.

        Raises
        ------
        InputError
            When no such network can take the layer; the box is empty then.
        """
        before = self.axes
        self.blockSignals(True)
        self.clear()
        self.blockSignals(False)
        if layer is None:
            return
        choices = axes_choices(layer, ndim)
        self.blockSignals(True)
        for axes, words in choices:
            self.addItem(f"{axes}: {words}", axes)
        self.setCurrentIndex(max(0, self.findData(before)))
        self.blockSignals(False)

    def _on_index(self, _index: int) -> None:
        self.chosen.emit()
