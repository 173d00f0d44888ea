"""Which part of an image to predict: all, the slice or the view one looks at, a drawn shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_unet.config import InputError
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.layers import first_level
from napari_unet.ui.results import result_axes
from napari_unet.ui.rows import make_rows
from napari_unet.ui.showing import focus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import napari.viewer
    from napari.layers import Layer
    from numpy.typing import NDArray

Box = tuple[tuple[int, int], ...]  # start and stop per axis of a result
Outline = tuple[tuple[float, float], ...]

KINDS: Mapping[str, str] = {
    "all": "The whole image.",
    "this slice": "The slice of a stack that the sliders of the viewer stand at.",
    "this view": "What of that slice is in sight.",
    "a shape": "What lies inside a shape that you have drawn and selected.",
}
ROUND = 64  # corners that stand for an ellipse
PLANE = "YX"


class RegionBoxes(QWidget):
    """A choice of the part, and from where to where along each axis that a slider belongs to."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = QComboBox()
        self.kind.addItems(list(KINDS))
        self.kind.setToolTip("<qt>" + "<br>".join(f"{k}: {v}" for k, v in KINDS.items()) + "</qt>")
        self.shapes = LayerBox(Shapes, "The layer with the shape; the one that is selected counts.")
        self.ranges: dict[str, Range] = {}
        self._rows = make_rows(self)
        self._rows.addRow(self.kind)
        self._rows.addRow(self.shapes)
        self.kind.currentIndexChanged.connect(self._on_changed)
        self.shapes.chosen.connect(self._on_changed)
        self._reveal()

    @property
    def follows(self) -> bool:
        """Whether the part changes with what the user looks at."""
        return self.kind.currentText() in {"this slice", "this view"}

    def fit(self, shape: Sequence[int], axes: str, ndim: int) -> None:
        """Offer a range for each axis of an image but those of its plane and its channels."""
        sizes = {axes[axis]: shape[axis] for axis in result_axes(axes, ndim)}
        wanted = {letter: n for letter, n in sizes.items() if letter not in PLANE and n > 1}
        if {letter: part.size for letter, part in self.ranges.items()} == wanted:
            return
        for part in self.ranges.values():
            self._rows.removeRow(part)
        self.ranges = {letter: Range(letter, n) for letter, n in wanted.items()}
        for part in self.ranges.values():
            part.changed.connect(self.changed)
            self._rows.addRow(part)
        self._reveal()

    def region(
        self, viewer: napari.viewer.Viewer, layer: Layer, axes: str, ndim: int
    ) -> tuple[Box | None, Outline | None]:
        """Return the chosen part of an image, in its pixels; None for all of it.

        Raises
        ------
        InputError
            U150 when nothing is selected, or nothing of it lies in the image.
        """
        letters = "".join(axes[axis] for axis in result_axes(axes, ndim))
        shape = [first_level(layer).shape[axis] for axis in result_axes(axes, ndim)]
        whole = {letter: (0, n) for letter, n in zip(letters, shape, strict=True)}
        box, outline = dict(whole), None
        match self.kind.currentText():
            case "this slice":
                box |= slice_box(viewer, layer, axes, self.ranges)
            case "this view":
                box |= slice_box(viewer, layer, axes, self.ranges)
                box |= view_box(viewer, layer, axes)
            case "a shape":
                drawn = next((x for x in viewer.layers if x.unique_id == self.shapes.key), None)
                found, outline = shape_box(drawn, layer, axes, ndim)
                box |= self._from_to() | found
            case _:
                box |= self._from_to()
        return (None if box == whole else tuple(box.values())), outline

    def _from_to(self) -> dict[str, tuple[int, int]]:
        return {letter: part.value for letter, part in self.ranges.items()}

    def _on_changed(self, _index: int = 0) -> None:
        self._reveal()
        self.changed.emit()

    def _reveal(self) -> None:
        self.shapes.setVisible(self.kind.currentText() == "a shape")
        for part in self.ranges.values():
            part.setVisible(not self.follows)


class Range(QWidget):
    """From which to which position of an axis, both included, counted as the sliders do."""

    changed = Signal()

    def __init__(self, letter: str, size: int) -> None:
        super().__init__()
        self.size = size
        self.first, self.last = QSpinBox(), QSpinBox()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for words, box in ((f"{letter.lower()} from", self.first), ("to", self.last)):
            box.setRange(0, size - 1)
            box.setToolTip("Positions as the sliders of the viewer count them, both included.")
            row.addWidget(QLabel(words))
            row.addWidget(box, stretch=1)
        self.last.setValue(size - 1)
        self.first.valueChanged.connect(self._on_changed)
        self.last.valueChanged.connect(self._on_changed)

    @property
    def value(self) -> tuple[int, int]:
        """Start and stop."""
        return self.first.value(), self.last.value() + 1

    def _on_changed(self, _value: int) -> None:
        if self.sender() is self.first:
            self.last.setValue(max(self.first.value(), self.last.value()))
        else:
            self.first.setValue(min(self.first.value(), self.last.value()))
        self.changed.emit()


