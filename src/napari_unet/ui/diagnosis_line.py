"""The diagnosis of a training: a line of words, and its remedy as a button."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.metrics.diagnosis import Diagnosis

if TYPE_CHECKING:
    from napari_unet.metrics.diagnosis import Remedy


class DiagnosisLine(QWidget):
    """Says how it goes; the button asks for the remedy, which someone else carries out."""

    wanted = Signal(object)  # a Remedy

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton()
        self.button.setToolTip("Do it now.")
        self.button.clicked.connect(self._on_clicked)
        self._remedy: Remedy | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.words)
        column.addWidget(self.button)
        self.show_diagnosis(Diagnosis(""))

    def show_diagnosis(self, diagnosis: Diagnosis) -> None:
        """Say it; the button is there if something can be done by pressing it."""
        self._remedy = diagnosis.remedy
        self.words.setText(diagnosis.text)
        self.button.setVisible(self._remedy is not None)
        if self._remedy is not None:
            self.button.setText(self._remedy.label)
            self.button.setToolTip(_changed(self._remedy.changes) or "Do it now.")

    def _on_clicked(self) -> None:
        if self._remedy is not None:
            self.wanted.emit(self._remedy)


def _changed(changes: object, above: str = "") -> str:
    """Write what changes as dotted settings: optimiser.rate = 0.001."""
    if not isinstance(changes, Mapping):
        return f"{above} = {changes}"
    parts = (_changed(value, f"{above}.{key}" if above else key) for key, value in changes.items())
    return ", ".join(part for part in parts if part)
