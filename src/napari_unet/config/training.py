"""How to learn: labels, weights, augmentation, optimiser, budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from napari_unet.config.errors import InputError
from napari_unet.config.model import ModelConfig
from napari_unet.config.schema import Config
from napari_unet.config.tables import LOSSES, RECIPES

DEFAULT_MINUTES = 2.0


class LabelConfig(Config):
    """What the numbers in a Labels layer mean."""

    kind: Literal["instances", "classes"] = Field(
        "instances",
        description="instances: every object its number. classes: every class its number.",
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


class WeightConfig(Config):
    """Per-pixel loss weight w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2))."""

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
        description="Spread (standard deviation) of the displacements on a 3 x 3 grid, in pixels.",
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
    schedule: Literal["constant", "exponential", "cosine", "one_cycle"] = Field(
        "one_cycle", description="How the rate changes over the run."
    )
    gamma: float = Field(
        0.9, gt=0, le=1, description="Factor per epoch of the exponential schedule."
    )
    clip: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0 does not clip.")


class TrainConfig(Config):
    """Everything a training run depends on besides the images."""

    recipe: Literal["quick", "paper", "lecture", "custom"] = Field(
        "quick", description="Where the settings came from; they can all be changed."
    )
    model: ModelConfig = Field(ModelConfig(), description="The network.")
    labels: LabelConfig = Field(LabelConfig(), description="What the label values mean.")
    weights: WeightConfig = Field(WeightConfig(), description="Per-pixel weights of the loss.")
    augment: AugmentConfig = Field(AugmentConfig(), description="Variation of the patches.")
    optimiser: OptimiserConfig = Field(OptimiserConfig(), description="Optimiser and schedule.")
    loss: str = Field("cross_entropy", description="What is minimised.")
    normalisation: Literal["percentile", "zscore", "none"] = Field(
        "percentile",
        description="Grey values per image and channel: percentiles 1 and 99.8 become 0 and 1; "
        "mean 0 and spread 1; or as they are.",
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
    steps_per_epoch: int | None = Field(
        None, ge=1, description="Steps between validations; None: enough to see every pixel once."
    )
    epochs: int | None = Field(
        None, ge=0, le=1_000_000, description="How many epochs; or set minutes."
    )
    minutes: float | None = Field(None, gt=0, le=100_000, description="How long to train.")
    validation: float = Field(
        0.2, ge=0, le=0.9, description="Share of the data held out to validate."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Same seed, same data, same weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; None: all cores.")

    @model_validator(mode="before")
    @classmethod
    def _give_a_budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("epochs") is values.get("minutes") is None:
            return {**values, "minutes": DEFAULT_MINUTES}
        return values

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.loss not in LOSSES:
            raise InputError(
                "U150", f"unknown loss {self.loss!r}", f"choose from {', '.join(LOSSES)}"
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
        if self.epochs is not None and self.minutes is not None:
            raise InputError("U152", "both epochs and minutes are set", "choose one budget")
        return self

    @classmethod
    def from_recipe(cls, name: str = "quick", **changes: Any) -> TrainConfig:
        """Return the settings of a recipe, with `changes` (nested dicts) laid over them."""
        if name not in RECIPES:
            raise InputError(
                "U150", f"unknown recipe {name!r}", f"choose from {', '.join(RECIPES)}"
            )
        return cls.from_settings({"recipe": name, **RECIPES[name]}, changes)

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
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = overlay(merged.get(key), value)
    return merged
