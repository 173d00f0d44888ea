"""What the engine is asked to do, one JSON line each, at most 1 MiB.

Arrays travel by reference: a file or a zarr array that both processes can read.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from napari_unet.config import (
    Config,
    InputError,
    ModelConfig,
    PredictConfig,
    TrainConfig,
    explain,
)

LIMIT_BYTES = 2**20


class ArrayRef(Config):
    """Where an array lies and what its axes mean."""

    path: str = Field(description="A file, or a zarr array on disk.")
    axes: str | None = Field(None, description="One letter per axis, such as ZYX; None: guess.")
    spacing: tuple[float, ...] | None = Field(None, description="Size of a pixel per spatial axis.")
    unit: str = Field("", description="Of that size: µm; empty where it is not known.")
    name: str = Field("", description="What the user calls it: the name of the layer.")


class TrainJob(Config):
    """Train a model on pairs of image and labels."""

    do: Literal["train"] = "train"
    job: str
    config: TrainConfig
    pairs: tuple[tuple[ArrayRef, ArrayRef], ...]
    folder: str
    parent: str | None = None
    resume: bool = False


class SamplesJob(Config):
    """Write the next augmented samples as the network would get them, to a zarr group."""

    do: Literal["samples"] = "samples"
    job: str
    config: TrainConfig
    pairs: tuple[tuple[ArrayRef, ArrayRef], ...]
    out: str
    count: int = Field(8, ge=1, le=64)


class PredictJob(Config):
    """Apply a model to an image and fill a zarr group with one array per output."""

    do: Literal["predict"] = "predict"
    job: str
    model: str
    image: ArrayRef
    out: str
    config: PredictConfig = PredictConfig()
    focus: tuple[float, ...] | None = Field(None, description="Where the user looks, in pixels.")
    resume: bool = Field(False, description="Go on with the unfinished result at `out`.")
    truth: ArrayRef | None = Field(None, description="Labels or values, for the loss.")


class PlanJob(Config):
    """Plan a prediction; answers with Finished.summary: the fields of the plan, and `words`."""

    do: Literal["plan"] = "plan"
    job: str
    model: str
    image: ArrayRef
    config: PredictConfig = PredictConfig()


class CheckTilesJob(Config):
    """Compare tiles with one piece, on a random window; answers with Finished.summary."""

    do: Literal["check_tiles"] = "check_tiles"
    job: str
    model: str
    image: ArrayRef
    config: PredictConfig = PredictConfig()
    seed: int = Field(0, ge=0, description="Of the window.")


class DescribeJob(Config):
    """Count parameters and measure the geometry of a network; answers with Finished.summary."""

    do: Literal["describe"] = "describe"
    job: str
    config: ModelConfig


class CompareJob(Config):
    """Train several networks alike into `folder` and score them on the same images."""

    do: Literal["compare"] = "compare"
    job: str
    config: TrainConfig
    architectures: tuple[str, ...] = Field(description="Names, or NAME:VARIANT.")
    pairs: tuple[tuple[ArrayRef, ArrayRef], ...]
    folder: str
    test: tuple[tuple[ArrayRef, ArrayRef], ...] | None = Field(
        None, description="What to score on; None: the images held out from training."
    )


class CheckJob(Config):
    """Check the checksums and the probe of a model."""

    do: Literal["check"] = "check"
    job: str
    model: str


class Cancel(Config):
    """Stop a job within one step or tile; what was reached is kept."""

    do: Literal["cancel"] = "cancel"
    job: str


class Pause(Config):
    """Hold a job after the current step or tile."""

    do: Literal["pause"] = "pause"
    job: str


class Resume(Config):
    """Go on with a paused job."""

    do: Literal["resume"] = "resume"
    job: str


class Focus(Config):
    """Go on where the user looks now; of several that wait, the last one counts.

    A prediction computes the tiles there first. A training answers with Previewed, at once and
    after each validation.
    """

    do: Literal["focus"] = "focus"
    job: str
    point: tuple[float, ...] = Field(description="Leading, then spatial pixels of the image.")
    image: ArrayRef | None = Field(None, description="Of a training: what is looked at.")
    pair: int = Field(-1, description="Its number among the images of the training; -1: another.")
    out: str = Field("", description="Of a training: the folder that answers go to.")


class Ask(Config):
    """Ask a training for the loss of what is held out, or for the places of most doubt."""

    do: Literal["ask"] = "ask"
    job: str
    about: Literal["loss", "doubt"]
    out: str = Field("", description="The folder that answers go to.")


class Correct(Config):
    """Go on with other labels of the same images: same network, same optimiser."""

    do: Literal["correct"] = "correct"
    job: str
    pairs: tuple[tuple[ArrayRef, ArrayRef], ...]


Job = (
    TrainJob | SamplesJob | PredictJob | PlanJob | CheckTilesJob | DescribeJob | CompareJob
    | CheckJob
)  # fmt: skip
Question = Focus | Ask | Correct  # between two steps; the answer is an event
Control = Cancel | Pause | Resume | Question
Order = Job | Control

_ORDERS: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="do")])


def to_line(order: Order) -> str:
    """Write an order as one line of JSON."""
    line = json.dumps(order.model_dump(mode="json")) + "\n"
    if len(line) > LIMIT_BYTES:
        raise InputError(
            "U150", f"a job of {len(line)} bytes (limit {LIMIT_BYTES})", "choose fewer layers"
        )
    return line


def from_line(line: str | bytes) -> Order:
    """Read an order back; raises InputError for a line that is none."""
    if len(line) > LIMIT_BYTES:
        raise InputError("U150", f"a line of {len(line)} bytes", f"the limit is {LIMIT_BYTES}")
    try:
        return _ORDERS.validate_json(line)
    except ValidationError as error:
        raise explain(error) from error


def job_of_line(line: str | bytes) -> str:
    """Name the job that a line is about, if that much of it can be read; else ""."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    name = record.get("job") if isinstance(record, dict) else None
    return name if isinstance(name, str) else ""
