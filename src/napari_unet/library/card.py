"""The card of a model: what it is, how it was made, and the checksum of every other file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from napari_unet.config import Config, ModelConfig
from napari_unet.tiling import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.config import ClassEntry

FORMAT = 1
PALETTE = ("#00000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")


class ClassCard(Config):
    """One class: its name, the label value that stood for it, and a colour."""

    name: str
    value: int
    colour: str = "#e69f00"


class TargetCard(Config):
    """One channel of values: its name, and what 0 and 1 of the network stand for.

    A network says (value - mean) / spread; both numbers are in the units of the target.
    """

    name: str
    mean: float = Field(0.0, allow_inf_nan=False)
    spread: float = Field(1.0, gt=0, allow_inf_nan=False)


class GeometryCard(Config):
    """What the network does to space, per axis, in pixels (see `tiling.Geometry`)."""

    step: tuple[int, ...]
    margin: tuple[int, ...]
    lost: tuple[int, ...]
    smallest: tuple[int, ...]

    def value(self) -> Geometry:
        """Return the geometry that tiles are planned with."""
        return Geometry(self.step, self.margin, self.lost, self.smallest)


class Card(Config):
    """Everything one needs to know to use, cite and check a model."""

    format: int = Field(FORMAT, description="Version of the folder format.")
    name: str = Field(max_length=120, description="What the user calls the model.")
    model: ModelConfig
    geometry: GeometryCard
    axes: str = Field(description="Axes of the image as the network sees it, such as CYX.")
    spacing: tuple[float, ...] | None = Field(
        None, description="Pixel size that the network was trained at, along Z, Y, X."
    )
    unit: str = Field("", description="Of the pixel size: µm; empty where it is not known.")
    normalisation: Literal["percentile", "zscore", "none"]
    kind: Literal["instances", "classes", "regression"]
    classes: tuple[ClassCard, ...] = Field((), description="Empty in regression.")
    target: tuple[TargetCard, ...] = Field((), description="In regression, one for each channel.")
    parent: str | None = Field(
        None, description="Name and checksum of the model it was tuned from, and of its parents."
    )
    training: dict[str, Any] = Field(default_factory=dict, description="Steps, scores, data.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Versions it was made with."
    )
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of every other file.")
    checksum: str = Field("", description="SHA-256 of the rest of this card.")

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if len(self.target) != (self.model.classes if self.kind == "regression" else 0):
            raise ValueError(f"{len(self.target)} targets, {self.model.classes} outputs")
        return self


def class_cards(
    values: Sequence[int], names: Sequence[str], *known: Sequence[ClassEntry | ClassCard]
) -> tuple[ClassCard, ...]:
    """Return a card for each class, named and coloured as in the first table that knows its value.

    Parameters
    ----------
    values, names : sequence of int, sequence of str
        The label value of each class index, and what it is called where no table says.
    *known : sequences of ClassEntry or ClassCard
        What the user said, then what the parent had. Without a colour it is one of the palette.
    """
    cards = []
    for index, (value, name) in enumerate(zip(values, names, strict=True)):
        found = [entry for table in known for entry in table if entry.value == value]
        colours = [entry.colour for entry in found if entry.colour]
        cards.append(
            ClassCard(
                name=found[0].name if found else name,
                value=value,
                colour=colours[0] if colours else PALETTE[index % len(PALETTE)],
            )
        )
    return tuple(cards)


def restore(logits: NDArray[Any], target: Sequence[TargetCard]) -> NDArray[np.float32]:
    """Turn what a network says (K, ...) into values in the units of the target, float32."""
    column = (-1, *(1,) * (logits.ndim - 1))
    mean, spread = (
        np.reshape(np.asarray(numbers, np.float64), column)
        for numbers in ([c.mean for c in target], [c.spread for c in target])
    )
    return np.asarray(logits * spread + mean, np.float32)


def environment() -> dict[str, str]:
    """Name the versions that numbers may depend on; nothing about the machine's owner."""
    packages = ("napari-unet-lab", "torch", "numpy", "scipy", "scikit-image", "numba")
    found = {"python": platform.python_version(), "system": platform.system()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
