"""Which network: architecture, dimensions, width, depth and its options."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from napari_unet.config.errors import InputError
from napari_unet.config.schema import Config
from napari_unet.config.tables import ARCHITECTURES


class ModelConfig(Config):
    """A network by name and size.

    Fields that are left out take the values of the architecture's paper.
    """

    architecture: str = Field("unet", description="Which U-Net, by its name in the zoo.")
    ndim: int = Field(
        2, ge=1, le=3, description="Dimensions of space: 1 signals, 2 images, 3 volumes."
    )
    in_channels: int = Field(1, ge=1, le=1024, description="Channels of the image.")
    classes: int = Field(
        2,
        ge=1,
        le=1024,
        description="Classes including background; 1 means one logit: foreground or not.",
    )
    base: int = Field(
        32, ge=1, le=1024, description="Filters of the first level; doubled at each level."
    )
    depth: int = Field(4, ge=1, le=8, description="How many times the image is halved.")
    norm: Literal["none", "batch"] = Field(
        "none", description="Normalisation after each convolution. Batch norm trains faster."
    )
    upsampling: Literal["nearest", "linear", "transposed"] = Field(
        "nearest", description="How the decoder doubles the size: repeat, interpolate or learn it."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of features dropped at the end of the contracting path."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_paper(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        architecture = ARCHITECTURES.get(values.get("architecture", "unet"))
        return {**architecture.defaults, **values} if architecture else values

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise InputError("U150", f"unknown architecture {name!r}", f"choose from {known}")
        return name
