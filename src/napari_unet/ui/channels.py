"""A box for an image, or for several whose layers are the channels of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_unet.ui.choice import LayerBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer


class ChannelBoxes(QWidget):
    """One box for an Image layer; `+` adds one for another channel, `-` takes the last away."""

    chosen = Signal()

    def __init__(self, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(tooltip)
        self.boxes: list[LayerBox] = []
        self.more_button, self.less_button = _small_button("+"), _small_button("\N{MINUS SIGN}")
        self.more_button.setToolTip("Take another layer as a further channel of this image.")
        self.less_button.setToolTip("Take the last channel away.")
        self.more_button.clicked.connect(self._on_more)
        self.less_button.clicked.connect(self._on_less)
        self._column = QVBoxLayout()
        row = QHBoxLayout(self)
        for layout in (self._column, row):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(4)
        row.addLayout(self._column, stretch=1)
        row.addWidget(self.less_button)
        row.addWidget(self.more_button)
        self._add_box()

    @property
    def key(self) -> object:
        """The `unique_id` of the first layer that is chosen, or None."""
        return self.boxes[0].key

    @key.setter
    def key(self, key: object) -> None:
        self.boxes[0].key = key

    @property
    def keys(self) -> tuple[object, ...]:
        """The `unique_id` of the layer of each channel box."""
        return tuple(box.key for box in self.boxes)

    @property
    def why_not(self) -> str:
        """Why these layers cannot be the channels of one image, or nothing."""
        keys = self.keys
        if len(keys) > 1 and None in keys:
            return "choose a layer for every channel of the image"
        return "" if len(set(keys)) == len(keys) else "choose another layer for each channel"

    def fill(self, layers: Sequence[Layer], preferred: object = None) -> None:
        """Offer `layers`; without an earlier choice, `preferred` or else the last is taken."""
        for box in self.boxes:
            box.fill(layers, preferred)

    def copy_choices(self, other: ChannelBoxes) -> None:
        """Offer what another box offers."""
        copy_choices(other.boxes[0], self.boxes[0])

    def _add_box(self) -> None:
        box = LayerBox(Image, self.toolTip())
        box.chosen.connect(self.chosen)
        self.boxes.append(box)
        self._column.addWidget(box)
        self.less_button.setVisible(len(self.boxes) > 1)

    def _on_more(self) -> None:
        """Add a box, and choose a layer that is no channel yet."""
        taken = self.keys
        self._add_box()
        box = self.boxes[-1]
        copy_choices(self.boxes[0], box)
        free = (k for k in range(box.count()) if box.itemData(k) not in taken)
        box.setCurrentIndex(next(free, -1))
        self.chosen.emit()

    def _on_less(self) -> None:
        box = self.boxes.pop()
        self._column.removeWidget(box)
        box.deleteLater()
        self.less_button.setVisible(len(self.boxes) > 1)
        self.chosen.emit()


def copy_choices(source: LayerBox, target: LayerBox) -> None:
    """Offer in one box what another offers."""
    for at in range(source.count()):
        target.addItem(source.itemText(at), source.itemData(at))


def _small_button(words: str) -> QToolButton:
    button = QToolButton()
    button.setText(words)
    button.setAutoRaise(True)
    return button
