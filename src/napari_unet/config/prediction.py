"""How to apply a model: outputs, tiles, device."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_unet.config.schema import Config

Output = Literal["classes", "probabilities", "values", "attention"]


class PredictConfig(Config):
    """What to compute from an image and in which tiles."""

    outputs: tuple[Output, ...] = Field(
        (),
        description="classes, probabilities, attention (each gate); values of a regression model. "
        "Empty: classes, or values.",
    )
    tile: Annotated[int, Field(ge=1, le=2**20)] | Literal["auto"] = Field(
        "auto", description="Edge of the tiles in pixels (rounded to the network's step), or auto."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; None: all cores.")
