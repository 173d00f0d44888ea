"""All settings of a training as one form: the most important on top, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, FloatSpinBox
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_unet.config import (
    ARCHITECTURES,
    FORMULAS,
    LOSSES,
    OPTIONS,
    RECIPES,
    REGRESSION,
    LabelConfig,
    ModelConfig,
    TrainConfig,
    overlay,
)
from napari_unet.ui.form import Form, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAIN = ("normalisation", "spacing", "plan", "patch", "batch", "accumulate", "oversample",
         "steps_per_epoch", "validation", "seed", "device", "precision", "threads")  # fmt: skip
PER_AXIS = ("halvings", "flat")  # one number for each axis of space
MEANING: Mapping[tuple[str, str], str] = {
    ("auto", "background"): "0 is background; whether the other numbers are objects or classes is "
    "found out and said.",
    ("auto", "unlabelled"): "0 is not labelled and counts nowhere; up to 8 other numbers are "
    "classes, background included.",
    ("instances", "background"): "0 is background; every other number is one object.",
    ("instances", "unlabelled"): "0 is not labelled and counts nowhere; 1 is background, "
    "every number from 2 on is one object.",
    ("classes", "background"): "0 is background; every other number is a class.",
    ("classes", "unlabelled"): "0 is not labelled and counts nowhere; every other number is a "
    "class, background included.",
    ("regression", "background"): "The target is an image: its values are to be predicted.",
    ("regression", "unlabelled"): "The target is an image whose values are to be predicted; "
    "where it is 0, nothing is known and nothing counts.",
}  # fmt: skip
RIDGED = ("auto", "instances")  # the kinds whose objects may have to be parted
TERMS: Mapping[str, Sequence[str]] = {
    "dice": ("squares", "over"),
    "cross_entropy_dice": ("squares", "over"),
    "tversky": ("over", "alpha", "beta"),
    "focal": ("gamma",),
    "huber": ("delta",),
}  # what shapes which loss
ALIKE = "In regression every pixel with a value counts the same: there are no border weights."


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
        names = ("architecture", "variant", "ndim", "base", "depth")
        self.network = Form(config.model, only=names)
        self.budget = Budget()
        self.labels = Form(config.labels, only=("ignore", "ridge"))
        self.layers = Form(config.model, only=(*OPTIONS, *PER_AXIS))
        self.weights, self.weights_words = Form(config.weights), QLabel(ALIKE)
        self.weights_words.setWordWrap(True)
        self.augment = Form(config.augment)
        self.optimiser = Form(config.optimiser)
        self.loss, self.terms = Form(config, only=("loss",)), Form(config.terms)
        self.plain = Form(config, only=PLAIN)
        self._parts = (
            ("labels", self.meaning), ("labels", self.labels), ("model", self.network),
            ("model", self.layers), ("weights", self.weights), ("augment", self.augment),
            ("optimiser", self.optimiser), ("", self.loss), ("terms", self.terms),
            ("", self.plain),
        )  # fmt: skip
        self.value = config
        self._connect()

    def _connect(self) -> None:
        self.recipe.changed.connect(self._on_recipe)
        for name in ("architecture", "variant"):
            self.network.field(name).changed.connect(self._on_architecture)
        self.network.field("ndim").changed.connect(self._on_ndim)
        self.weights.field("formula").changed.connect(self._on_formula)
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
        return validate(TrainConfig, _with_logits(settings))

    @value.setter
    def value(self, config: TrainConfig) -> None:
        self.blockSignals(True)
        self._config = config
        self.loss.field("loss").offer(losses_for(config.labels.kind))
        for path, form in self._parts:
            form.value = getattr(config, path) if path else config
        self.budget.show_settings(config)
        self.blockSignals(False)
        self._on_changed()

    @property
    def kind(self) -> str:
        """What the labels are: instances, classes, regression."""
        return str(self.meaning.settings["kind"])

    def _on_recipe(self, name: str) -> None:
        """Take the settings of a recipe, but what the user said about labels and space stays."""
        fields = [self.labels.field(key) for key in ("ignore", "ridge")]
        fields += [self.plain.field(key) for key in ("seed", "device", "precision", "threads")]
        kept = [field.value for field in fields]  # as typed, be it right or wrong
        space = {"ndim": self.network.settings["ndim"]}
        self.value = TrainConfig.from_recipe(name, labels=self.meaning.settings, model=space)
        for field, value in zip(fields, kept, strict=True):
            field.value = value

    def _on_architecture(self) -> None:
        """Take the options of the paper; the size stays as chosen."""
        if not self.signalsBlocked():
            size = {name: self.layers.settings[name] for name in PER_AXIS}
            paper = ModelConfig.model_validate(self.network.settings)
            self.layers.value = paper.model_copy(update=size)  # the form tells if it is wrong

    def _on_ndim(self) -> None:
        """Forget what was said of each axis: there are others now."""
        if not self.signalsBlocked():
            for name in PER_AXIS:
                self.layers.field(name).value = None

    def _on_formula(self) -> None:
        """Take the numbers of the paper that the formula is from."""
        if self.signalsBlocked():
            return
        for name, number in FORMULAS[self.weights.settings["formula"]].items():
            self.weights.field(name).value = number

    def _on_changed(self) -> None:
        if self.signalsBlocked():
            return
        chosen = self.meaning.settings
        self.meaning_words.setText(MEANING[chosen["kind"], chosen["zero"]])
        self._offer_losses()
        self._tell_each_other()
        self._reveal()
        self.changed.emit()

    def _offer_losses(self) -> None:
        """Offer the losses that can judge the labels; instead of another, that of the recipe."""
        field, losses = self.loss.field("loss"), losses_for(self.kind)
        fits = field.value in losses
        field.offer(losses)
        wanted = RECIPES[self.recipe.value]["loss"]
        if not fits and wanted in losses:
            field.value = wanted

    def _tell_each_other(self) -> None:
        """Let each form know what others show, where one is checked with the other."""
        options = {name: self.layers.settings[name] for name in OPTIONS}
        self.network.know(**options)
        self.layers.know(**self.network.settings)
        one_logit = self.loss.settings["loss"] == "bce"
        self.loss.know(
            labels=LabelConfig(kind=self.meaning.settings["kind"]),
            model=ModelConfig(classes=1 if one_logit else 2),
        )

    def _reveal(self) -> None:
        """Show the settings that count for what is chosen."""
        network = self.network.settings
        architecture = ARCHITECTURES[network["architecture"]]
        variants = ("variant",) if len(architecture.variants) > 1 else ()
        self.network.reveal(("architecture", *variants, "ndim", "base", "depth"))
        per_axis = PER_AXIS if network["ndim"] == 3 else ()
        self.layers.reveal((*architecture.options, *per_axis))
        self.terms.reveal(TERMS.get(self.loss.settings["loss"], ()))
        falk = self.weights.settings["formula"] == "falk2019"
        own = ("ratio", "sigma_near") if falk else ("balance_classes",)
        self.weights.reveal(("formula", "w0", "sigma", "where", "spacing", *own))
        regression = self.kind == "regression"
        self.weights.setEnabled(not regression)
        self.weights_words.setVisible(regression)
        self.labels.reveal(("ignore", "ridge") if self.kind in RIDGED else ("ignore",))


def losses_for(kind: str) -> list[str]:
    """List the losses that can judge labels of a kind."""
    return [name for name in LOSSES if (name in REGRESSION) == (kind == "regression")]


class Budget(QWidget):
    """How long to train: an amount, in minutes or in epochs."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.amount = FloatSpinBox(value=2, min=0, max=100_000, step=1)
        self.unit = ComboBox(choices=["minutes", "epochs"])
        self.setToolTip("When to stop. Stopping earlier keeps the best network so far.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.amount, self.unit):
            part.native.setToolTip(self.toolTip())
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
    """Give the network one logit for the loss that wants one, else at least two.

    In regression there is one number for each channel of the target: at least one.
    """
    classes = settings["model"]["classes"]
    if settings["labels"]["kind"] == "regression":
        return settings
    wanted = 1 if settings["loss"] == "bce" else max(2, classes)
    changed: dict[str, Any] = overlay(settings, {"model": {"classes": wanted}})
    return changed
