"""The dock in which a model is applied to an image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton

from napari_unet.config import InputError, InstanceConfig, PredictConfig
from napari_unet.config.prediction import Output
from napari_unet.ui.checking import TileCheck
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.cost import CostLine
from napari_unet.ui.form import Form, validate
from napari_unet.ui.layers import check_pair, source_of, truth_axes
from napari_unet.ui.panel import allow
from napari_unet.ui.predicting import PredictingDock
from napari_unet.ui.regions import RegionBoxes
from napari_unet.ui.results import MARK
from napari_unet.ui.rows import Fold, stack, title
from napari_unet.ui.saving import KeepBox, choose_unfinished, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import napari.viewer

    from napari_unet.engine.jobs import Job
    from napari_unet.events import Event
    from napari_unet.ui.layers import Source
    from napari_unet.ui.prediction import Request

HELP: Mapping[str, str] = {
    "classes": "A Labels layer with the class of each pixel.",
    "probabilities": "An Image layer for each class.",
    "values": "An Image layer with the values that the model predicts.",
    "instances": "A Labels layer with a number for each object.",
    "uncertainty": "An Image layer: how much the prediction changes when the image is turned.",
    "loss": "An Image layer: how wrong each pixel is; it needs labels, or a target.",
    "attention": "An Image layer for each attention gate, in place.",
}
COLUMNS = 3  # of boxes
TILES = ("resample", "tile", "memory_gib", "precision", "backend", "device", "threads")
PATIENCE_MS = 3000
DOUBT = ("passes", "dropout_passes")  # settings of the uncertainty


class PredictDock(PredictingDock):
    """Choose a model and an image, see what it costs, predict, watch it fill in."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.tile_check = TileCheck(self.engine.scratch, self)
        self._held: Job | None = None  # until the engine has answered what it costs
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._make_parts()
        self._compose()
        self._connect()
        self.subject.model.fill(self.root)
        self.fill()

    @property
    def config(self) -> PredictConfig:
        """The settings; raises InputError for what is out of range."""
        region, outline = None, None
        layer, card = self.subject.layer, self.subject.card
        if layer is not None and card is not None and not self.subject.why_not:
            axes, ndim = self.subject.axes.axes, card.model.ndim
            region, outline = self.region.region(self.viewer, layer, axes, ndim)
        offered = self._offered()
        chosen = tuple(n for n, box in self.outputs.items() if n in offered and box.isChecked())
        settings = {"outputs": chosen, "region": region, "outline": outline}
        objects = {"instances": self.instances.value}
        return validate(PredictConfig, dict(self.form.value) | settings | objects)

    def request(self, config: PredictConfig) -> Request | None:
        """Return what the boxes say is to be predicted, and where it is kept."""
        request = super().request(config)
        truth = self._truth() if "loss" in config.outputs else None
        return request and replace(request, out=self.keep.path, truth=truth)

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        super().fill()
        for box in (self.labels, self.target):
            box.fill([layer for layer in self.layers if MARK not in layer.metadata])
        self.region.shapes.fill(self.layers)

    def check(self, _checked: bool = False) -> None:
        """Say what a prediction would cost, or why there can be none."""
        self._offer()
        request, why_not = None, self.subject.why_not
        try:
            request = None if why_not else self.request(self.config)
        except InputError as error:
            why_not = f"{error.what}: {error.remedy}"
        busy = "a prediction is running" if self.job else ""
        allow(self.predict_button, why_not or busy, "Apply the model.")
        allow(self.check_button, why_not or busy, self.tile_check.__doc__ or "")
        kept = self.prediction.unfinished
        allow(
            self.resume_button,
            busy or ("" if kept else self.subject.why_not),
            "Compute the missing tiles, in the same layers."
            if kept
            else "Choose an unfinished result on disk; its missing tiles are computed.",
        )
        if self.job:
            self.cost.rest()
        elif request is None:
            self.cost.tell(why_not)
        else:
            self.cost.ask(request.source, request.folder, request.config)

    def handle(self, event: Event) -> None:
        """Follow the prediction, or the check of the tiles."""
        if self.job != self.tile_check.job:
            super().handle(event)
            return
        verdict = self.tile_check.verdict(event)
        if verdict is not None:
            self._settle()
            verdict.tell(self.message)

    def call_off(self) -> None:
        """Give up a prediction, or a check of the tiles, that has not reached the engine yet."""
        self.tile_check.stop()
        super().call_off()

    def resume_from(self, folder: Path) -> None:
        """Go on with an unfinished result on disk, of the image and the model that are chosen."""
        try:
            out, settings = read_settings(folder)
            config = validate(PredictConfig, dict(self.form.value) | settings)
            request = self.request(config)
        except InputError as error:
            self.message.error(error)
            return
        self.begin(request and replace(request, out=out, resume=True))

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self.cost.stop()
        self._patience.stop()
        self.tile_check.stop()
        super().shut_down()

    def _offered(self) -> tuple[str, ...]:
        """Name the outputs that the chosen model can give."""
        card = self.subject.card
        values = card is not None and card.kind == "regression"
        natural = ("values",) if values else ("classes", "probabilities", "instances")
        truth = self.target if values else self.labels
        others = {"attention": self.subject.gated, "loss": truth.key is not None}
        return (*natural, "uncertainty", *(name for name, there in others.items() if there))

    def _offer(self) -> None:
        """Show what can be chosen of this image with this model."""
        offered, card, layer = self._offered(), self.subject.card, self.subject.layer
        for name, box in self.outputs.items():
            box.setEnabled(name in offered)
            box.setVisible(name in offered or name in {"attention", "loss"})
            if name in {"attention", "loss"} and name not in offered:
                box.setChecked(False)
        loss, values = self.outputs["loss"].isChecked(), "values" in offered
        self.labels.setVisible(loss and not values)
        self.target.setVisible(loss and values)
        self.instances.setVisible(self.outputs["instances"].isChecked() and not values)
        doubt = DOUBT if self.outputs["uncertainty"].isChecked() else ()
        self.form.reveal((*TILES, *doubt))
        if card is not None and layer is not None and not self.subject.why_not:
            source = source_of(layer, self.subject.axes.axes)
            self.region.fit(source.data.shape, source.axes, card.model.ndim)

    def _truth(self) -> Source | None:
        """Return what the loss is measured against; raises InputError where it does not fit."""
        values = self.subject.card is not None and self.subject.card.kind == "regression"
        image, axes = self.subject.layer, self.subject.axes.axes
        truth = self.find((self.target if values else self.labels).key)
        if image is None or truth is None:
            return None
        check_pair(image, truth, axes)
        return source_of(truth, truth_axes(truth, image, axes))

    def _make_parts(self) -> None:
        self.outputs = {name: QCheckBox(name) for name in get_args(Output)}
        for name, box in self.outputs.items():
            box.setToolTip(HELP[name])
        for name in ("classes", "values"):
            self.outputs[name].setChecked(True)
        self.labels = LayerBox(Labels, "The labels that the loss is measured against.")
        self.target = LayerBox(Image, "The target that the loss is measured against.")
        self.region = RegionBoxes()
        self.keep = KeepBox()
        self.form = Form(PredictConfig(), only=(*TILES, *DOUBT))
        self.instances = Form(InstanceConfig())
        self.cost = CostLine(self.engine, self)
        self.predict_button = QPushButton("Predict")
        self.resume_button = QPushButton("Resume")
        self.check_button = QPushButton("Check tiles")

    def _compose(self) -> None:
        self.settings.addWidget(title("What to apply to what"))
        self.settings.addWidget(self.subject)
        self.settings.addWidget(title("What to show"))
        boxes = QGridLayout()
        for number, box in enumerate(self.outputs.values()):
            boxes.addWidget(box, *divmod(number, COLUMNS))
        self.settings.addLayout(boxes)
        truth = (("", self.labels), ("", self.target))
        part = (("part", self.region), ("keep it", self.keep))
        self.settings.addWidget(stack(*truth, *part))
        self.settings.addWidget(Fold("Tiles, memory and device", self.form))
        self.settings.addWidget(Fold("Objects", self.instances))
        self.settings.addWidget(self.cost)
        buttons = QHBoxLayout()
        buttons.addWidget(self.predict_button, stretch=2)
        buttons.addWidget(self.resume_button, stretch=1)
        buttons.addWidget(self.check_button, stretch=1)
        self.foot.insertLayout(0, buttons)

    def _connect(self) -> None:
        self.offer_devices(self.form.field("device"))
        for part in (self.form, self.instances, self.region, self.keep):
            part.changed.connect(self.check)
        for choice in (self.labels, self.target):
            choice.chosen.connect(self.check)
        for box in self.outputs.values():
            box.toggled.connect(self.check)
        self.predict_button.clicked.connect(self._on_predict)
        self.resume_button.clicked.connect(self._on_resume)
        self.check_button.clicked.connect(self._on_check)
        self.tile_check.submitted.connect(self._on_submitted)
        self.tile_check.refused.connect(self._on_check_refused)
        self.cost.answered.connect(self._submit_held)
        self._patience.timeout.connect(self._submit_held)

    def _on_predict(self) -> None:
        self.begin(self.request(self.config))

    def _on_resume(self) -> None:
        if self.prediction.unfinished:
            self.message.clear()
            self.progress.open("opening the model")
            self.job = self.prediction.resume()
            self.check()
            return
        folder = choose_unfinished(self)
        if folder is not None:
            self.resume_from(folder)

    def _on_check(self) -> None:
        request = self.request(self.config)
        if request is not None:
            self.message.clear()
            self.progress.open("copying the image")
            self.job = self.tile_check.begin(request)
            self.check()

    def _on_check_refused(self, error: Exception) -> None:
        self._settle()
        self.message.error(error)

    def _on_submitted(self, job: Job) -> None:
        """Wait a while for the warm process that is at work on the cost: a new one is slower."""
        if self.cost.busy:
            self._held = job
            self._patience.start()
        else:
            super()._on_submitted(job)

    def _submit_held(self) -> None:
        self._patience.stop()
        held, self._held = self._held, None
        if held is not None and held.job == self.job:
            super()._on_submitted(held)

    def _on_moved(self) -> None:
        super()._on_moved()
        if not self.job and self.region.follows:
            self.check()
