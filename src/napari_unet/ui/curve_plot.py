"""Curves over the steps of a training: losses on the left axis, something else on the right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QPointF, Qt, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QColor

    from napari_unet.metrics.course import Mark

LIGHT = ("#0072b2", "#c44e00", "#007a56", "#b0307f", "#202020", "#5e2ca5")  # on a light ground
DARK = ("#56b4e9", "#e69f00", "#1fc08f", "#e08fc0", "#f0e442", "#ffffff")  # told apart by all eyes
LOSSES = 2  # colours that belong to the left axis
DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
FEW = 30  # points that are drawn as such
LEAST_PX = 170  # of the height of the axes
FOOT_PX, BELOW_PX = 36, 6  # for the numbers and the name below the axes, which hangs over
DECADES = 1.5  # on a logarithmic axis, up to which there is room for `NUMBERS`
NUMBERS, ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 5)
MOST_TICKS = 10


@dataclass(frozen=True, slots=True)
class Line:
    """A curve under a name: steps and values float64 (N,), all finite."""

    name: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def near(self, step: float) -> float:
        """Return the value at the point next to `step`; there is at least one."""
        right = min(int(np.searchsorted(self.steps, step)), len(self.steps) - 1)
        left = max(right - 1, 0)
        closer = left if step - self.steps[left] < self.steps[right] - step else right
        return float(self.values[closer])


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that is drawn: lines of the left and of the right axis, and what the right one shows."""

    left: Sequence[Line] = ()
    right: Sequence[Line] = ()
    title: str = ""
    bounded: bool = False  # the right axis goes from 0 to 1
    logarithmic: bool = False  # the left axis
    marks: Sequence[Mark] = ()


