"""FC-DenseNet: every layer is given what all layers before it have found."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.models.layers import conv, conv1, initialise, norm, pool, up_conv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.config import ModelConfig

# by variant: channels that a layer adds, for 48 in the first; layers per level, the bottom last
FORMS: Mapping[str, tuple[int, tuple[int, ...]]] = MappingProxyType(
    {
        "56": (12, (4, 4, 4, 4, 4, 4)),
        "67": (16, (5, 5, 5, 5, 5, 5)),
        "103": (16, (4, 5, 7, 10, 12, 15)),
    }
)


class DenseBlock(nn.Module):
    """Dense block (Jegou et al. 2017, Fig. 2): (B, C, *S) -> (B, C + fresh, *S).

    Each layer adds `growth` channels, made from all there are; dropout is element by element.
    """

    def __init__(self, config: ModelConfig, level: int, channels: int) -> None:
        super().__init__()
        growth, layers = size_of(config, level)
        self.fresh = growth * layers
        self.layers = nn.ModuleList(
            nn.Sequential(
                *norm(config, cin),
                nn.ReLU(inplace=True),
                conv(config, level, cin, growth),
                nn.Dropout(config.dropout),
            )
            for cin in range(channels, channels + self.fresh, growth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and, behind it, the channels of every layer."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Ascent(nn.Module):
    """Transition up (Jegou et al. 2017, Table 1): (B, C, *S) -> (B, C, *2S).

    A transposed convolution with 3 taps and stride 2 gives 2n + 1 pixels per axis; the last one
    is cut off, always, so that pixels stay in phase whatever the size.
    """

    def __init__(self, config: ModelConfig, level: int, channels: int) -> None:
        super().__init__()
        self.stride = config.stride(level)
        self.conv = up_conv(config, level, channels, channels, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` of twice the size."""
        size = (slice(n * m) for n, m in zip(x.shape[2:], self.stride, strict=True))
        doubled: Tensor = self.conv(x)[(..., *size)]
        return doubled


class DenseUNet(nn.Module):
    """FC-DenseNet (Jegou et al. 2017, Fig. 1, Table 2): (B, C, *S) image -> (B, K, *S) logits.

    Variants "56", "67" and "103", named after their layers. With base 48, depth 5, three channels
    and 11 classes: 1,376,795, 3,463,243 and 9,322,091 parameters. On the way up only the fresh
    channels of a block go on, and the last block gives all it has to the head: 192, 288 and 256.

    What differs: any width, where the channels that a layer adds follow `base`, and any depth,
    where a level has the layers of the table's level (or of its last). Sizes are multiples of
    `2**depth`: the original also takes others, by cropping what tiles could not tell. "103" sees
    1,147 pixels beyond a block (margin 1152): on images of usual size every tile is the whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        fresh = [growth * n for growth, n in (size_of(config, i) for i in range(config.depth + 1))]
        channels = [config.base + sum(fresh[:level]) for level in range(config.depth + 2)]
        *skips, _ = channels[1:]  # channels[l] enter level l, skips[l] leave it
        levels = range(config.depth)
        self.fresh = fresh[:0:-1]  # channels that go up to each level, the deepest first
        self.stem = conv(config, 0, config.in_channels, config.base)
        self.encoder = nn.ModuleList(DenseBlock(config, i, channels[i]) for i in levels)
        self.down = nn.ModuleList(descent(config, i, skips[i]) for i in levels)
        self.bottom = DenseBlock(config, config.depth, channels[config.depth])
        self.up = nn.ModuleList(Ascent(config, i, fresh[i + 1]) for i in reversed(levels))
        self.decoder = nn.ModuleList(
            DenseBlock(config, i, fresh[i + 1] + skips[i]) for i in reversed(levels)
        )
        self.head = conv1(config, fresh[1] + skips[0] + fresh[0], config.classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        x = self.stem(x)
        skips: list[Tensor] = []
        for block, down in zip(self.encoder, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for fresh, up, block in zip(self.fresh, self.up, self.decoder, strict=True):
            x = block(torch.cat([up(x[:, -fresh:]), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


def size_of(config: ModelConfig, level: int) -> tuple[int, int]:
    """Return how many channels a layer adds, and how many layers a block of `level` has."""
    growth, layers = FORMS[config.variant]
    return max(1, round(growth * config.base / 48)), layers[min(level, len(layers) - 1)]


def descent(config: ModelConfig, level: int, channels: int) -> nn.Sequential:
    """Return the transition down: (B, C, *S) -> (B, C, *S/2)."""
    return nn.Sequential(
        *norm(config, channels),
        nn.ReLU(inplace=True),
        conv1(config, channels, channels),
        nn.Dropout(config.dropout),
        pool(config, level),
    )
