"""What can be chosen by name: architectures, losses, recipes. Strings only: no torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of the zoo: where its class lives and what its paper chose."""

    title: str
    paper: str
    target: str  # "package.module:Class"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    ndim: tuple[int, ...] = (1, 2, 3)


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "unet2015": Architecture(
            title="U-Net 2015",
            paper="Ronneberger, Fischer, Brox 2015, arXiv:1505.04597",
            target="napari_unet.models.unet2015:UNet2015",
            defaults={"base": 64, "depth": 4, "upsampling": "transposed", "dropout": 0.5},
        ),
        "unet": Architecture(
            title="padded U-Net",
            paper="after Ronneberger et al. 2015; padded convolutions, nearest upsampling",
            target="napari_unet.models.unet:UNet",
            defaults={"base": 32, "depth": 4},
        ),
        "attention": Architecture(
            title="Attention U-Net",
            paper="Oktay et al. 2018, arXiv:1804.03999",
            target="napari_unet.models.attention:AttentionUNet",
            defaults={"base": 32, "depth": 4, "norm": "batch"},
        ),
    }
)

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "cross_entropy": "napari_unet.training.losses:cross_entropy",
        "bce": "napari_unet.training.losses:binary_cross_entropy",
        "dice": "napari_unet.training.losses:dice",
        "cross_entropy_dice": "napari_unet.training.losses:cross_entropy_dice",
    }
)

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "quick": {
            "model": {"base": 16, "depth": 3, "norm": "batch"},
            "optimiser": {"name": "adamw", "rate": 3e-3, "decay": 1e-3, "schedule": "one_cycle"},
            "loss": "cross_entropy_dice",
            # The classes are balanced by the Dice loss and by the sampler, which draws half of the
            # patches by class. Balancing the cross-entropy as well drew outlines too wide: Dice
            # 0.873 instead of 0.906 on 12 nuclei images, one pair of runs of equal time and seed.
            "weights": {"balance_classes": False},
            # Grey values are normalised per image, so they are varied little. What that brings is
            # not settled: 0.911 against 0.906 with batches of 8, no difference with batches of 4.
            "augment": {"brightness": 0.0, "contrast": 0.1, "noise": 0.02, "scale": 0.1},
            "minutes": 2.0,
        },
        "paper": {
            "model": {"architecture": "unet2015"},
            "optimiser": {
                "name": "sgd",
                "rate": 1e-3,
                "momentum": 0.99,
                "decay": 0.0,
                "schedule": "constant",
            },
            "loss": "cross_entropy",
            "patch": 388,
            "batch": 1,
            "epochs": 600,
        },
        "lecture": {
            "model": {"architecture": "unet", "base": 32, "classes": 1},
            "optimiser": {
                "name": "adam",
                "rate": 2e-3,
                "decay": 1e-2,
                "schedule": "exponential",
                "gamma": 0.9,
            },
            "loss": "bce",
            "weights": {"w0": 0.0},
            "patch": 240,
            "batch": 32,
            "epochs": 20,
        },
    }
)


def resolve_name(target: str) -> Any:
    """Import what `"package.module:name"` points to."""
    from importlib import import_module

    module, name = target.split(":")
    return getattr(import_module(module), name)
