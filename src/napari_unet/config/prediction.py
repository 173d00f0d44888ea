"""How to apply a model: outputs, region, tiles, memory, device."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_unet.config.errors import InputError
from napari_unet.config.schema import Config

Output = Literal[
    "classes", "probabilities", "values", "instances", "uncertainty", "loss", "attention"
]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Backend = Literal["auto", "torch", "openvino", "onnxruntime"]
Passes = Literal["orientations", "dropout"]


class InstanceConfig(Config):
    """How objects are told apart in a map of classes."""

    split: bool = Field(True, description="Part touching objects where they are narrow.")
    neck_px: float = Field(
        1.0,
        ge=0,
        description="How much deeper than the neck between them two objects must be, in pixels, "
        "to be parted.",
    )
    smallest_px: int = Field(
        0, ge=0, description="Objects of fewer pixels (or voxels) are left out."
    )


class PredictConfig(Config):
    """What to compute from an image, of which part of it, and in which pieces."""

    outputs: tuple[Output, ...] = Field(
        (),
        description="classes, probabilities, instances, uncertainty, loss, attention (each gate); "
        "values of a regression model. Empty: classes, or values.",
    )
    region: tuple[tuple[int, int], ...] | None = Field(
        None,
        description="Start and stop along each axis of the result, leading axes first, in pixels. "
        "None: all.",
    )
    outline: tuple[tuple[float, float], ...] | None = Field(
        None, description="Corners (y, x) of a polygon in pixels: nothing is computed outside."
    )
    resample: bool = Field(
        True,
        description="Show the network an image of another pixel size at that of the model, and "
        "bring the result back: where both are known in µm and differ by more than 5 %.",
    )
    tile: Annotated[int, Field(ge=1, le=2**20)] | Literal["auto", "rows"] = Field(
        "auto",
        description="Edge of the tiles in pixels; rows: the image streams through the network.",
    )
    memory_gib: float | None = Field(
        None, gt=0, description="Memory for a prediction, in GiB. None: half of what is free."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    precision: Precision = Field(
        "auto",
        description="Of the numbers in the network. auto: half on graphics cards. "
        "bfloat16 on a CPU: only where it is faster.",
    )
    backend: Backend = Field("auto", description="What computes on a CPU. auto: the fastest here.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; None: all cores.")
    passes: Passes = Field(
        "orientations",
        description="Uncertainty from flips and rotations of the image, or from dropout.",
    )
    dropout_passes: int = Field(8, ge=2, le=256, description="How often, with dropout.")
    seed: int = Field(0, ge=0, description="Of the dropout.")
    instances: InstanceConfig = Field(
        InstanceConfig(), description="How objects are told apart in a map of classes."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for start, stop in self.region or ():
            if not 0 <= start < stop:
                what = f"region from {start} to {stop}"
                raise InputError("U150", what, "start at 0 or later, and stop beyond the start")
        if self.outline is not None and len(self.outline) < 3:
            what = f"an outline of {len(self.outline)} corners"
            raise InputError("U150", what, "give at least 3")
        return self
