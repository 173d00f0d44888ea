"""The dock in which a prediction is held against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QTabWidget

from napari_unet.config import EvaluateConfig, InputError
from napari_unet.metrics.errors import STATUSES
from napari_unet.metrics.pixels import check_shapes
from napari_unet.ui.background import Background
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.evaluation import (
    COLOURS,
    MEANINGS,
    compare_layers,
    error_layer,
)
from napari_unet.ui.form import Form
from napari_unet.ui.layers import Source, first_level, layer_is_rgb
from napari_unet.ui.panel import Panel, allow
from napari_unet.ui.results import MARK
from napari_unet.ui.rows import stack, title
from napari_unet.ui.showing import find_marked, go_to, remove, show
from napari_unet.ui.space import differences, space
from napari_unet.ui.table import TableView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import napari.viewer

    from napari_unet.metrics.tabulate import Table
    from napari_unet.ui.evaluation import Evaluation
    from napari_unet.ui.results import LayerTuple

OFFERED: Mapping[str, tuple[Any, Any]] = {  # kinds of layers: prediction, truth
    "classes": (Labels, Labels),
    "instances": (Labels, Labels),
    "regression": (Image, Image),
    "isbi": ((Labels, Image), Labels),
}
HELP = "Compute the scores; of objects, also a layer that shows what became of each."


class EvaluateDock(Panel):
    """Two layers, what they mean, and how well they agree."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._working = Background(self)
        self._compared: object = None  # unique_id of prediction and of truth
        self._meta: dict[str, Any] = {}  # name and space of the layer of errors
        self._doubt = ""
        self._objects: Table | None = None
        self.prediction = LayerBox(Layer, "What a network, or someone, made of an image.")
        self.truth = LayerBox(Layer, "What it should be.")
        self.form = Form(EvaluateConfig())
        self.evaluate_button = QPushButton("Evaluate")
        self.scores, self.objects = TableView(), TableView()
        self.tabs = QTabWidget()
        self.legend = QLabel()
        self._compose()
        self._connect()
        self.fill()

    def fill(self) -> None:
        """Offer the layers that the kind of comparison can take."""
        kinds = OFFERED[self.form.field("kind").value]
        made, true = ([x for x in self.layers if isinstance(x, kind)] for kind in kinds)
        self.prediction.fill(made)
        self.truth.fill(true, _partner(self.find(self.prediction.key), true))
        if self.truth.key == self.prediction.key:  # it was the only one when it was chosen
            self.prediction.key = _partner(self.find(self.truth.key), made) or self.prediction.key
        self.check()

    def check(self) -> None:
        """Allow the button, or say why it cannot be pressed."""
        objects = self.form.field("kind").value == "instances"
        self.form.field("threshold").widget.setEnabled(objects)
        allow(self.evaluate_button, self._why_not(), HELP)

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self._working.stop()

    def _why_not(self) -> str:
        prediction, truth = self.find(self.prediction.key), self.find(self.truth.key)
        if prediction is None or truth is None:
            return "open a prediction and the truth for it first"
        if self.prediction.key == self.truth.key:
            return "choose two different layers"
        try:
            check_shapes(first_level(prediction), first_level(truth))
        except InputError as error:
            return f"{error.what}: {error.remedy}"
        return self.form.error_text

    def _compose(self) -> None:
        self.settings.addWidget(title("What to compare"))
        self.settings.addWidget(stack(("prediction", self.prediction), ("truth", self.truth)))
        self.settings.addWidget(title("How"))
        self.settings.addWidget(self.form)
        self.tabs.addTab(self.scores, "Scores")
        self.tabs.addTab(self.objects, "Objects")
        self.tabs.setTabToolTip(1, "Click on an object to go there.")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setToolTip("<br>".join(f"{name}: {MEANINGS[name]}" for name in STATUSES))
        self.legend.hide()
        self.foot.insertWidget(0, self.evaluate_button)
        self.foot.addWidget(self.legend)
        self.give_room(self.tabs)
        self.tabs.setTabVisible(1, False)

    def _connect(self) -> None:
        self.prediction.chosen.connect(self.check)
        self.truth.chosen.connect(self.check)
        self.form.field("kind").changed.connect(self.fill)
        self.form.changed.connect(self.check)
        self.evaluate_button.clicked.connect(self._on_evaluate)
        self._working.done.connect(self._on_done)
        self._working.failed.connect(self._on_failed)
        self.objects.picked.connect(self._on_picked)
        for table in (self.scores, self.objects):
            table.refused.connect(self.message.error)

    def _on_evaluate(self) -> None:
        if self._working.busy:
            self._working.stop()
            self._rest()
            self.message.news("stopped")
            return
        prediction, truth = self.find(self.prediction.key), self.find(self.truth.key)
        if prediction is None or truth is None:
            return
        unlike = " and ".join(differences(truth, prediction))
        self._doubt = f"the layers differ in {unlike}: are they of one image? " if unlike else ""
        self._compared = prediction.unique_id, truth.unique_id
        self._meta = {"name": f"{prediction.name}: errors", **space(truth)}
        self.evaluate_button.setText("Stop")
        self.message.news("comparing…")
        self._working.run(compare_layers, _source(prediction), _source(truth), self.form.value)

    def _on_done(self, evaluation: Evaluation) -> None:
        self._rest()
        say = self.message.warn if self._doubt else self.message.news
        say(self._doubt + evaluation.words)
        self._objects = evaluation.objects
        self.scores.show_table(evaluation.scores.columns, evaluation.scores.rows)
        self.tabs.setTabVisible(1, self._objects is not None)
        self.legend.setVisible(self._objects is not None)
        if self._objects is not None:
            self.objects.show_table(self._objects.columns, self._objects.rows)
            self.legend.setText(_legend([str(row[1]) for row in self._objects.rows]))
            self._show_errors(error_layer(evaluation, self._meta, self._compared))

    def _on_failed(self, error: Exception) -> None:
        self._rest()
        self.message.error(error)

    def _rest(self) -> None:
        """Be ready for the next comparison."""
        self.evaluate_button.setText("Evaluate")

    def _show_errors(self, made: LayerTuple) -> None:
        """Show the layer of errors in place of the one before."""
        earlier = find_marked(self.viewer, made[1]["metadata"][MARK])
        if earlier is not None:
            remove(self.viewer, earlier.unique_id)
        show(self.viewer, made)

    def _on_picked(self, row: int) -> None:
        """Go to the object in a row."""
        layer = find_marked(self.viewer, {"errors": self._compared})
        if layer is None or self._objects is None:
            return
        cells = self._objects.rows[row][-layer.ndim :]
        pixel = [float(cell) for cell in cells if cell is not None]
        if len(pixel) == layer.ndim:  # an object that is hidden has no middle
            go_to(self.viewer, layer, pixel)


def _partner(layer: Layer | None, layers: Sequence[Layer]) -> object:
    """Return the key of the newest other layer of the same shape, or None."""
    if layer is None:
        return None
    shape = first_level(layer).shape
    others = (
        x.unique_id
        for x in reversed(layers)
        if x.unique_id != layer.unique_id and first_level(x).shape == shape
    )
    return next(others, None)


def _source(layer: Layer) -> Source:
    """Name the axes of a layer: those of space come last, colour behind them."""
    axes = "PTZYX"[-layer.ndim :] + "C" * layer_is_rgb(layer)
    return Source(first_level(layer), axes, spacing=(), name=str(layer.name))


def _legend(statuses: list[str]) -> str:
    """Write each status in its colour, with how many objects have it."""
    parts = []
    for name, colour in COLOURS.items():
        code = "#" + "".join(f"{round(255 * c):02x}" for c in colour[:3])
        parts.append(
            f'<span style="color: {code}">■</span>&nbsp;{statuses.count(name)}&nbsp;{name}'
        )
    return "&nbsp; ".join(parts)
