"""How a training goes: its curves, and one sentence with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.ui.diagnosis_line import DiagnosisLine

if TYPE_CHECKING:
    from napari_unet.ui.curves import Curves
    from napari_unet.ui.pace import Pace
    from napari_unet.ui.training_run import TrainingRun


class Going(QWidget):
    """Shows the course of a training; hidden until the first one starts."""

    wanted = Signal(object)  # a Remedy
    refused = Signal(Exception)  # the curves could not be exported

    def __init__(self, training: TrainingRun, pace: Pace) -> None:
        super().__init__()
        self._training, self._pace = training, pace
        self.curves: Curves | None = None
        self.diagnosis = DiagnosisLine()
        self.diagnosis.wanted.connect(self.wanted)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.diagnosis)
        self.hide()

    def get_ready(self) -> None:
        """Make the curves for the first training: their library takes its time."""
        from napari_unet.ui.curves import Curves

        if self.curves is None:
            self.curves = Curves(self._training.course, self._pace)
            self.curves.refused.connect(self.refused)
            self._column.insertWidget(0, self.curves)
        self.refresh()

    def open(self) -> None:
        """Show how it goes from now on."""
        self.get_ready()
        self.say()
        self.show()

    def refresh(self) -> None:
        """Draw what is new, with the next picture of the window."""
        if self.curves is not None:
            self.curves.refresh()

    def say(self) -> None:
        """Say how it goes by now."""
        self.diagnosis.show_diagnosis(self._training.diagnosis)
