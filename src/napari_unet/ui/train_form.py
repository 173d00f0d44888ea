"""All settings of a training as one form: the most important on top, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, FloatSpinBox
from pydantic import ValidationError
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_unet.config import RECIPES, ModelConfig, TrainConfig, explain, overlay
from napari_unet.ui.form import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = ("loss", "normalisation", "patch", "batch", "steps_per_epoch", "validation", "seed",
         "device", "threads")  # fmt: skip
MEANING: Mapping[tuple[str, str], str] = {
    ("instances", "background"): "0 is background; every other number is one object.",
    ("instances", "unlabelled"): "0 is not labelled and counts nowhere; 1 is background, "
    "every number from 2 on is one object.",
    ("classes", "background"): "0 is background; every other number is a class.",
    ("classes", "unlabelled"): "0 is not labelled and counts nowhere; every other number is a "
    "class, background included.",
}  # fmt: skip


class TrainForm(QObject):
    """Forms of the parts of a TrainConfig, for a dock to place; `value` puts them together.

    Channels and classes are not asked for: they follow from the data.
    """

    changed = Signal()

    def __init__(self, config: TrainConfig, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._config = config
        self.recipe = ComboBox(
            choices=list(RECIPES), value=config.recipe if config.recipe in RECIPES else "quick"
        )
        self.recipe.native.setToolTip("Settings that go well together; all can be changed below.")
        self.meaning = Form(config.labels, only=("kind", "zero"))
        self.meaning_words = QLabel()
        self.meaning_words.setWordWrap(True)
        self.network = Form(config.model, only=("architecture", "ndim", "base", "depth"))
        self.budget = Budget()
        self.labels = Form(config.labels, only=("ignore", "ridge"))
        self.layers = Form(config.model, only=("norm", "upsampling", "dropout"))
        self.weights = Form(config.weights)
        self.augment = Form(config.augment)
        self.optimiser = Form(config.optimiser)
        self.plain = Form(config, only=PLAIN)
        self._parts = (
            ("labels", self.meaning), ("labels", self.labels), ("model", self.network),
            ("model", self.layers), ("weights", self.weights), ("augment", self.augment),
            ("optimiser", self.optimiser), ("", self.plain),
        )  # fmt: skip
        self.value = config
        self.recipe.changed.connect(self._on_recipe)
        self.network.field("architecture").changed.connect(self._on_architecture)
        self.budget.changed.connect(self._on_changed)
        for _, form in self._parts:
            form.changed.connect(self._on_changed)

    @property
    def value(self) -> TrainConfig:
        """The settings that the forms show.

        Raises
        ------
        InputError
            For what a field or their combination does not allow.
        """
        settings: dict[str, Any] = self._config.model_dump()
        for path, form in self._parts:
            settings = overlay(settings, {path: form.settings} if path else form.settings)
        settings |= {"recipe": self.recipe.value, **self.budget.settings}
        try:
            return TrainConfig.model_validate(_with_logits(settings))
        except ValidationError as error:
            raise explain(error) from error

    @value.setter
    def value(self, config: TrainConfig) -> None:
        self.blockSignals(True)
        self._config = config
        for path, form in self._parts:
            form.value = getattr(config, path) if path else config
        self.budget.show_settings(config)
        self.blockSignals(False)
        self._on_changed()

    def _on_recipe(self, name: str) -> None:
        """Take the settings of a recipe, but what the user said about labels and space stays."""
        kept = {
            "labels": self.meaning.settings | self.labels.settings,
            "model": {"ndim": self.network.settings["ndim"]},
            **{key: self.plain.settings[key] for key in ("seed", "device", "threads")},
        }
        self.value = TrainConfig.from_recipe(name, **kept)

    def _on_architecture(self) -> None:
        """Take the options of the paper; the size stays as chosen."""
        self.layers.value = ModelConfig.model_validate(self.network.settings)

    def _on_changed(self) -> None:
        chosen = self.meaning.settings
        self.meaning_words.setText(MEANING[chosen["kind"], chosen["zero"]])
        self.changed.emit()


class Budget(QWidget):
    """How long to train: an amount, in minutes or in epochs."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.amount = FloatSpinBox(value=2, min=0, max=100_000, step=1)
        self.unit = ComboBox(choices=["minutes", "epochs"])
        tooltip = "When to stop. Stopping earlier keeps the best network so far."
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.amount, self.unit):
            part.native.setToolTip(tooltip)
            layout.addWidget(part.native, stretch=1)
            part.changed.connect(self._on_changed)

    @property
    def settings(self) -> dict[str, float | int | None]:
        """The fields `minutes` and `epochs`; one of them is None."""
        amount = float(self.amount.value)
        if self.unit.value == "epochs":
            return {"minutes": None, "epochs": round(amount)}
        return {"minutes": amount, "epochs": None}

    def show_settings(self, config: TrainConfig) -> None:
        """Show the budget of `config`."""
        amount = config.minutes if config.epochs is None else config.epochs
        self.unit.value = "minutes" if config.epochs is None else "epochs"
        self.amount.value = 2.0 if amount is None else amount

    def _on_changed(self, _value: object) -> None:
        self.changed.emit()


def _with_logits(settings: dict[str, Any]) -> dict[str, Any]:
    """Give the network one logit for the loss that wants one, else at least two."""
    classes = settings["model"]["classes"]
    wanted = 1 if settings["loss"] == "bce" else max(2, classes)
    changed: dict[str, Any] = overlay(settings, {"model": {"classes": wanted}})
    return changed
