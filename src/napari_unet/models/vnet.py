"""V-Net: five taps wide, strides for poolings, and every stage adds to what it is given."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.models.layers import (
    conv,
    conv1,
    down_conv,
    initialise,
    level_widths,
    norm,
    up_conv,
)
from napari_unet.models.residual import shrink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.config import ModelConfig
    from napari_unet.models.layers import Conv, UpConv

# convolutions on each level, down and up alike; a deeper level has as many as the last
FORMS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"figure": (1, 2, 3), "release": (1, 1, 2, 3)}
)


class Stage(nn.Module):
    """Convolutions with PReLU, whose sum with the input enters the last PReLU.

    (B, cin, *S) -> (B, C, *S). What is added is an argument: on the first level the input has
    fewer channels and is brought to C by the network. The slopes are learned per channel.
    """

    def __init__(self, config: ModelConfig, level: int, cin: int, channels: int) -> None:
        super().__init__()
        counts = FORMS[config.variant]
        self.convs = counts[min(level, len(counts) - 1)]
        *inputs, last = [cin] + [channels] * (self.convs - 1)
        self.branch = nn.Sequential(
            *(rectified(config, conv(config, level, c, channels)) for c in inputs),
            conv(config, level, last, channels),
            *norm(config, channels),
        )
        self.rectify = nn.PReLU(channels)

    def forward(self, x: Tensor, carried: Tensor) -> Tensor:
        """Return what the stage makes of `x`, plus `carried` (B, C, *S), rectified."""
        result: Tensor = self.rectify(self.branch(x) + carried)
        return result


class VNet(nn.Module):
    """V-Net (Milletari et al. 2016, Fig. 2): (B, C, *S) image -> (B, K, *S) logits.

    Levels have 16 to 256 channels; a stage of the decoder keeps all of its concatenation, twice
    as many. "figure" has the convolutions per stage of the paper's figure (1, 2, 3, 3, 3 down;
    3, 3, 2, 1 up) and a 1x1 head: 65,175,314 parameters in 3-D, 13,275,346 in 2-D, for one
    channel and two classes. "release" has those of the authors' own files (1, 1, 2, 3, 3; 3, 2,
    1, 1) and a head of a 5-wide convolution, PReLU and 1x1: 61,982,682 and 12,636,314.

    The image is repeated to the channels of the first stage before it is added there; where that
    does not come out even, a 1x1 convolution projects it. There is no norm, as in the paper;
    norm = "batch" puts one after every convolution. The paper trains with the Dice loss, which
    is a setting of the training. The last convolution of each stage is drawn smaller than by
    He et al. 2015, see `shrink`: without norm, the logits would start far too large.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = level_widths(config)
        levels = range(config.depth)
        self.copies, rest = divmod(config.base, config.in_channels)
        self.project = conv1(config, config.in_channels, config.base) if rest else None
        self.encoder = nn.ModuleList([Stage(config, 0, config.in_channels, config.base)])
        self.encoder.extend(Stage(config, i + 1, widths[i + 1], widths[i + 1]) for i in levels)
        self.down = nn.ModuleList(
            rectified(config, down_conv(config, i, widths[i], widths[i + 1])) for i in levels
        )
        self.dropout = nn.Dropout(config.dropout)
        below = [*(2 * w for w in widths[1:-1]), widths[-1]]  # what comes up to each level
        self.up = nn.ModuleList(
            rectified(config, up_conv(config, i, below[i], widths[i])) for i in reversed(levels)
        )
        self.decoder = nn.ModuleList(
            Stage(config, i, 2 * widths[i], 2 * widths[i]) for i in reversed(levels)
        )
        self.head = head(config)
        initialise(self)
        every = [stage for stage in self.modules() if isinstance(stage, Stage)]
        shrink((stage.branch[stage.convs - 1] for stage in every), math.sqrt(len(every)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        carried = self.project(x) if self.project else torch.cat([x] * self.copies, dim=1)
        x = self.encoder[0](x, carried)
        skips: list[Tensor] = []
        for down, stage in zip(self.down, self.encoder[1:], strict=True):
            if len(skips) == len(self.down) - 1:
                x = self.dropout(x)
            skips.append(x)
            x = down(x)  # (B, base * 2^l, *S / 2^l)
            x = stage(x, x)
        x = self.dropout(x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = torch.cat([up(x), skips.pop()], dim=1)  # (B, 2 base * 2^l, *S / 2^l)
            x = stage(x, x)
        logits: Tensor = self.head(x)
        return logits


def rectified(config: ModelConfig, layer: Conv | UpConv) -> nn.Sequential:
    """Return a convolution, followed by (norm and) PReLU with a slope per channel."""
    channels = layer.out_channels
    return nn.Sequential(layer, *norm(config, channels), nn.PReLU(channels))


def head(config: ModelConfig) -> nn.Module:
    """Return what makes logits of the last stage: (B, 2 base, *S) -> (B, K, *S)."""
    channels, classes = 2 * config.base, config.classes
    if config.variant == "figure":
        return conv1(config, channels, classes)
    wide = rectified(config, conv(config, 0, channels, classes))
    return nn.Sequential(wide, conv1(config, classes, classes))
