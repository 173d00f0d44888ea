"""A list of all networks, to choose several from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_unet.config import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Collection

    from qtpy.QtWidgets import QWidget

NAME = Qt.ItemDataRole.UserRole
HEIGHT_PX = 150


class NetworkList(QListWidget):
    """Every architecture in each of its variants, with a box to tick."""

    chosen = Signal()

    def __init__(self, names: Collection[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMaximumHeight(HEIGHT_PX)
        self.setToolTip("Tick those to compare: each in the form of its paper, or another.")
        for name, architecture in ARCHITECTURES.items():
            for k, variant in enumerate(architecture.variants):
                words = architecture.title
                words += f", {variant}" if len(architecture.variants) > 1 else ""
                self._add(f"{name}:{variant}" if k else name, words, architecture.paper)
        self.names = list(names)
        self.itemChanged.connect(self._on_changed)

    @property
    def names(self) -> list[str]:
        """The networks that are ticked: NAME, or NAME:VARIANT where it is not the first."""
        return [str(item.data(NAME)) for item in self._items() if item.checkState() == _TICKED]

    @names.setter
    def names(self, names: Collection[str]) -> None:
        for item in self._items():
            item.setCheckState(_TICKED if item.data(NAME) in names else Qt.CheckState.Unchecked)

    def _add(self, name: str, words: str, paper: str) -> None:
        item = QListWidgetItem(words, self)
        item.setData(NAME, name)
        item.setToolTip(paper)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(k) for k in range(self.count())]

    def _on_changed(self, _item: QListWidgetItem) -> None:
        self.chosen.emit()


_TICKED = Qt.CheckState.Checked
