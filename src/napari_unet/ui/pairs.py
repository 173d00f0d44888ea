"""Which labels belong to which image: one row for each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_unet.ui.choice import LayerBox
from napari_unet.ui.rows import stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer


class Pairs(QWidget):
    """One or several rows of image and labels."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[PairRow] = []
        self.add_button = QPushButton("Add another pair")
        self.add_button.setToolTip("Train on several images at once.")
        self.add_button.clicked.connect(self.add_row)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.add_button)
        self.add_row()

    @property
    def keys(self) -> list[tuple[object, object]]:
        """The `unique_id` of image and labels of each row that is complete."""
        pairs = [(row.image.key, row.labels.key) for row in self.rows]
        return [(image, labels) for image, labels in pairs if image and labels]

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer `layers` in every row; labels of the shape of the image are preferred."""
        for row in self.rows:
            row.fill(layers)
        self.changed.emit()

    def add_row(self) -> None:
        """Add a row."""
        row = PairRow()
        row.changed.connect(self.changed)
        row.removed.connect(self.remove_row)
        self.rows.append(row)
        self._column.insertWidget(self._column.count() - 1, row)
        if len(self.rows) > 1:
            row.copy_choices(self.rows[0])
        self._show_buttons()
        self.changed.emit()

    def remove_row(self, row: PairRow) -> None:
        """Remove a row; one always remains."""
        if len(self.rows) > 1:
            self.rows.remove(row)
            self._column.removeWidget(row)
            row.deleteLater()
            self._show_buttons()
            self.changed.emit()

    def _show_buttons(self) -> None:
        for row in self.rows:
            row.remove_button.setVisible(len(self.rows) > 1)


class PairRow(QWidget):
    """An image and its labels."""

    changed = Signal()
    removed = Signal(object)  # this row

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = LayerBox(Image, "The image to learn from.")
        self.labels = LayerBox(Labels, "What was drawn on that image.")
        self.remove_button = QToolButton()
        self.remove_button.setText("✕")
        self.remove_button.setToolTip("Take this pair out.")
        self.remove_button.clicked.connect(self._on_remove)
        boxes = stack(("image", self.image), ("labels", self.labels))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(boxes, stretch=1)
        layout.addWidget(self.remove_button)
        self.image.chosen.connect(self.changed)
        self.labels.chosen.connect(self.changed)

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer `layers`, the labels that fit the image first."""
        labelled = {tuple(layer.data.shape) for layer in layers if isinstance(layer, Labels)}
        fitting = (x for x in layers if isinstance(x, Image) and _shape(x) in labelled)
        self.image.fill(layers, next((x.unique_id for x in fitting), None))
        image = next((x for x in layers if x.unique_id == self.image.key), None)
        same = (x for x in layers if isinstance(x, Labels) and image and _shape(x) == _shape(image))
        self.labels.fill(layers, next((x.unique_id for x in same), None))

    def copy_choices(self, row: PairRow) -> None:
        """Offer what another row offers."""
        for own, other in ((self.image, row.image), (self.labels, row.labels)):
            for at in range(other.count()):
                own.addItem(other.itemText(at), other.itemData(at))

    def _on_remove(self) -> None:
        self.removed.emit(self)


def _shape(layer: Layer) -> tuple[int, ...]:
    """Shape without the colour axis."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape)[: layer.ndim]