def slice_box(
    viewer: napari.viewer.Viewer,
    layer: Layer,
    axes: str,
    letters: Iterable[str],
) -> dict[str, tuple[int, int]]:
    """Return where the sliders stand along some axes of a layer, those drawn in 3-D left out."""
    pixels = focus(viewer, layer)
    drawn = {axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed}
    at = {letter: axes.index(letter) for letter in letters if axes.index(letter) not in drawn}
    return {letter: (round(pixels[k]), round(pixels[k]) + 1) for letter, k in at.items()}


def view_box(viewer: napari.viewer.Viewer, layer: Layer, axes: str) -> dict[str, tuple[int, int]]:
    """Return what of the plane of a layer is in sight.

    Raises
    ------
    InputError
        U150 when nothing is, or when it is shown in 3-D.
    """
    if viewer.dims.ndisplay != 2:
        raise InputError("U150", "a view in 3-D has no box", "show the image in 2-D")
    scene = getattr(viewer, "scene", viewer)  # the camera moved there in napari 0.9
    canvas = getattr(viewer, "canvas", None)  # as its size did
    size = canvas.size if canvas is not None else getattr(viewer, "_canvas_size", (600, 800))
    half = np.asarray(size, float) / (2 * scene.camera.zoom)
    corners = []
    for side in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        point = list(viewer.dims.point)
        there = np.asarray(scene.camera.center[-2:]) + np.asarray(side) * half
        for axis, position in zip(viewer.dims.displayed, there, strict=True):
            point[axis] = position
        corners.append(layer.world_to_data(point[-layer.ndim :]))
    drawn = sorted(axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed)
    return _clip(np.asarray(corners), layer, axes, [a for a in drawn if 0 <= a < layer.ndim])


def shape_box(
    drawn: Layer | None, layer: Layer, axes: str, ndim: int
) -> tuple[dict[str, tuple[int, int]], Outline | None]:
    """Return the box around the selected shape, and its corners (y, x) unless it is that box.

    Raises
    ------
    InputError
        U150 when no shape with an area is selected, or when it lies beside the image.
    """
    chosen = [] if drawn is None else sorted(drawn.selected_data) or list(range(drawn.nshapes))
    if drawn is None or len(chosen) != 1:
        what = f"{len(chosen)} shapes to predict" if chosen else "no shape to predict"
        raise InputError("U150", what, "select one in a Shapes layer")
    kind, vertices = drawn.shape_type[chosen[0]], _corners(drawn, chosen[0])
    if kind in {"line", "path"}:
        raise InputError("U150", f"a {kind} has no area", "draw a polygon or a rectangle")
    pixels = np.asarray([layer.world_to_data(drawn.data_to_world(v)) for v in vertices])
    plane = [axes.index(letter) for letter in PLANE if letter in axes]
    box = _clip(pixels, layer, axes, plane)
    upright = all(len(np.unique(pixels[:, axis].round(3))) == 2 for axis in plane)
    if ndim == 1 or (len(pixels) == 4 and upright):
        return box, None
    return box, tuple((float(y), float(x)) for y, x in pixels[:, plane])


def _corners(drawn: Layer, number: int) -> NDArray[np.float64]:
    """Return the corners of a shape; of an ellipse, points on it."""
    corners = np.asarray(drawn.data[number], float)
    if drawn.shape_type[number] != "ellipse":
        return corners
    middle = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * math.pi, ROUND, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angles) * first + np.sin(angles) * second)


def _clip(
    pixels: NDArray[np.float64], layer: Layer, axes: str, plane: Sequence[int]
) -> dict[str, tuple[int, int]]:
    """Return the box of the pixels whose centres lie between points (n, ndim), by axis."""
    box = {}
    for axis in plane:
        n = int(first_level(layer).shape[axis])
        start = max(0, math.ceil(pixels[:, axis].min()))
        stop = min(n, math.floor(pixels[:, axis].max()) + 1)
        if start >= stop:
            what = f"nothing of {layer.name!r} lies there along {axes[axis]} (0 to {n - 1})"
            raise InputError("U150", what, "look at the image, or draw the shape on it")
        box[axes[axis]] = start, stop
    return box
