"""The U-Net of 2015: every convolution is valid, so no pixel is ever made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.models.layers import (
    Encoder,
    conv1,
    crop_like,
    double_conv,
    initialise,
    level_widths,
    trim,
    up_conv,
    upsample,
)

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig


class UNet2015(nn.Module):
    """U-Net (Ronneberger et al. 2015, Fig. 1): (B, C, *S) image -> (B, K, *S') logits.

    572 pixels in, 388 out; skips are cropped to their centre. Two variants:

    figure
        Drawn as in the figure: skips stand before the upsampled map in the concatenation, and
        no ReLU follows an up-convolution. With the paper's settings 31,030,658 parameters.
    release
        As the network that the authors gave away with the paper: the upsampled map stands
        first, a ReLU follows every up-convolution, and the last of them keeps its 128 channels,
        so that 192 are concatenated. 31,100,354 parameters.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.released = config.variant == "release"
        skips = list(enumerate(level_widths(config)[:-1]))[::-1]  # (level, width), deepest first
        kept = [2 * w if self.released and level == 0 else w for level, w in skips]
        self.encoder = Encoder(config, pad=False)
        self.up = nn.ModuleList(
            self._up(config, level, 2 * w, n) for (level, w), n in zip(skips, kept, strict=True)
        )
        self.decoder = nn.ModuleList(
            double_conv(config, level, w + n, w, pad=False)
            for (level, w), n in zip(skips, kept, strict=True)
        )
        self.head = conv1(config, config.base, config.classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the pixels whose whole context lies in `x`."""
        *skips, x = self.encoder(x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = up(x)  # twice the size, half the channels
            skip = crop_like(skips.pop(), x)
            x = stage(torch.cat([x, skip] if self.released else [skip, x], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def _up(self, config: ModelConfig, level: int, cin: int, cout: int) -> nn.Module:
        up = halving_up(config, level, cin, cout)
        return nn.Sequential(up, nn.ReLU(inplace=True)) if self.released else up


def halving_up(config: ModelConfig, level: int, cin: int, cout: int) -> nn.Module:
    """Double the size and change the channels: the paper's 2x2 up-convolution.

    The other two ways to upsample are followed by a 1x1 convolution. Interpolation also gives
    up its outermost pixels, which it would have to make up from one neighbour instead of two.
    """
    if config.upsampling == "transposed":
        return up_conv(config, level, cin, cout)
    if config.upsampling == "linear":
        return nn.Sequential(upsample(config, level), trim(config, level), conv1(config, cin, cout))
    return nn.Sequential(upsample(config, level), conv1(config, cin, cout))
