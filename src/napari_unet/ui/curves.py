"""Live curves of a training: loss on the left axis, Dice or error on the right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

REDRAW_MS = 250
SMOOTHING = 0.95  # share of the old value in the running mean of the training loss
HEIGHT_PX = (160, 260)
COLOURS: Mapping[str, str] = {
    "training": "#56b4e9",
    "validation": "#e69f00",
    "score": "#009e73",
}  # for all eyes
SCORES: Mapping[str, str] = {"dice": "Dice", "mae": "mean absolute error"}  # the first there is


class Curves(QWidget):
    """Training loss (smoothed), validation loss and a score of the validation over steps.

    The score is the Dice of classes, or in regression the mean absolute error.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._mean = math.nan
        self._plot = pg.PlotWidget(background=None, enableMenu=False)
        self._right = pg.ViewBox(enableMenu=False)
        self._legend = QLabel()
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

    def add_validation(self, step: int, loss: float, scores: Mapping[str, float]) -> None:
        """Add a validation: `scores` as in its event."""
        self._add("validation", step, loss)
        name = next((name for name in SCORES if name in scores), "")
        if name:
            self._name_score(name)
            self._add("score", step, scores[name])

    def clear_points(self) -> None:
        """Begin anew."""
        self._mean = math.nan
        self._points = {name: ([], []) for name in COLOURS}
        self._name_score("dice")
        self._redraw()

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of "training", "validation" or "score"."""
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
        lines["score"].setSymbol("o")  # there may be only one
        lines["score"].setSymbolSize(4)
        lines["score"].setSymbolBrush(COLOURS["score"])
        lines["score"].setSymbolPen(None)
        return lines

    def _compose(self) -> None:
        plot = self._plot.getPlotItem()
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("bottom", "step")
        plot.setLabel("left", "loss")
        plot.showAxis("right")
        plot.scene().addItem(self._right)
        plot.getAxis("right").linkToView(self._right)
        plot.addItem(self._lines["training"])
        plot.addItem(self._lines["validation"])
        plot.vb.sigResized.connect(self._on_resized)
        self._right.setXLink(plot)
        self._right.setMouseEnabled(x=False, y=False)
        self._right.addItem(self._lines["score"])
        self._plot.setMinimumHeight(HEIGHT_PX[0])
        self._plot.setMaximumHeight(HEIGHT_PX[1])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._legend)
        column.addWidget(self._plot)

    def _name_score(self, name: str) -> None:
        """Write what the right axis shows; Dice has a range, an error none."""
        words = SCORES[name]
        lines = {
            "training": "training loss",
            "validation": "validation loss",
            "score": f"validation {words}",
        }
        spans = (f'<span style="color: {COLOURS[k]}">{text}</span>' for k, text in lines.items())
        self._legend.setText("&nbsp; ".join(spans))
        self._plot.getPlotItem().setLabel("right", words, color=COLOURS["score"])
        if name == "dice":
            self._right.setYRange(0, 1, padding=0.02)
        else:
            self._right.enableAutoRange(axis=pg.ViewBox.YAxis)

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
            axis.setTextPen(COLOURS["score"] if side == "right" else colour)
