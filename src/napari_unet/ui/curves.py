"""Live curves of a training, how they are shown, and their export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QBuffer, QIODevice, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPalette
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QMenu,
    QToolButton,
    QWidget,
)

from napari_unet.arrays.writing import atomic_write
from napari_unet.config import InputError
from napari_unet.metrics.smoothing import smooth
from napari_unet.metrics.tabulate import to_csv
from napari_unet.ui.curve_plot import CurvePlot, Line, Sheet
from napari_unet.ui.pace import Pace
from napari_unet.ui.rows import may_shrink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.metrics.course import Course, Points

MOST = 500  # stretches of a long curve that are drawn: about one for each pixel
SMOOTHING: Mapping[str, int] = {
    "every step": 1,
    "mean of 10": 10,
    "mean of 30": 30,
    "mean of 100": 100,
    "mean of 1000": 1000,
}
USUAL = "mean of 30"
EXPORTS: Mapping[str, str] = {
    ".csv": "Numbers (CSV)…",
    ".png": "Picture (PNG)…",
    ".svg": "Drawing (SVG)…",
}
PAPER = QSize(900, 500)  # of an exported picture, which has twice as many pixels
FINER = 2
HEIGHT_PX = 260  # of the axes: the settings of the dock want room as well


@dataclass(frozen=True, slots=True)
class View:
    """What the right axis can show: a score of the validation, or without one the rate."""

    words: str
    title: str
    score: str = ""
    each: bool = False  # a line for each class or channel
    bounded: bool = False


VIEWS = (
    View("mean Dice", "Dice", "dice", bounded=True),
    View("Dice by class", "Dice", "dice", each=True, bounded=True),
    View("IoU by class", "IoU", "jaccard", each=True, bounded=True),
    View("mean absolute error", "error", "mae"),
    View("root mean square", "error", "rmse"),
    View("error by channel", "error", "mae", each=True),
    View("learning rate", "rate"),
)


class Curves(QWidget):
    """Training and validation loss, and on the right axis what is chosen.

    All points stay in the course; what is drawn is made of them a few times a second.
    """

    refused = Signal(Exception)  # a file could not be written

    def __init__(
        self, course: Course, pace: Pace | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.course = course
        self.picture = CurvePlot()
        self.view, self.smoothing = QComboBox(), QComboBox()
        self.logarithmic = QCheckBox("log")
        self.export_button = QToolButton()
        self._chosen = ""  # what the user has chosen to see; else the first there is
        self._pace, self._new = pace or Pace(self), False
        self._compose()
        self._connect()
        self.redraw()

    def refresh(self) -> None:
        """Draw what is new, soon: however much there is, a few times a second at most."""
        self._new = True
        self._pace.ask()

    def redraw(self) -> None:
        """Draw the course as it is now."""
        self._new = False
        self._offer_views()
        self.picture.draw(self._sheet())

    def save(self, path: Path) -> None:
        """Write all numbers (.csv), or the curves as they are shown (.png, .svg).

        Raises
        ------
        InputError
            U130 for a name that says no format.
        StorageError
            U130 or U134, if the file cannot be written.
        """
        suffix = path.suffix.lower()
        if suffix not in EXPORTS:
            known = ", ".join(EXPORTS)
            raise InputError("U130", f"{path.name!r} names no format", f"end it with {known}")
        if suffix == ".csv":
            atomic_write(path, to_csv(self.course.table()).encode())
        else:
            atomic_write(path, _print(self._sheet(), suffix))

    def _compose(self) -> None:
        self.view.setToolTip("What the right axis shows.")
        self.smoothing.addItems(list(SMOOTHING))
        self.smoothing.setCurrentText(USUAL)
        self.smoothing.setToolTip("The training loss: of every step, or a mean over some of them.")
        self.logarithmic.setToolTip("A logarithmic axis for the losses.")
        self.export_button.setText("Export ▾")  # the theme's own arrow lies upon the word
        self.export_button.setStyleSheet("QToolButton::menu-indicator { image: none }")
        self.export_button.setToolTip("Write all numbers, or the curves as they are shown.")
        self.export_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.export_button)
        for suffix, words in EXPORTS.items():
            menu.addAction(words).setData(suffix)
        self.export_button.setMenu(menu)
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.setColumnStretch(0, 1)
        rows.addWidget(self.picture, 0, 0, 1, 2)
        rows.addWidget(self.view, 1, 0)
        rows.addWidget(self.export_button, 1, 1)
        rows.addWidget(self.smoothing, 2, 0)
        rows.addWidget(self.logarithmic, 2, 1)
        for box in (self.view, self.smoothing):
            may_shrink(box)
        self.picture.plot.setMaximumHeight(HEIGHT_PX)

    def _connect(self) -> None:
        self._pace.due.connect(self._on_due)
        self.view.activated.connect(self._on_view)
        self.smoothing.currentIndexChanged.connect(self.redraw)
        self.logarithmic.toggled.connect(self.redraw)
        self.export_button.menu().triggered.connect(self._on_export)

    def _on_due(self) -> None:
        if self._new:
            self.redraw()

    def _offer_views(self) -> None:
        """Offer what the course has; what the user has chosen stays as long as it is there."""
        words = [view.words for view in VIEWS if _is_known(view, self.course)]
        if words != [self.view.itemText(k) for k in range(self.view.count())]:
            self.view.clear()
            self.view.addItems(words)
            self.view.setCurrentText(self._chosen if self._chosen in words else words[0])

    def _sheet(self) -> Sheet:
        course = self.course
        view = next(view for view in VIEWS if view.words == self.view.currentText())
        width = SMOOTHING[self.smoothing.currentText()]
        return Sheet(
            left=(
                _line("training loss", course.losses, width),
                _line("validation loss", course.validation_losses),
            ),
            right=_right_lines(view, course),
            title=view.title,
            bounded=view.bounded,
            logarithmic=self.logarithmic.isChecked(),
            marks=tuple(course.marks),
        )

    def _on_view(self, _index: int) -> None:
        self._chosen = self.view.currentText()
        self.redraw()

    def _on_export(self, action: object) -> None:
        suffix = str(action.data())  # type: ignore[attr-defined]  # a QAction, wherever Qt keeps it
        name, words = f"curves{suffix}", f"{suffix[1:].upper()} (*{suffix})"
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the curves", name, words)
        if not chosen:
            return
        try:
            self.save(Path(chosen if chosen.lower().endswith(suffix) else chosen + suffix))
        except InputError as error:
            self.refused.emit(error)


def _is_known(view: View, course: Course) -> bool:
    if not view.score:
        return True
    return course.has(view.score) and (not view.each or len(course.names) > 1)


def _right_lines(view: View, course: Course) -> tuple[Line, ...]:
    if not view.score:
        return (_line(view.words, course.rates),)
    if view.each:
        return tuple(_line(name, course.scores(view.score, name)) for name in course.names)
    return (_line(view.words, course.scores(view.score)),)


def _line(name: str, points: Points, width: int = 1) -> Line:
    """Make a line of what is finite, no finer than can be seen."""
    steps, values = points
    finite = np.isfinite(values)
    if not finite.all():
        steps, values = steps[finite], values[finite]
    return Line(name, *smooth(steps, values, width, MOST))


def _print(sheet: Sheet, suffix: str) -> bytes:
    """Return a picture of the curves, dark on white, in the format of a suffix."""
    paper = CurvePlot()
    colours = QPalette(QColor("white"))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):
        colours.setColor(role, QColor("black"))
    colours.setColor(QPalette.ColorRole.Window, QColor("white"))
    paper.setPalette(colours)
    paper.setAutoFillBackground(True)
    paper.resize(PAPER)
    paper.draw(sheet)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if suffix == ".svg":
        drawing = QSvgGenerator()
        drawing.setOutputDevice(buffer)
        drawing.setSize(PAPER)
        drawing.setViewBox(QRect(0, 0, PAPER.width(), PAPER.height()))
        drawing.setTitle("curves of a training")
        _render(paper, drawing)
    else:
        image = QImage(FINER * PAPER, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(FINER)
        image.fill(Qt.GlobalColor.white)
        _render(paper, image)
        image.save(buffer, "PNG")
    paper.deleteLater()
    return bytes(buffer.data().data())


def _render(paper: QWidget, device: QSvgGenerator | QImage) -> None:
    painter = QPainter(device)
    paper.render(painter)
    painter.end()
