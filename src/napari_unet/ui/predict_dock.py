"""The dock in which a model is applied to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton

from napari_unet.config import InputError, PredictConfig
from napari_unet.config.prediction import Output
from napari_unet.events import Failed, Finished, Noted, Started, Stopped, TileDone
from napari_unet.ui.diagnosis import duration
from napari_unet.ui.dock import Dock
from napari_unet.ui.form import Form
from napari_unet.ui.prediction import Prediction
from napari_unet.ui.rows import Fold, title
from napari_unet.ui.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer

    from napari_unet.engine.jobs import PredictJob
    from napari_unet.events import Event

HELP: Mapping[str, str] = {
    "classes": "A Labels layer with the class of each pixel.",
    "probabilities": "An Image layer for each class.",
    "attention": "An Image layer for each attention gate, in place.",
}


class PredictDock(Dock):
    """Choose a model and an image, see what it costs, predict, watch it fill in."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.subject = Subject(self.find)
        self.outputs = {name: QCheckBox(name) for name in get_args(Output)}
        self.form = Form(PredictConfig(), only=("tile", "device", "threads"))
        self.cost = QLabel()
        self.cost.setWordWrap(True)
        self.predict_button = QPushButton("Predict")
        self.prediction = Prediction(viewer, self.engine.scratch, self)
        self._compose()
        self._connect()
        self.subject.model.fill(self.root)
        self.fill()

    @property
    def config(self) -> PredictConfig:
        """The settings; raises InputError for what is out of range."""
        chosen = tuple(name for name, box in self.outputs.items() if box.isChecked())
        settings = self.form.value.model_dump() | {"outputs": chosen or ("classes",)}
        return PredictConfig.model_validate(settings)

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        self.subject.fill(self.layers)

    def offer_model(self, folder: str) -> None:
        """Choose a model that was just made."""
        self.subject.model.choose(folder)

    def handle(self, event: Event) -> None:
        """Follow the prediction."""
        self.prediction.take(event)
        match event:
            case Started():
                self.progress.phase("the first tile")
            case Noted(text=text):
                self.message.news(text)
            case TileDone(done=done, total=total, left_s=left_s):
                self.progress.advance(done / total, left_s, f"tile {done} of {total}")
            case Finished(summary=summary):
                self._settle()
                taken = duration(float(summary.get("elapsed_s", 0)))
                self.message.news(f"done in {taken} ({summary.get('tiles', '')} tiles)")
            case Stopped():
                self._settle()
                self.message.news("stopped; the tiles that were done are kept")
            case Failed(code=code, what=what, remedy=remedy, details=details):
                self._settle()
                self.message.error(InputError(code, what, remedy), details)

    def give_up(self, why: str) -> None:
        """Say that the engine died; nothing half-done is shown as a result."""
        self.prediction.discard()
        self._settle()
        self.message.error(InputError("U002", why, "press Predict to try again"))

    def call_off(self) -> None:
        """Give up a prediction that has not reached the engine yet."""
        self.prediction.discard()
        self._settle()

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self.prediction.abandon()
        super().shut_down()

    def _compose(self) -> None:
        self.settings.addWidget(title("What to apply to what"))
        self.settings.addWidget(self.subject)
        self.settings.addWidget(title("What to show"))
        boxes = QHBoxLayout()
        for name, box in self.outputs.items():
            box.setToolTip(HELP[name])
            boxes.addWidget(box)
        self.outputs["classes"].setChecked(True)
        self.settings.addLayout(boxes)
        self.settings.addWidget(Fold("Tiles and device", self.form))
        self.settings.addWidget(self.cost)
        self.foot.insertWidget(0, self.predict_button)

    def _connect(self) -> None:
        self.subject.changed.connect(self._on_choice)
        self.subject.model.refused.connect(self.message.error)
        self.form.changed.connect(self._on_choice)
        for box in self.outputs.values():
            box.toggled.connect(self._on_choice)
        self.predict_button.clicked.connect(self._on_predict)
        self.prediction.submitted.connect(self._on_submitted)
        self.prediction.refused.connect(self._on_refused)

    def _on_choice(self, _checked: bool = False) -> None:
        """Say what a prediction would cost, or why there can be none."""
        why_not = self.subject.why_not or ("a prediction is running" if self.job else "")
        gates = self.subject.card is not None and self.subject.card.model.architecture
        self.outputs["attention"].setEnabled(gates == "attention")
        if gates != "attention":
            self.outputs["attention"].setChecked(False)
        try:
            tile = self.config.tile
        except InputError as error:
            why_not, tile = f"{error.what}: {error.remedy}", "auto"
        self.predict_button.setEnabled(not why_not)
        self.predict_button.setToolTip(f"Not now: {why_not}" if why_not else "Apply the model.")
        self.cost.setText(str(self.subject.cost(tile) or self.subject.why_not))

    def _on_predict(self) -> None:
        layer, card = self.subject.layer, self.subject.card
        if layer is None or card is None:
            return
        self.message.clear()
        self.progress.open("copying the image")
        self.job = self.prediction.begin(
            layer, self.subject.axes.axes, self.subject.model.folder, card, self.config
        )
        self._on_choice()

    def _on_submitted(self, job: PredictJob) -> None:
        self.progress.phase("opening the model")
        self.engine.submit(job, self)

    def _on_refused(self, error: Exception) -> None:
        self.call_off()
        self.message.error(error)

    def _settle(self) -> None:
        self.job = ""
        self.progress.close_job()
        self._on_choice()
