"""Which labels, or which image as target, belong to which image: one row for each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_unet.ui.channels import ChannelBoxes, copy_choices
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.rows import stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer


class Pairs(QWidget):
    """One or several rows of image and labels; in regression, of image and target."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[PairRow] = []
        self._regression = False
        self.add_button = QPushButton("Add another pair")
        self.add_button.setToolTip("Train on several images at once.")
        self.add_button.clicked.connect(self.add_row)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.add_button)
        self.add_row()

    @property
    def keys(self) -> list[tuple[object, object]]:
        """The `unique_id` of image and labels (or target) of each row that is complete."""
        return [(row.image.key, row.truth.key) for row in self._complete]

    @property
    def channels(self) -> list[tuple[object, ...]]:
        """The `unique_id` of every channel of the image, for the same rows as `keys`."""
        return [row.image.keys for row in self._complete]

    @property
    def why_not(self) -> str:
        """Why the layers of a row cannot be the channels of its image, or nothing."""
        return next((row.image.why_not for row in self.rows if row.image.why_not), "")

    @property
    def _complete(self) -> list[PairRow]:
        return [
            row
            for row in self.rows
            if row.image.key and row.truth.key and row.truth.key not in row.image.keys
        ]

    def aim(self, kind: str) -> None:
        """Ask for labels, or for an image as target when `kind` is "regression"."""
        self._regression = kind == "regression"
        for row in self.rows:
            row.aim(regression=self._regression)

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer `layers` in every row; labels of the shape of the image are preferred."""
        for row in self.rows:
            row.blockSignals(True)  # told once, for all
            row.fill(layers)
            row.blockSignals(False)
        self.changed.emit()

    def add_row(self) -> None:
        """Add a row."""
        row = PairRow()
        row.aim(regression=self._regression)
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
    """An image, and its labels or its target."""

    changed = Signal()
    removed = Signal(object)  # this row

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = ChannelBoxes("The image to learn from.")
        self.labels = LayerBox(Labels, "What was drawn on that image.")
        self.target = LayerBox(Image, "The image whose values are to be predicted from it.")
        self.remove_button = QToolButton()
        self.remove_button.setText("✕")
        self.remove_button.setToolTip("Take this pair out.")
        self.remove_button.clicked.connect(self._on_remove)
        self._labels_row = stack(("labels", self.labels))
        self._target_row = stack(("target", self.target))
        boxes = stack(("image", self.image), ("", self._labels_row), ("", self._target_row))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(boxes, stretch=1)
        layout.addWidget(self.remove_button)
        for box in (self.image, self.labels, self.target):
            box.chosen.connect(self.changed)
        self.aim(regression=False)

    @property
    def truth(self) -> LayerBox:
        """The box of the labels, or of the target."""
        return self.target if self._regression else self.labels

    def aim(self, *, regression: bool) -> None:
        """Ask for a target, or for labels."""
        self._regression = regression
        self._labels_row.setVisible(not regression)
        self._target_row.setVisible(regression)

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer `layers`, the labels or the other image that fit the image first."""
        labelled = {tuple(layer.data.shape) for layer in layers if isinstance(layer, Labels)}
        fitting = (x for x in layers if isinstance(x, Image) and _shape(x) in labelled)
        self.image.fill(layers, next((x.unique_id for x in fitting), None))
        image = next((x for x in layers if x.unique_id == self.image.key), None)
        same = [x for x in layers if image and x is not image and _shape(x) == _shape(image)]
        for box, kind in ((self.labels, Labels), (self.target, Image)):
            box.fill(layers, next((x.unique_id for x in same if isinstance(x, kind)), None))

    def copy_choices(self, row: PairRow) -> None:
        """Offer what another row offers."""
        self.image.copy_choices(row.image)
        copy_choices(row.labels, self.labels)
        copy_choices(row.target, self.target)

    def _on_remove(self) -> None:
        self.removed.emit(self)


def _shape(layer: Layer) -> tuple[int, ...]:
    """Shape without the colour axis; of points and the like, none."""
    if not isinstance(layer, Image | Labels):
        return ()
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape)[: layer.ndim]
