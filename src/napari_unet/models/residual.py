"""The residual U-Net: every unit adds to what it is given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.models.layers import (
    conv,
    conv1,
    descend,
    down_conv,
    initialise,
    level_widths,
    norm,
    pool,
    up_conv,
    upsample,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_unet.config import ModelConfig


class Unit(nn.Module):
    """Pre-activated residual unit (He et al. 2016, Fig. 1b): (B, cin, *S) -> (B, cout, *S').

    Norm, ReLU, convolution, norm, ReLU, convolution, then the sum with the input and nothing
    after it. Where channels or size change, a 1x1 convolution projects the input: He et al. feed
    it what is normed and rectified already; Zhang et al. the input as it is, and norm the result.

    `halved` gives the first convolution the stride of the step to `level`; `first` leaves out
    what stands before it, since an image is neither to be normed nor rectified.
    """

    def __init__(
        self,
        config: ModelConfig,
        level: int,
        cin: int,
        cout: int,
        *,
        halved: bool = False,
        first: bool = False,
    ) -> None:
        super().__init__()
        self.ready = nn.Identity() if first else nn.Sequential(*norm(config, cin), nn.ReLU())
        self.branch = nn.Sequential(
            down_conv(config, level - 1, cin, cout, kernel=config.kernel)
            if halved
            else conv(config, level, cin, cout),
            *norm(config, cout),
            nn.ReLU(inplace=True),
        )
        self.last = conv(config, level, cout, cout)
        self.early = config.variant == "zhang2018"  # the projection is made before norm and ReLU
        self.project: nn.Sequential | None = None
        if halved or cin != cout:
            one = (
                down_conv(config, level - 1, cin, cout, kernel=1)
                if halved
                else conv1(config, cin, cout)
            )
            after = norm(config, cout) if self.early else []
            self.project = nn.Sequential(one, *after)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, projected if need be, plus what the branch makes of it."""
        ready = self.ready(x)
        carried = self.project(x if self.early else ready) if self.project else x
        changed: Tensor = self.last(self.branch(ready))
        return carried + changed


class ResidualUNet(nn.Module):
    """Residual U-Net in two forms: (B, C, *S) image -> (B, K, *S) logits.

    "identity" is the padded U-Net with identity mappings (He et al. 2016): a 3x3 convolution,
    `blocks` units per level, pooling, concatenation, and one more norm and ReLU before the head.
    A projection stands only where channels change. With base 32, depth 4, batch norm, one channel
    and one class: 8,298,881 parameters.

    "zhang2018" is ResUNet (Zhang, Liu, Wang 2018, Fig. 2): strided units instead of pooling, 64
    to 512 channels on four levels, no norm or ReLU before the first unit. For three channels and
    one class 8,223,809 parameters, 2,816 of which norm the projections, as a public port has it;
    the network without those (8,220,993) is not offered. Its sigmoid belongs to the loss here.

    Convolutions are drawn as by He et al. 2015, the last of each branch smaller, see `shrink`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        identity = config.variant == "identity"
        widths = list(enumerate(level_widths(config)[:-1]))[::-1]  # of the skips, deepest first
        learned = config.upsampling == "transposed"
        self.encoder = nn.ModuleList([entry(config)])
        self.encoder.extend(descent(config, level) for level in range(1, config.depth + 1))
        self.dropout = nn.Dropout(config.dropout)
        self.up = nn.ModuleList(
            up_conv(config, level, 2 * w, w) if learned else upsample(config, level)
            for level, w in widths
        )
        self.decoder = nn.ModuleList(
            units(config, level, 2 * w if learned else 3 * w, w) for level, w in widths
        )
        ready = [*norm(config, config.base), nn.ReLU(inplace=True)] if identity else []
        self.head = nn.Sequential(*ready, conv1(config, config.base, config.classes))
        initialise(self)
        every = [unit for unit in self.modules() if isinstance(unit, Unit)]
        shrink((unit.last for unit in every), math.sqrt(len(every)))
        shrink((unit.project[0] for unit in every if unit.project and unit.early), math.sqrt(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        *skips, x = descend(self.encoder, self.dropout, x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = stage(torch.cat([skips.pop(), up(x)], dim=1))  # (B, base * 2^l, *S / 2^l)
        logits: Tensor = self.head(x)
        return logits


def units(config: ModelConfig, level: int, cin: int, cout: int, **form: bool) -> nn.Sequential:
    """Return the units of a level: (B, cin, *S) -> (B, cout, *S'). `form` is that of the first."""
    more = (Unit(config, level, cout, cout) for _ in range(config.blocks - 1))
    return nn.Sequential(Unit(config, level, cin, cout, **form), *more)


def entry(config: ModelConfig) -> nn.Sequential:
    """Return what makes the first features of the image: (B, C, *S) -> (B, base, *S)."""
    if config.variant == "zhang2018":
        return units(config, 0, config.in_channels, config.base, first=True)
    stem = conv(config, 0, config.in_channels, config.base)
    return nn.Sequential(stem, units(config, 0, config.base, config.base))


def descent(config: ModelConfig, level: int) -> nn.Sequential:
    """Return what leads from `level - 1` to `level`: pooling and units, or units with a stride."""
    cin, cout = level_widths(config)[level - 1 : level + 1]
    if config.pooling == "max":
        return nn.Sequential(pool(config, level - 1), units(config, level, cin, cout))
    return units(config, level, cin, cout, halved=True)


def shrink(layers: Iterable[nn.Module], by: float) -> None:
    """Divide freshly drawn weights.

    By sqrt(n) for the last convolutions of n residual branches: what they add up to then does not
    grow with n (Radford et al. 2019, section 2.3). By sqrt(2) where no ReLU stands before: He's
    factor makes up for the half that a ReLU takes away.
    """
    with torch.no_grad():
        for layer in layers:
            layer.get_parameter("weight").div_(by)
