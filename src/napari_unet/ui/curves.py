"""Live curves of a training: loss on the left axis, Dice on the right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

REDRAW_MS = 250
SMOOTHING = 0.95  # share of the old value in the running mean of the training loss
HEIGHT_PX = (160, 260)
if TYPE_CHECKING:
    from collections.abc import Mapping

COLOURS: Mapping[str, str] = {
    "training": "#56b4e9",
    "validation": "#e69f00",
    "dice": "#009e73",
}  # for all eyes
WORDS: Mapping[str, str] = {
    "training": "training loss",
    "validation": "validation loss",
    "dice": "validation Dice",
}


class Curves(QWidget):
    """Training loss (smoothed), validation loss and validation Dice over steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._mean = math.nan
        self._plot = pg.PlotWidget(background=None, enableMenu=False)
        self._right = pg.ViewBox(enableMenu=False)
        self._lines = self._make_lines()
        self._compose()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)
        self.clear_points()
        self._paint()

    def add_loss(self, step: int, loss: float) -> None:
        """Add the training loss of a step."""
        old = loss if math.isnan(self._mean) else self._mean
        self._mean = SMOOTHING * old + (1 - SMOOTHING) * loss
        self._add("training", step, self._mean)

    def add_validation(self, step: int, loss: float, dice: float) -> None:
        """Add a validation."""
        self._add("validation", step, loss)
        self._add("dice", step, dice)

    def clear_points(self) -> None:
        """Begin anew."""
        self._mean = math.nan
        self._points = {name: ([], []) for name in COLOURS}
        self._redraw()

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of "training", "validation" or "dice"."""
        return self._points[name]

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of napari."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.StyleChange}:
            self._paint()

    def _add(self, name: str, step: int, value: float) -> None:
        if math.isfinite(value):
            steps, values = self._points[name]
            steps.append(step)
            values.append(value)
        if not self._timer.isActive():
            self._timer.start()

    def _make_lines(self) -> dict[str, Any]:
        pens = {name: pg.mkPen(colour, width=2) for name, colour in COLOURS.items()}
        lines = {name: pg.PlotDataItem(pen=pen) for name, pen in pens.items()}
        lines["dice"].setSymbol("o")  # there may be only one
        lines["dice"].setSymbolSize(4)
        lines["dice"].setSymbolBrush(COLOURS["dice"])
        lines["dice"].setSymbolPen(None)
        return lines

    def _compose(self) -> None:
        plot = self._plot.getPlotItem()
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("bottom", "step")
        plot.setLabel("left", "loss")
        plot.showAxis("right")
        plot.setLabel("right", "Dice", color=COLOURS["dice"])
        plot.scene().addItem(self._right)
        plot.getAxis("right").linkToView(self._right)
        plot.addItem(self._lines["training"])
        plot.addItem(self._lines["validation"])
        plot.vb.sigResized.connect(self._on_resized)
        self._right.setXLink(plot)
        self._right.setMouseEnabled(x=False, y=False)
        self._right.setYRange(0, 1, padding=0.02)
        self._right.addItem(self._lines["dice"])
        self._plot.setMinimumHeight(HEIGHT_PX[0])
        self._plot.setMaximumHeight(HEIGHT_PX[1])
        named = (f'<span style="color: {COLOURS[k]}">{words}</span>' for k, words in WORDS.items())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("&nbsp; ".join(named)))
        column.addWidget(self._plot)

    def _on_resized(self) -> None:
        self._right.setGeometry(self._plot.getPlotItem().vb.sceneBoundingRect())

    def _redraw(self) -> None:
        for name, (steps, values) in self._points.items():
            self._lines[name].setData(steps, values)

    def _paint(self) -> None:
        colour = self.palette().color(QPalette.ColorRole.WindowText)
        for side in ("left", "bottom", "right"):
            axis = self._plot.getPlotItem().getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(COLOURS["dice"] if side == "right" else colour)
