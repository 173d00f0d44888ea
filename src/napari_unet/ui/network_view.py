"""The chosen network before any training: its U, its numbers, its layers."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QByteArray, QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QMouseEvent, QPalette
from qtpy.QtSvgWidgets import QSvgWidget
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from napari_unet.engine.jobs import DescribeJob
from napari_unet.events import Failed, Finished
from napari_unet.ui.table import TableView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.config import ModelConfig
    from napari_unet.events import Event

CALM_MS = 400  # after the last change of a setting
PICTURE_PX = 300, 280  # largest width and height in the dock
COLUMNS = ("layer", "kind", "kernel", "output", "parameters", "sees (px)")


class NetworkView(QWidget):
    """Shows what the engine says of a network; asks for it only while it is open.

    A change of settings is followed once they have been left alone for a moment, and one
    question is asked at a time.
    """

    submitted = Signal(object)  # DescribeJob: for the engine

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.card: Mapping[str, Any] = {}  # what is shown
        self._open = False
        self._job = ""
        self._wanted: tuple[ModelConfig, str] | None = None  # and what to add to the words
        self._asked: tuple[ModelConfig, str] | None = None
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(CALM_MS)
        self._calm.timeout.connect(self._on_calm)
        self.picture, self.words, self.table = Picture(), QLabel(), TableView()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.words, self.picture, self.table):
            column.addWidget(part)
        self._say("")

    def set_open(self, open_: bool) -> None:
        """Begin or cease to follow the settings."""
        self._open = open_
        self._follow()

    def want(self, config: ModelConfig, note: str = "") -> None:
        """Show this network, and a note on it; until it is known, the last one stays."""
        self._wanted = config, note
        self._follow()

    def take(self, job: str, event: Event) -> None:
        """Take the answer of the engine; other jobs are none of its business."""
        if not job or job != self._job:
            return
        if isinstance(event, Finished):
            self._show(event.summary, self._asked[1] if self._asked else "")
        elif isinstance(event, Failed):
            self._say(f"{event.what}: {event.remedy}")
        else:
            return
        self._job = ""
        self._follow()

    def give_up(self, job: str, why: str) -> None:
        """Say that the engine died over it."""
        if job and job == self._job:
            self._job, self._asked = "", None
            self._say(why)

    def stop(self) -> None:
        """Ask no more."""
        self._open = False
        self._calm.stop()

    def _follow(self) -> None:
        if self._open and self._wanted is not None and self._wanted != self._asked:
            self._calm.start()
        else:
            self._calm.stop()

    def _on_calm(self) -> None:
        if self._job or self._wanted is None:  # the answer to the job asks again
            return
        self._job, self._asked = uuid.uuid4().hex, self._wanted
        if not self.card:
            self._say("describing the network")
        self.submitted.emit(DescribeJob(job=self._job, config=self._wanted[0]))

    def _show(self, card: Mapping[str, Any], note: str) -> None:
        self.card = card
        self._say(f"{sentence(card)} {note}".strip())
        self.picture.show_svg(card["svg"])
        self.table.show_table(COLUMNS, layer_rows(card))
        self.picture.show()
        self.table.show()

    def _say(self, words: str) -> None:
        self.words.setText(words)
        self.picture.hide()
        self.table.hide()


class Drawing(QSvgWidget):
    """An SVG picture, its words in the colour of the window's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.svg = ""

    def show_svg(self, svg: str) -> None:
        """Show a picture."""
        self.svg = svg
        self._paint()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme of napari."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.StyleChange} and self.svg:
            self._paint()

    def _paint(self) -> None:
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()
        svg = re.sub(r'(<svg[^>]* color=")[^"]*', rf"\g<1>{ink}", self.svg, count=1)
        self.load(QByteArray(svg.encode()))
        self.renderer().setAspectRatioMode(Qt.AspectRatioMode.KeepAspectRatio)


class Picture(Drawing):
    """A drawing as large as fits; a click shows it in a window of its own."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("Click to see it large.")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("the network, drawn")

    def show_svg(self, svg: str) -> None:
        """Show a picture, and take the height that it needs."""
        super().show_svg(svg)
        wide, high = PICTURE_PX
        size = self.renderer().defaultSize().scaled(wide, high, Qt.AspectRatioMode.KeepAspectRatio)
        self.setFixedHeight(size.height())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Show it large."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.enlarge()

    def enlarge(self) -> QDialog:
        """Open the picture in a window that can be resized; it closes with the dock."""
        window = QDialog(self)
        window.setWindowTitle("The network")
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        large = Drawing(window)
        large.show_svg(self.svg)
        QVBoxLayout(window).addWidget(large)
        room = window.screen().availableSize()
        window.resize(large.sizeHint().boundedTo(QSize(room.width() - 80, room.height() - 120)))
        window.show()
        return window


def sentence(card: Mapping[str, Any]) -> str:
    """Say what a network costs and what it does to space."""
    geometry, memory = card["geometry"], card["memory"]
    edge = ("loses", geometry["lost"]) if any(geometry["lost"]) else ("margin", geometry["margin"])
    return (
        f"{card['parameters']:,} parameters ({in_bytes(memory['parameters'])}); "
        f"step {_per_axis(geometry['step'])}, {edge[0]} {_per_axis(edge[1])} pixels. "
        f"Memory, estimated: {in_bytes(memory['training'])} for a step of training, "
        f"{in_bytes(memory['prediction'])} for a tile."
    )


def layer_rows(card: Mapping[str, Any]) -> list[tuple[str | int | None, ...]]:
    """List the layers as rows of a table with the columns `COLUMNS`."""
    return [
        (
            layer["name"],
            layer["kind"],
            _times(layer["kernel"]) if layer["kernel"] else None,
            _times(layer["shape"]),
            layer["parameters"],
            layer["field"][0] if len(set(layer["field"])) == 1 else _times(layer["field"]),
        )
        for layer in card["layers"]
    ]


def in_bytes(number: float) -> str:
    """Write a number of bytes in the unit that suits it: 31.4 MiB."""
    power = 0
    while number >= 1000 and power < 3:
        number, power = number / 1024, power + 1
    return f"{number:,.{0 if number >= 10 else 1}f} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"


def _per_axis(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else _times(values)


def _times(values: Sequence[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(map(str, values))
