"""Which network: architecture, dimensions, width, depth and its options."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from napari_unet.config.errors import InputError
from napari_unet.config.schema import Config
from napari_unet.config.tables import ARCHITECTURES, OPTIONS

PerAxis = tuple[Annotated[int, Field(ge=0, le=8)], ...]


class ModelConfig(Config):
    """A network by name and size.

    Fields that are left out take the values of the architecture's paper.
    """

    architecture: str = Field("unet", description="Which U-Net, by its name in the zoo.")
    variant: str = Field(
        "", description="Which form of the architecture; empty: the first of its list."
    )
    ndim: int = Field(
        2, ge=1, le=3, description="Dimensions of space: 1 signals, 2 images, 3 volumes."
    )
    in_channels: int = Field(1, ge=1, le=1024, description="Channels of the image.")
    classes: int = Field(
        2,
        ge=1,
        le=1024,
        description="Classes including background; 1 means one logit: foreground or not. "
        "In regression, the channels of the target.",
    )
    base: int = Field(
        32, ge=1, le=1024, description="Filters of the first level; doubled at each level."
    )
    depth: int = Field(4, ge=1, le=8, description="How many times the image is halved.")
    kernel: int = Field(
        3, ge=3, le=15, description="Taps of a convolution along each axis, an odd number."
    )
    norm: Literal["none", "batch"] = Field(
        "none", description="Normalisation after each convolution. Batch norm trains faster."
    )
    upsampling: Literal["nearest", "linear", "transposed"] = Field(
        "nearest", description="How the decoder doubles the size: repeat, interpolate or learn it."
    )
    pooling: Literal["max", "conv"] = Field(
        "max", description="How a level is halved: the largest of two pixels, or a convolution."
    )
    blocks: int = Field(1, ge=1, le=8, description="Blocks per level.")
    expansion: int = Field(
        4, ge=1, le=16, description="How many times more channels a block has inside."
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of features dropped: at the end of the contracting path; in dense, "
        "after every layer.",
    )
    gates: Literal["deeper", "all"] = Field(
        "deeper", description="Which skips are gated: all but that of full resolution, or all."
    )
    supervision: bool = Field(
        False, description="Deep supervision: every level of the decoder has its say in the result."
    )
    halvings: PerAxis | None = Field(
        None,
        description="How often each axis is halved, at most depth times; None: on every level "
        "that is not flat. For volumes with few or thick slices.",
    )
    flat: PerAxis | None = Field(
        None,
        description="On how many of the first levels an axis is left alone, neither convolved nor "
        "halved; None: none. For slices that are much thicker than pixels are wide.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_paper(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        architecture = ARCHITECTURES.get(values.get("architecture", "unet"))
        if architecture is None:
            return values
        variant = values.get("variant") or next(iter(architecture.variants))
        own = architecture.variants.get(variant, {})
        return {**architecture.defaults, **own, **values, "variant": variant}

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise InputError("U150", f"unknown architecture {name!r}", f"choose from {known}")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        architecture = ARCHITECTURES[self.architecture]
        if self.variant not in architecture.variants:
            known = ", ".join(architecture.variants)
            what = f"{self.architecture!r} has no variant {self.variant!r}"
            raise InputError("U150", what, f"choose from {known}")
        if self.kernel % 2 == 0:
            raise InputError("U150", f"kernel = {self.kernel}", "choose an odd number")
        fields = type(self).model_fields
        own = architecture.variants[self.variant]
        plain = {**{n: fields[n].default for n in OPTIONS}, **architecture.defaults, **own}
        for name in OPTIONS:
            if name not in architecture.options and getattr(self, name) != plain[name]:
                raise InputError(
                    "U151",
                    f"architecture {self.architecture!r} has no setting {name!r}",
                    f"leave it out; it has {', '.join(architecture.options)}",
                )
        self._check_axes()
        return self

    def _check_axes(self) -> None:
        for name in ("halvings", "flat"):
            numbers = getattr(self, name)
            if numbers is not None and len(numbers) != self.ndim:
                what = f"{name} has {len(numbers)} numbers, space has {self.ndim} axes"
                raise InputError("U150", what, "give one number per axis")
        for axis in range(self.ndim):
            if sum(self.levels(axis)) > self.depth:
                flat, halvings = self.levels(axis)
                what = f"axis {axis} is flat on {flat} levels and halved {halvings} times"
                raise InputError("U150", what, f"their sum is at most depth = {self.depth}")

    def levels(self, axis: int) -> tuple[int, int]:
        """Return on how many first levels `axis` is left alone, and how often it is halved."""
        flat = self.flat[axis] if self.flat else 0
        halvings = self.halvings[axis] if self.halvings else max(0, self.depth - flat)
        return flat, halvings

    def taps(self, level: int, kernel: int | None = None) -> tuple[int, ...]:
        """Return the taps of a convolution of `kernel` (or the own one) on a level, per axis.

        Level 0 is the finest, level `depth` the bottom. An axis that is flat there has 1.
        """
        size = self.kernel if kernel is None else kernel
        return tuple(1 if level < self.levels(a)[0] else size for a in range(self.ndim))

    def stride(self, level: int) -> tuple[int, ...]:
        """Return by what the step from `level` to `level + 1` divides each axis: 1 or 2."""
        spans = [(flat, flat + n) for flat, n in map(self.levels, range(self.ndim))]
        return tuple(2 if first <= level < end else 1 for first, end in spans)
