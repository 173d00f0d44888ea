"""How to hold a prediction against the truth."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_unet.config.schema import Config

Kind = Literal["classes", "instances", "regression", "isbi"]


class EvaluateConfig(Config):
    """How a prediction is held against the truth."""

    kind: Kind = Field(
        "instances",
        description="classes or instances: what the numbers of a labels image are; regression: "
        "values of two images; isbi: boundaries between cells, as in ISBI 2012.",
    )
    ndim: int = Field(
        2, ge=1, le=3, description="What one picture is; further axes are planes of their own."
    )
    ignore: int | None = Field(
        None, description="Pixels where the truth has this value count nowhere; empty: none."
    )
    threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="instances: overlap (intersection over union) at which an object is found, "
        "for the layer of errors and the rows of planes.",
    )
