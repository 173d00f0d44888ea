"""The dock in which a model is applied to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton

from napari_unet.config import InputError, PredictConfig
from napari_unet.config.prediction import Output
from napari_unet.ui.form import Form
from napari_unet.ui.panel import allow
from napari_unet.ui.predicting import PredictingDock
from napari_unet.ui.rows import Fold, title

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer

HELP: Mapping[str, str] = {
    "classes": "A Labels layer with the class of each pixel.",
    "probabilities": "An Image layer for each class.",
    "values": "An Image layer with the values that the model predicts.",
    "attention": "An Image layer for each attention gate, in place.",
}


class PredictDock(PredictingDock):
    """Choose a model and an image, see what it costs, predict, watch it fill in."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.outputs = {name: QCheckBox(name) for name in get_args(Output)}
        self.form = Form(PredictConfig(), only=("tile", "device", "threads"))
        self.cost = QLabel()
        self.cost.setWordWrap(True)
        self.predict_button = QPushButton("Predict")
        self._compose()
        self._connect()
        self.subject.model.fill(self.root)
        self.fill()

    @property
    def config(self) -> PredictConfig:
        """The settings; raises InputError for what is out of range."""
        offered = self._offered()
        chosen = tuple(n for n, box in self.outputs.items() if n in offered and box.isChecked())
        settings = self.form.value.model_dump() | {"outputs": chosen}
        return PredictConfig.model_validate(settings)

    def check(self, _checked: bool = False) -> None:
        """Say what a prediction would cost, or why there can be none."""
        why_not = self.subject.why_not or ("a prediction is running" if self.job else "")
        offered = self._offered()
        for name, box in self.outputs.items():
            box.setEnabled(name in offered)
            box.setVisible(name in offered or name == "attention")
        if "attention" not in offered:
            self.outputs["attention"].setChecked(False)
        try:
            tile = self.config.tile
        except InputError as error:
            why_not, tile = f"{error.what}: {error.remedy}", "auto"
        allow(self.predict_button, why_not, "Apply the model.")
        self.cost.setText(str(self.subject.cost(tile) or self.subject.why_not))

    def _offered(self) -> tuple[str, ...]:
        """Name the outputs of the chosen model."""
        card = self.subject.card
        natural = (
            ("values",) if card and card.kind == "regression" else ("classes", "probabilities")
        )
        return (*natural, "attention") if self.subject.gated else natural

    def _compose(self) -> None:
        self.settings.addWidget(title("What to apply to what"))
        self.settings.addWidget(self.subject)
        self.settings.addWidget(title("What to show"))
        boxes = QHBoxLayout()
        for name, box in self.outputs.items():
            box.setToolTip(HELP[name])
            boxes.addWidget(box)
        for name in ("classes", "values"):
            self.outputs[name].setChecked(True)
        self.settings.addLayout(boxes)
        self.settings.addWidget(Fold("Tiles and device", self.form))
        self.settings.addWidget(self.cost)
        self.foot.insertWidget(0, self.predict_button)

    def _connect(self) -> None:
        self.form.changed.connect(self.check)
        for box in self.outputs.values():
            box.toggled.connect(self.check)
        self.predict_button.clicked.connect(self._on_predict)

    def _on_predict(self) -> None:
        self.begin(self.config)