class CurvePlot(QWidget):
    """Draws a sheet; the legend tells the values under the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.plot = _Canvas(background=None, enableMenu=False, axisItems={"left": LogAxis("left")})
        self.sheet = Sheet()
        self.step: float | None = None  # under the mouse
        self._right = pg.ViewBox(enableMenu=False)
        self._items: list[tuple[Any, Any]] = []  # a curve and the view that it is in
        self._marks: list[Any] = []
        self._cursor = pg.InfiniteLine(angle=90)
        self._compose()
        self._paint()

    def draw(self, sheet: Sheet) -> None:
        """Draw other curves in place of those before."""
        before, self.sheet = self.sheet, sheet
        lines = [*sheet.left, *sheet.right]
        fresh = self._fit_items(len(sheet.left), len(sheet.right))
        for k, (line, (item, _)) in enumerate(zip(lines, self._items, strict=True)):
            logarithmic = sheet.logarithmic and k < len(sheet.left)
            item.setData(*(_logarithms(line) if logarithmic else (line.steps, line.values)))
            symbol = "o" if len(line.steps) <= FEW else None
            if item.opts["symbol"] != symbol:
                item.setSymbol(symbol)
        axis = self.plot.getPlotItem().getAxis("left")
        if axis.logMode != sheet.logarithmic:
            axis.setLogMode(x=False, y=sheet.logarithmic)
        if sheet.bounded:
            self._right.setYRange(0, 1, padding=0.02)
        else:
            self._right.enableAutoRange(axis=pg.ViewBox.YAxis)
        if sheet.marks != before.marks:
            self._draw_marks()
        if fresh or (sheet.title, sheet.marks) != (before.title, before.marks):
            self._paint()
        self._write_legend()

    def point(self, step: float | None) -> None:
        """Tell the values at a step, or none."""
        self.step = step
        self._cursor.setVisible(step is not None)
        if step is not None:
            self._cursor.setValue(step)
        self._write_legend()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of napari."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.StyleChange}:
            self._paint()

    def _compose(self) -> None:
        plot = self.plot.getPlotItem()
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("bottom", "step")
        plot.getAxis("bottom").setHeight(FOOT_PX)
        plot.layout.setContentsMargins(1, 1, 1, BELOW_PX)
        plot.setLabel("left", "loss")
        plot.showAxis("right")
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("right").enableAutoSIPrefix(False)
        plot.scene().addItem(self._right)
        plot.getAxis("right").linkToView(self._right)
        plot.vb.sigResized.connect(self._on_resized)
        self._right.setXLink(plot)
        self._right.setMouseEnabled(x=False, y=False)
        self._cursor.hide()
        plot.addItem(self._cursor, ignoreBounds=True)
        self.plot.moved.connect(self._on_moved)
        self.plot.left.connect(self._on_left)
        self.plot.setMinimumHeight(LEAST_PX)
        self.plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.legend)
        column.addWidget(self.plot, stretch=1)

    def _fit_items(self, n_left: int, n_right: int) -> bool:
        """Make curves anew unless there are as many as lines on either side; say if so."""
        views = [self.plot.getPlotItem()] * n_left + [self._right] * n_right
        if [view for _, view in self._items] == views:
            return False
        for item, view in self._items:
            view.removeItem(item)
        self._items = [(pg.PlotDataItem(symbolSize=4, symbolPen=None), view) for view in views]
        for item, view in self._items:
            view.addItem(item)
        return True

    def _draw_marks(self) -> None:
        plot = self.plot.getPlotItem()
        for line in self._marks:
            plot.removeItem(line)
        words: dict[int, list[str]] = {}
        for mark in self.sheet.marks:
            words.setdefault(mark.step, []).append(mark.text)
        where = {"position": 0.9, "movable": False}
        self._marks = [
            pg.InfiniteLine(step, angle=90, label=", ".join(texts), labelOpts=where)
            for step, texts in words.items()
        ]
        for line in self._marks:
            plot.addItem(line, ignoreBounds=True)

    def _paint(self) -> None:
        """Give everything the colours of the theme."""
        text = self.palette().color(QPalette.ColorRole.WindowText)
        colours = self._colours(text)
        for (item, _), (colour, dash) in zip(self._items, colours, strict=True):
            item.setPen(pg.mkPen(colour, width=2, style=dash))
            item.setSymbolBrush(colour)
        plot = self.plot.getPlotItem()
        alone = len(self.sheet.right) == 1
        right = colours[-1][0] if alone else text
        for side in ("left", "bottom", "right"):
            axis = plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(right if side == "right" else text)
        plot.setLabel("right", self.sheet.title, color=pg.mkColor(right).name())
        thin = pg.mkPen(text, width=1, style=Qt.PenStyle.DotLine)
        self._cursor.setPen(thin)
        for line in self._marks:
            line.setPen(thin)
            line.label.setColor(text)
        self._write_legend()

    def _colours(self, text: QColor) -> list[tuple[str, Qt.PenStyle]]:
        """Return a colour and a dash for each line; no two lines of an axis have both alike."""
        palette = DARK if text.lightness() > 127 else LIGHT
        own = palette[LOSSES:]
        left = [(palette[k % LOSSES], DASHES[0]) for k in range(len(self.sheet.left))]
        right = [
            (own[k % len(own)], DASHES[k // len(own) % len(DASHES)])
            for k in range(len(self.sheet.right))
        ]
        return left + right

    def _write_legend(self) -> None:
        lines = [*self.sheet.left, *self.sheet.right]
        colours = self._colours(self.palette().color(QPalette.ColorRole.WindowText))
        words = []
        for line, (colour, dash) in zip(lines, colours, strict=True):
            swatch = {DASHES[0]: "━━", DASHES[1]: "╺╺"}.get(dash, "┅┅")
            value = ""
            if self.step is not None and len(line.steps):
                value = f"&nbsp;<b>{line.near(self.step):.4g}</b>"
            name = escape(line.name).replace(" ", "&nbsp;")
            words.append(f'<span style="color: {colour}">{swatch}</span>&nbsp;{name}{value}')
        if self.step is not None:
            words.append(f"step&nbsp;<b>{self.step:,.0f}</b>")
        text = "&nbsp; ".join(words)
        if text != self.legend.text():
            self.legend.setText(text)

    def _on_resized(self) -> None:
        self._right.setGeometry(self.plot.getPlotItem().vb.sceneBoundingRect())

    def _on_moved(self, place: QPointF) -> None:
        view = self.plot.getPlotItem().vb
        inside = view.sceneBoundingRect().contains(place)
        steps = [line.steps for line in (*self.sheet.left, *self.sheet.right) if len(line.steps)]
        if not inside or not steps:
            self.point(None)
            return
        first, last = (float(pick([s[at] for s in steps])) for pick, at in ((min, 0), (max, -1)))
        step = round(view.mapSceneToView(place).x())
        self.point(min(max(step, first), last))

    def _on_left(self) -> None:
        self.point(None)


def _logarithms(line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points that have a logarithm."""
    above = line.values > 0
    return line.steps[above], np.log10(line.values[above])


class LogAxis(pg.AxisItem):
    """An axis that names numbers also where a logarithmic one spans less than a decade."""

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Return where the axis has numbers: in logarithmic mode the round ones, at any range."""
        if not self.logMode:
            return list(super().tickValues(low, high, size))
        exponents = range(math.floor(low), math.ceil(high) + 1)
        chosen = NUMBERS if high - low < DECADES else ROUND if high - low < 2 * DECADES else (1,)
        ticks = [math.log10(m) + k for k in exponents for m in chosen]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) < 2:  # less than there is between two round numbers
            ticks = [math.log10(t) for _, level in self._plain(low, high, size) for t in level]
        return [(1.0, ticks[:: -(-len(ticks) // MOST_TICKS)])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Write the numbers of the axis."""
        if not self.logMode:
            return list(super().tickStrings(values, scale, spacing))
        return [f"{10**value:.3g}" for value in values]

    def _plain(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Return the numbers that an axis which is not logarithmic would have."""
        (level, *_) = pg.AxisItem("left").tickValues(10**low, 10**high, size)[1:] or [(1.0, [])]
        return [level]


class _Canvas(pg.PlotWidget):
    """A plot that tells where the mouse is, and when it has gone."""

    moved = Signal(object)  # QPointF, in the scene
    left = Signal()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.scene().sigMouseMoved.connect(self.moved)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.left.emit()
