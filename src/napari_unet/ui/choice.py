"""Boxes to choose a layer or a model from; they are filled by the dock and know no viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.config import ModelFileError
from napari_unet.library.folders import list_models, read_card
from napari_unet.library.lineage import lineage
from napari_unet.ui.rows import may_shrink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari.layers import Layer

    from napari_unet.library.card import Card


class LayerBox(QComboBox):
    """A box with the layers of one kind; it keeps its choice when the list changes.

    Parameters
    ----------
    kind : type
        The class of layers to offer.
    """

    chosen = Signal()

    def __init__(self, kind: type[Layer], tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = kind
        self.setToolTip(tooltip)
        may_shrink(self)
        self.currentIndexChanged.connect(self._on_index)

    @property
    def key(self) -> object:
        """The `unique_id` of the layer that is chosen, or None."""
        return self.currentData()

    @key.setter
    def key(self, key: object) -> None:
        self.setCurrentIndex(self._index_of(key))

    def fill(self, layers: Iterable[Layer], preferred: object = None) -> None:
        """Offer `layers`; without an earlier choice, `preferred` or else the last is taken."""
        before = self.key
        offered = [layer for layer in layers if isinstance(layer, self._kind)]
        self.blockSignals(True)
        self.clear()
        for layer in offered:
            self.addItem(layer.name, layer.unique_id)
        at = next((i for i in map(self._index_of, (before, preferred)) if i >= 0), self.count() - 1)
        self.setCurrentIndex(at)
        self.blockSignals(False)
        self.chosen.emit()

    def _index_of(self, key: object) -> int:
        found = (i for i in range(self.count()) if key is not None and self.itemData(i) == key)
        return next(found, -1)

    def _on_index(self, _index: int) -> None:
        self.chosen.emit()


class ModelBox(QWidget):
    """A box with the models of the library, and a button for a folder elsewhere.

    Below it stands where the model comes from, if there is something to tell.

    Parameters
    ----------
    nothing : str
        What to call the choice of no model; empty to offer no such choice.
    """

    chosen = Signal()
    refused = Signal(Exception)  # the folder is no model

    def __init__(self, tooltip: str, nothing: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nothing = nothing
        self._known: dict[str, Card] = {}  # by folder
        self._others: dict[str, Card] = {}
        self.setToolTip(tooltip)
        self.box = QComboBox()
        self.box.setToolTip(tooltip)
        may_shrink(self.box)
        self.box.currentIndexChanged.connect(self._on_index)
        self.box.setPlaceholderText("no model yet")
        self.browse_button = QPushButton("…")
        self.browse_button.setFixedWidth(32)
        self.browse_button.setToolTip("Choose a model folder elsewhere.")
        self.browse_button.clicked.connect(self._on_browse)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.words.hide()
        row = QHBoxLayout()
        row.addWidget(self.box, stretch=1)
        row.addWidget(self.browse_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.words)

    @property
    def folder(self) -> str:
        """The folder of the model that is chosen; empty for none."""
        return str(self.box.currentData() or "")

    @property
    def card(self) -> Card | None:
        """The card of the model that is chosen."""
        return read_card(self.folder) if self.folder else None

    def fill(self, root: Path) -> None:
        """Offer the models below `root`, newest first, and those chosen elsewhere."""
        before = self.folder
        found = {str(folder): card for folder, card in list_models(root)}
        self._known = found | {k: card for k, card in self._others.items() if k not in found}
        self.box.blockSignals(True)
        self.box.clear()
        if self._nothing:
            self.box.addItem(self._nothing, "")
        for folder, card in self._known.items():
            self._add(folder, card)
        self.box.setCurrentIndex(max(0, self.box.findData(before)))
        self.box.blockSignals(False)
        self._on_index(self.box.currentIndex())

    def choose(self, folder: str | Path) -> None:
        """Choose the model in `folder`, which may lie anywhere."""
        try:
            card = read_card(folder)
        except ModelFileError as error:
            self.refused.emit(error)
            return
        self._known[str(folder)] = self._others[str(folder)] = card
        at = self.box.findData(str(folder))
        if at < 0:
            self._add(str(folder), card)
            at = self.box.count() - 1
        self.box.blockSignals(True)
        self.box.setCurrentIndex(at)
        self.box.blockSignals(False)
        self._on_index(at)  # also where it is the one before, which may have learned more

    def _add(self, folder: str, card: Card) -> None:
        self.box.addItem(_words(card), folder)
        words = f"{_words(card)}, in {folder}"
        self.box.setItemData(self.box.count() - 1, words, Qt.ItemDataRole.ToolTipRole)

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a model folder", self.folder)
        if folder:
            self.choose(folder)

    def _on_index(self, _index: int) -> None:
        card = self._known.get(self.folder)
        self.words.setText(lineage(card) if card is not None else "")
        self.words.setVisible(bool(self.words.text()))
        self.chosen.emit()


def _words(card: Card) -> str:
    best = card.training.get("best", {})
    score = f", Dice {best['dice']:.2f}" if "dice" in best else ""
    score = f", error {best['mae']:.3g}" if "mae" in best else score
    return f"{card.name} ({card.model.ndim}-D {card.model.architecture}{score})"
