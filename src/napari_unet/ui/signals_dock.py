"""The dock that shows one row of an image as a signal, with the labels of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import SpinBox
from napari.layers import Image, Labels
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QMainWindow

from napari_unet.arrays.pixels import reading
from napari_unet.ui.background import Background
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.layers import first_level, layer_is_rgb
from napari_unet.ui.panel import Panel
from napari_unet.ui.results import MARK
from napari_unet.ui.signal_plot import Curve, SignalPlot, Strip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import napari.viewer
    from napari.layers import Layer
    from numpy.typing import NDArray
    from qtpy.QtGui import QShowEvent

HEIGHT_PX = 340  # to begin with, if there is room
CALM_MS = 50  # after the last change
FOLLOWED = ("set_data", "labels_update", "visible", "colormap", "name", "scale", "translate")


class SignalsDock(Panel):
    """A row of an image of signals, drawn with every visible layer of the same shape."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._placed = False
        self._reading = Background(self)
        self._drawn: list[Layer] = []  # whose rows are being read
        self._followed: list[Layer] = []
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(CALM_MS)
        self.image = LayerBox(Image, "An image (N, X): every row is a signal.")
        self.row = SpinBox(value=0, min=0, max=0)
        self.row.native.setToolTip("Which signal to show; or click on it in the window.")
        self.plot = SignalPlot()
        self._compose()
        self._connect()
        self.fill()

    def fill(self) -> None:
        """Offer the images that can be rows of signals, and follow all layers of their shape."""
        rows = [x for x in self.layers if x.ndim == 2 and _is_signal(x) and not layer_is_rgb(x)]
        seen = (x.unique_id for x in reversed(rows) if isinstance(x, Image) and x.visible)
        self.image.fill(rows, next(seen, None))
        self._follow([x for x in self.layers if isinstance(x, Image | Labels)])

    def shut_down(self) -> None:
        """End what runs for this dock, and let go of the viewer."""
        self._calm.stop()
        self._reading.stop()
        self._follow([])
        if self._on_pressed in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_pressed)

    def showEvent(self, event: QShowEvent) -> None:
        """Go below the image when shown for the first time: signals are wide."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._go_below)  # the window is still busy with showing it

    def _go_below(self) -> None:
        if isalive(self):
            dock, window = self.parent(), self.window()
            if isinstance(dock, QDockWidget) and isinstance(window, QMainWindow):
                window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
                window.resizeDocks([dock], [HEIGHT_PX], Qt.Orientation.Vertical)

    def _compose(self) -> None:
        boxes = QHBoxLayout()
        boxes.addWidget(QLabel("signals"))
        boxes.addWidget(self.image, stretch=3)
        boxes.addWidget(QLabel("row"))
        boxes.addWidget(self.row.native, stretch=1)
        self.foot.insertLayout(0, boxes)
        self.plot.setToolTip("Drag or turn the wheel to move and zoom along the signal.")
        self.give_room(self.plot)

    def _connect(self) -> None:
        self.image.chosen.connect(self._on_chosen)
        self.row.changed.connect(self._on_changed)
        self._calm.timeout.connect(self._on_calm)
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(self.message.mark)
        self.viewer.mouse_drag_callbacks.append(self._on_pressed)

    def _follow(self, layers: Sequence[Layer]) -> None:
        """Draw anew whenever one of `layers` changes, and forget those of before."""
        for layer in self._followed:
            for name in FOLLOWED:
                if name in layer.events.emitters:
                    layer.events.emitters[name].disconnect(self._on_changed)
        self._followed = list(layers)
        for layer in self._followed:
            for name in FOLLOWED:
                if name in layer.events.emitters:
                    layer.events.emitters[name].connect(self._on_changed)

    def _on_chosen(self) -> None:
        layer = self.find(self.image.key)
        self.row.max = first_level(layer).shape[0] - 1 if layer is not None else 0
        self._on_changed()

    def _on_changed(self, _event: object = None) -> None:
        self._calm.start()

    def _on_pressed(self, _viewer: object, event: Any) -> None:
        """Take the row under the mouse."""
        layer = self.find(self.image.key)
        if layer is None:
            return
        row, sample = (round(p) for p in layer.world_to_data(event.position[-layer.ndim :]))
        n_rows, length = first_level(layer).shape
        if 0 <= row < n_rows and 0 <= sample < length:
            self.row.value = row

    def _on_calm(self) -> None:
        """Read the row of every layer that is drawn with the image."""
        image = self.find(self.image.key)
        self._drawn = [] if image is None else _companions(image, self.layers)
        arrays = [(str(layer.name), first_level(layer)) for layer in self._drawn]
        self._reading.run(read_row, arrays, int(self.row.value))

    def _on_read(self, rows: list[NDArray[Any]]) -> None:
        self.message.clear()
        curves = [
            Curve(str(layer.name), row.astype(np.float64))
            for layer, row in zip(self._drawn, rows, strict=True)
            if not isinstance(layer, Labels)
        ]
        strips = [
            Strip(str(layer.name), _colours(layer, row))
            for layer, row in zip(self._drawn, rows, strict=True)
            if isinstance(layer, Labels)
        ]
        image = self._drawn[0] if self._drawn else None
        start, step = (image.translate[-1], image.scale[-1]) if image is not None else (0.0, 1.0)
        self.plot.draw(curves, strips, float(start), float(step))


def read_row(
    arrays: Sequence[tuple[str, Any]], row: int, stopped: Callable[[], bool]
) -> list[NDArray[Any]]:
    """Read one row of each (name, array); runs in a thread.

    Raises
    ------
    InputError
        U124 for a row that cannot be read.
    """
    rows = []
    for name, array in arrays:
        if stopped():
            break
        with reading(name, (row,)):
            rows.append(np.asarray(array[row]))
    return rows


def _companions(image: Layer, layers: Sequence[Layer]) -> list[Layer]:
    """Return the image and all visible signals and labels of its shape, as in the viewer."""
    shape = first_level(image).shape
    others = (x for x in layers if isinstance(x, Labels) or _is_signal(x))
    seen = (x for x in others if x.visible and x.unique_id != image.unique_id)
    return [image, *(x for x in seen if first_level(x).shape == shape)]


def _is_signal(layer: Layer) -> bool:
    """Whether a layer has values like those of a signal: of our own, only a regression has."""
    mark = layer.metadata.get(MARK, {"output": "values"})
    return isinstance(layer, Image) and str(mark.get("output", "")).startswith("values")


def _colours(layer: Layer, row: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the colours (X, 4) that a Labels layer gives to its values."""
    colours: NDArray[np.uint8] = (255 * np.asarray(layer.colormap.map(row))).astype(np.uint8)
    return colours
