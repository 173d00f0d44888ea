"""A signal as a curve, and below it, sample by sample, what labels say: one strip each."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QRectF, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")  # of curves, for all eyes
AXIS_PX = 120  # both plots begin at the same place
LEAST_PX = 80  # of the height of the curves
STRIP_PX, LINES = 24, 6  # height of a strip on the screen, and in the picture of all


@dataclass(frozen=True, slots=True)
class Curve:
    """Values (X) under a name."""

    name: str
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strip:
    """A colour for each sample, uint8 RGBA (X, 4), under a name."""

    name: str
    colours: NDArray[np.uint8]


class SignalPlot(QWidget):
    """Curves above, strips below; what is zoomed in one is zoomed in the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names = QLabel()
        self._names.setWordWrap(True)
        self.curves = pg.PlotWidget(background=None, enableMenu=False)
        self.strips = pg.PlotWidget(background=None, enableMenu=False)
        self._picture = pg.ImageItem(axisOrder="row-major")
        self._length = 0
        self._compose()
        self._paint()

    def draw(
        self, curves: Sequence[Curve], strips: Sequence[Strip], start: float, step: float
    ) -> None:
        """Draw a signal anew; the range that is shown stays unless the length has changed.

        Parameters
        ----------
        curves, strips : sequences
            What to draw, all of one length.
        start, step : float
            Where the first sample lies, and how far it is to the next.
        """
        self._draw_curves(curves, start, step)
        self._draw_strips(strips, start, step)
        length = len(curves[0].values) if curves else 0
        if length != self._length:
            self._length = length
            self.curves.enableAutoRange(x=True)
        self.curves.enableAutoRange(y=True)
        named = (
            f'<span style="color: {colour}">{escape(curve.name)}</span>'
            for curve, colour in zip(curves, _colours(len(curves)), strict=True)
        )
        self._names.setText("&nbsp; ".join(named))

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of napari."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.StyleChange}:
            self._paint()

    def _draw_curves(self, curves: Sequence[Curve], start: float, step: float) -> None:
        plot = self.curves.getPlotItem()
        plot.clear()
        for curve, colour in zip(curves, _colours(len(curves)), strict=True):
            x = start + step * np.arange(len(curve.values))
            plot.plot(x, curve.values, pen=pg.mkPen(colour, width=1), connect="finite")

    def _draw_strips(self, strips: Sequence[Strip], start: float, step: float) -> None:
        n = len(strips)
        if not n:
            self.strips.hide()
            return
        picture = np.repeat([strip.colours for strip in strips], LINES, axis=0)  # (lines, X, 4)
        picture[LINES - 1 :: LINES] = 0  # a gap below each
        self._picture.setImage(picture, levels=(0, 255))
        width = step * picture.shape[1]
        self._picture.setRect(QRectF(start - step / 2, 0, width, n))
        self.strips.setYRange(0, n, padding=0)
        self.strips.setFixedHeight(n * STRIP_PX + 28)
        metrics, middle = self.fontMetrics(), Qt.TextElideMode.ElideMiddle
        names = [metrics.elidedText(strip.name, middle, AXIS_PX - 20) for strip in strips]
        ticks = [(k + 0.45, name) for k, name in enumerate(names)]
        self.strips.getPlotItem().getAxis("left").setTicks([ticks])
        self.strips.show()

    def _compose(self) -> None:
        above, below = self.curves.getPlotItem(), self.strips.getPlotItem()
        above.setDownsampling(auto=True, mode="peak")
        above.setClipToView(True)
        above.setMouseEnabled(x=True, y=False)
        below.setMouseEnabled(x=True, y=False)
        below.hideButtons()
        below.setXLink(above)
        below.invertY(True)
        below.addItem(self._picture)
        for plot in (above, below):
            plot.getAxis("left").setWidth(AXIS_PX)
        free = QSizePolicy.Policy.Ignored  # a plot has no size of its own
        self.curves.setSizePolicy(free, free)
        self.curves.setMinimumHeight(LEAST_PX)
        self.strips.setSizePolicy(free, QSizePolicy.Policy.Fixed)
        self.strips.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._names)
        column.addWidget(self.curves, stretch=1)
        column.addWidget(self.strips)

    def _paint(self) -> None:
        colour = self.palette().color(QPalette.ColorRole.WindowText)
        for widget in (self.curves, self.strips):
            for side in ("left", "bottom"):
                axis = widget.getPlotItem().getAxis(side)
                axis.setPen(colour)
                axis.setTextPen(colour)


def _colours(n: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(n)]
