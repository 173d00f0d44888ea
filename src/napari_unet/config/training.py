"""How to learn: labels, weights, augmentation, optimiser, budget."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from napari_unet.config.errors import InputError
from napari_unet.config.model import ModelConfig
from napari_unet.config.prediction import Precision
from napari_unet.config.schema import Config
from napari_unet.config.tables import LOSSES, RECIPES, REGRESSION

DEFAULT_MINUTES = 2.0
CLASS = r"(-?[0-9]{1,18})=([^:\n]{1,60})(?::(#[0-9a-fA-F]{6}(?:[0-9a-fA-F]{2})?))?"


class ClassEntry(NamedTuple):
    """What a label value is called, and the colour it is shown in, if that was chosen."""

    value: int
    name: str
    colour: str | None


class LabelConfig(Config):
    """What the numbers in a Labels layer mean."""

    kind: Literal["auto", "instances", "classes", "regression"] = Field(
        "auto",
        description="instances: every object its number. classes: every class its number. auto: "
        "what they look like of these. regression: values are to be predicted.",
    )
    zero: Literal["background", "unlabelled"] = Field(
        "background", description="What 0 means: background, or not labelled (ignored everywhere)."
    )
    ignore: int | None = Field(
        None, description="Another label value to ignore in loss, weights and metrics."
    )
    ridge: bool = Field(
        True, description="Part touching instances by a one-pixel line of background."
    )
    names: tuple[str, ...] | None = Field(
        None,
        description="Names and colours, such as 1=nucleus:#ff0000, one for each value; of "
        "instances, 0 is background and 1 object.",
    )

    @property
    def table(self) -> tuple[ClassEntry, ...]:
        """What `names` says."""
        return tuple(map(_read_class, self.names or ()))

    @model_validator(mode="after")
    def _check_names(self) -> LabelConfig:
        values = [entry.value for entry in self.table]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise InputError("U151", f"value {twice[0]} has two names", "name each value once")
        return self


def _read_class(text: str) -> ClassEntry:
    found = re.fullmatch(CLASS, text)
    if found is None:
        remedy = "write it as VALUE=NAME or VALUE=NAME:#rrggbb"
        raise InputError("U150", f"class {text!r}", remedy)
    return ClassEntry(int(found[1]), found[2], found[3])


class WeightConfig(Config):
    """Per-pixel loss weight w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    That is the weight of 2015. `falk2019` gives 1 to objects and, to background, `ratio` +
    w0 exp(-(d1 + d2)^2 / (2 sigma^2)) + (1 - ratio) exp(-d1^2 / (2 sigma_near^2)), with
    w0 = 50, sigma = 6 px, sigma_near = 10 px and ratio = 0.1 in that paper.
    """

    formula: Literal["ronneberger2015", "falk2019"] = Field(
        "ronneberger2015", description="Class weight plus border term, or those of Falk et al."
    )
    balance_classes: bool = Field(True, description="Give every class the same total weight.")
    w0: float = Field(
        10.0, ge=0, le=1000, description="Height of the border term; 0 switches it off."
    )
    sigma: float = Field(
        5.0,
        gt=0,
        le=500,
        description="Reach of the border term, in pixels (or in units of spacing).",
    )
    ratio: float = Field(
        0.1, ge=0, le=1, description="falk2019: weight of background far from any object."
    )
    sigma_near: float = Field(
        10.0, gt=0, le=500, description="falk2019: how far objects raise the weight around them."
    )
    where: Literal["background", "everywhere"] = Field(
        "background", description="Put the border term on background only, or on objects as well."
    )
    spacing: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, description="Size of a pixel along each axis; None measures distances in pixels."
    )


class AugmentConfig(Config):
    """How training patches are varied, drawn anew for each patch."""

    flip: bool = Field(True, description="Mirror along each axis, with probability one half.")
    rotate_deg: float = Field(
        180.0, ge=0, le=180, description="Largest rotation in the image plane, in degrees."
    )
    scale: float = Field(0.2, ge=0, le=0.9, description="Zoom between 1 - scale and 1 + scale.")
    elastic_px: float = Field(
        10.0,
        ge=0,
        le=200,
        description="Spread (standard deviation) of the displacements on a grid of 3 nodes per "
        "axis, in pixels; along a short axis at most a twelfth of the patch.",
    )
    brightness: float = Field(0.1, ge=0, le=2, description="Largest shift of grey values.")
    contrast: float = Field(0.25, ge=0, le=0.95, description="Grey values times 1 - c to 1 + c.")
    noise: float = Field(0.05, ge=0, le=2, description="Largest spread of added Gaussian noise.")


class OptimiserConfig(Config):
    """How parameters follow the gradient."""

    name: Literal["sgd", "adam", "adamw"] = Field(
        "adamw",
        description="sgd with momentum; adam (decay is added to the gradient); adamw (decoupled).",
    )
    rate: float = Field(3e-3, gt=0, le=10, description="Learning rate, at its highest.")
    momentum: float = Field(0.99, ge=0, lt=1, description="Momentum of sgd.")
    decay: float = Field(1e-3, ge=0, le=1, description="Weight decay.")
    nesterov: bool = Field(False, description="sgd: look ahead along the momentum.")
    schedule: Literal["constant", "exponential", "cosine", "one_cycle", "poly"] = Field(
        "one_cycle", description="How the rate changes over the run."
    )
    gamma: float = Field(
        0.9, gt=0, le=1, description="Factor per epoch of the exponential schedule."
    )
    clip: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0 does not clip.")


class LossConfig(Config):
    """The shape of the losses that have one; each number belongs to one of them."""

    squares: bool = Field(
        False, description="dice: sums of squares below the line, as in the V-Net paper."
    )
    over: Literal["batch", "image"] = Field(
        "batch", description="dice, tversky: one score for the whole batch, or one per patch."
    )
    alpha: float = Field(0.3, ge=0, le=10, description="tversky: what an invented pixel costs.")
    beta: float = Field(0.7, ge=0, le=10, description="tversky: what a missed pixel costs.")
    gamma: float = Field(
        2.0, ge=0, le=10, description="focal: how little pixels count that are right already."
    )
    delta: float = Field(
        1.0, gt=0, le=1000, description="huber: where the square becomes a line, in spreads."
    )


class TrainConfig(Config):
    """Everything a training run depends on besides the images."""

    recipe: str = Field(
        "quick", description="Where the settings came from; they can all be changed."
    )
    model: ModelConfig = Field(ModelConfig(), description="The network.")
    labels: LabelConfig = Field(LabelConfig(), description="What the label values mean.")
    weights: WeightConfig = Field(WeightConfig(), description="Per-pixel weights of the loss.")
    augment: AugmentConfig = Field(AugmentConfig(), description="Variation of the patches.")
    optimiser: OptimiserConfig = Field(OptimiserConfig(), description="Optimiser and schedule.")
    loss: str = Field("cross_entropy", description="What is minimised.")
    terms: LossConfig = Field(LossConfig(), description="The shape of the loss.")
    normalisation: Literal["percentile", "zscore", "none", "auto"] = Field(
        "percentile",
        description="Grey values per image and channel: percentiles 1 and 99.8 become 0 and 1; "
        "mean 0 and spread 1; as they are; or auto: one of the first two, by the images.",
    )
    spacing: tuple[Annotated[float, Field(gt=0)], ...] | Literal["first"] | None = Field(
        "first",
        description="Size of pixels that the network sees, in µm (Z, Y, X); other images are "
        "resampled. first: of the parent or the first image. None: as they are.",
    )
    plan: Literal["fixed", "axes", "full"] = Field(
        "axes",
        description="What follows from the images. fixed: nothing. axes: in 3-D, how often each "
        "axis is halved. full: also depth, patch and batch, by image size and memory.",
    )
    patch: int | None = Field(
        None,
        ge=1,
        le=2**20,
        description="Edge of the training patches on which the loss is taken, in pixels; None: "
        "4096 in 1-D, 128 in 2-D, 48 in 3-D.",
    )
    batch: int | None = Field(
        None, ge=1, le=4096, description="Patches per step; None: 16 in 1-D, 4 in 2-D, 2 in 3-D."
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=4096,
        description="In how many pieces a batch is computed: more need less memory and a third "
        "more time. Where memory runs out, there are more than this.",
    )
    oversample: float = Field(
        0.5, ge=0, le=1, description="Share of the patches whose centre is drawn class by class."
    )
    steps_per_epoch: int | None = Field(
        None,
        ge=1,
        description="Steps between validations; None: enough to see every pixel once, or more "
        "where a validation would take longer than a quarter of them.",
    )
    epochs: int | None = Field(
        None, ge=0, le=1_000_000, description="How many epochs; or set minutes."
    )
    minutes: float | None = Field(None, gt=0, le=100_000, description="How long to train.")
    validation: float = Field(
        0.2, ge=0, le=0.9, description="Share of the data held out to validate."
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=100,
        description="Into how many parts the data is cut, one of which is held out instead of a "
        "share of it.",
    )
    fold: int | None = Field(None, ge=1, description="Which of the folds is held out, from 1.")
    shares: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None,
        description="How often each pair is drawn relative to its labelled area, one number for "
        "each; None: all alike.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Same seed, same data, same weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    precision: Precision = Field(
        "auto",
        description="Of the numbers in the network. auto: half of the bits on graphics cards by "
        "NVIDIA and on CPUs that are made for it; float32 else.",
    )
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; None: all cores.")

    @model_validator(mode="before")
    @classmethod
    def _give_a_budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("epochs") is values.get("minutes") is None:
            return {**values, "minutes": DEFAULT_MINUTES}
        return values

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        for word, known in (("recipe", [*RECIPES, "custom"]), ("loss", list(LOSSES))):
            if (name := getattr(self, word)) not in known:
                raise InputError(
                    "U150", f"unknown {word} {name!r}", f"choose from {', '.join(known)}"
                )
        self._check_loss()
        if isinstance(self.spacing, tuple) and len(self.spacing) != self.model.ndim:
            what = f"spacing has {len(self.spacing)} numbers, the network {self.model.ndim} axes"
            raise InputError("U150", what, "give the size of a pixel along each axis, Z, Y, X")
        if self.epochs is not None and self.minutes is not None:
            raise InputError("U152", "both epochs and minutes are set", "choose one budget")
        if self.fold is not None and self.fold > (self.folds or 0):
            what = f"fold {self.fold} of {self.folds}"
            raise InputError("U151", what, "set folds, and fold to a number from 1 to folds")
        return self

    def _check_loss(self) -> None:
        """Refuse a loss that cannot judge what the network says."""
        if (self.loss in REGRESSION) != (self.labels.kind == "regression"):
            choices = [name for name in LOSSES if (name in REGRESSION) != (self.loss in REGRESSION)]
            raise InputError(
                "U151",
                f"loss {self.loss!r} does not go with labels of kind {self.labels.kind!r}",
                f"choose from {', '.join(choices)}",
            )
        if self.loss == "bce" and self.model.classes != 1:
            raise InputError(
                "U151",
                f"loss 'bce' needs one logit, the network has {self.model.classes}",
                "set model.classes=1 or choose cross_entropy",
            )
        if self.loss == "cross_entropy" and self.model.classes == 1:
            raise InputError(
                "U151",
                "loss 'cross_entropy' needs at least two logits, the network has 1",
                "set model.classes=2 or choose bce",
            )

    @classmethod
    def from_recipe(cls, name: str = "quick", **changes: Any) -> TrainConfig:
        """Return the settings of a recipe, with `changes` (nested dicts) laid over them."""
        if name not in RECIPES:
            raise InputError(
                "U150", f"unknown recipe {name!r}", f"choose from {', '.join(RECIPES)}"
            )
        recipe = {"recipe": name, **RECIPES[name]}
        labels = changes.get("labels")
        kind = labels.get("kind") if isinstance(labels, Mapping) else getattr(labels, "kind", None)
        if kind == "regression":
            recipe["loss"] = "mse"  # where the changes do not name another
        return cls.from_settings(recipe, changes)

    @classmethod
    def from_settings(cls, settings: dict[str, Any], changes: dict[str, Any]) -> TrainConfig:
        """Return stored `settings` with `changes` (nested dicts) laid over them."""
        settings = overlay(settings, changes)
        if "epochs" in changes or "minutes" in changes:  # one budget replaces the other
            settings["minutes"] = changes.get("minutes")
            settings["epochs"] = changes.get("epochs")
        return cls.model_validate(settings)


def overlay(below: Any, above: Any) -> Any:
    """Lay nested dicts over one another: `above` wins, key by key."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = overlay(merged.get(key), value)
    return merged
