"""The part of the Train dock in which a training is watched and corrected while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QWidget

from napari_unet.events import Corrected, Doubted, Prepared, Previewed, Started
from napari_unet.metrics.course import CORRECTED
from napari_unet.ui.layers import find_layer, source_of, truth_axes
from napari_unet.ui.live import Live
from napari_unet.ui.showing import show_anew
from napari_unet.ui.split_shapes import split_layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer
    from napari.layers import Layer

    from napari_unet.engine.jobs import Correct
    from napari_unet.events import Event
    from napari_unet.ui.engine import Engine
    from napari_unet.ui.pace import Pace
    from napari_unet.ui.training_run import TrainingRun

VIEW = (
    "Show what the network makes of the image you look at, anew after each validation. While the "
    "training is paused, you may paint over its errors: they become labels."
)
NEXT = (
    "Go to a place where the network is least sure: labels help most there. Press again for the "
    "next place."
)


class Watching(QWidget):
    """Switches for the live view, the loss and the places of doubt of the training that runs."""

    told = Signal(str)  # something the user should know

    def __init__(
        self, viewer: napari.viewer.Viewer, engine: Engine, training: TrainingRun, pace: Pace
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.live = Live(viewer, engine.scratch, pace)
        self._engine, self._training = engine, training
        self._chosen: list[tuple[list[Layer], Layer]] = []
        self._axes = ""
        self._split: Mapping[str, Any] = {}  # what is held out
        self.view = QCheckBox("Live view")
        self.view.setChecked(True)
        self.view.setToolTip(VIEW)
        self.loss_button, self.next_button = QPushButton("Loss"), QPushButton("Where next")
        self.loss_button.setToolTip("Show how wrong each pixel is that is held out to validate.")
        self.next_button.setToolTip(NEXT)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.held_button = QPushButton("Held out")
        self.held_button.setToolTip("Draw what is held out to validate, and the gap around it.")
        for part in (self.view, self.held_button, self.loss_button, self.next_button):
            row.addWidget(part)
        self.hide()
        self._connect()

    def choose(self, chosen: list[tuple[list[Layer], Layer]], axes: str) -> None:
        """Remember the images and labels of the training that is about to start."""
        self._chosen, self._axes = chosen, axes

    def get_ready(self, ndim: int) -> None:
        """Make the layer of the live view, for a network of `ndim` dimensions."""
        self.live.get_ready(self._chosen, self._axes, ndim)

    def end(self) -> None:
        """Watch nothing any more."""
        self.live.end()
        self.hide()

    def go_on(self) -> bool:
        """Go on after a pause with what was painted meanwhile; return whether anything was."""
        self.live.keep_painted()
        if not self.live.painted.changed:
            return False
        self.live.painted.changed = False
        axes = self._axes
        truths = [source_of(t, truth_axes(t, images[0], axes)) for images, t in self._chosen]
        self._training.correct(truths)
        return True

    def _connect(self) -> None:
        self._engine.happened.connect(self._on_happened)
        self._training.corrected.connect(self._on_corrected)
        self.live.ordered.connect(self._engine.ask)
        self.live.told.connect(self.told)
        self.view.toggled.connect(self.live.turn)
        self.held_button.clicked.connect(self._on_held_out)
        self.loss_button.clicked.connect(lambda: self.live.ask("loss"))
        self.next_button.clicked.connect(lambda: self.live.ask("doubt"))

    def _on_happened(self, job: str, event: Event) -> None:
        order = self._training.order
        if order is None or job != order.job:
            return
        match event:
            case Started():
                self.show()
                self.live.begin(order, self._chosen, self._axes)
            case Prepared(kind=kind, split=split):
                self.live.kind, self._split = kind, split
            case Previewed() | Doubted():
                self.live.take(event)
            case Corrected(pixels=pixels):
                if pixels:  # else scores before and after are of the same labels
                    self._training.course.mark(CORRECTED)
                self.told.emit(f"going on with {pixels:,} corrected pixels")

    def _on_held_out(self) -> None:
        """Draw the boxes over the images that are still there."""
        order = self._training.order
        if order is None or not self._split:
            return
        ndim = order.config.model.ndim
        for pair, (images, _) in enumerate(self._chosen):
            if find_layer(self.viewer.layers, images[0].unique_id) is not None:
                made = split_layer(images[0], self._axes, ndim, self._split, pair)
                if made is not None:
                    show_anew(self.viewer, made)
        self.told.emit(str(self._split.get("words", "")))

    def _on_corrected(self, order: Correct) -> None:
        self._engine.ask(order)
        self._engine.resume(order.job)
