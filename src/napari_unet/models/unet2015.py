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

    With the paper's settings 31,030,658 parameters; 572 pixels in, 388 out. Drawn as in the
    figure: skips are cropped to their centre and stand before the upsampled map in the
    concatenation, and no ReLU follows an up-convolution. (The released caffe network has them
    the other way round, and the ReLU.)
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = level_widths(config)[-2::-1]  # of the skips, deepest first
        self.encoder = Encoder(config, pad=0)
        self.up = nn.ModuleList(halving_up(config, 2 * w, w) for w in widths)
        self.decoder = nn.ModuleList(double_conv(config, 2 * w, w, pad=0) for w in widths)
        self.head = conv1(config, config.base, config.classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the pixels whose whole context lies in `x`."""
        *skips, x = self.encoder(x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = up(x)  # twice the size, half the channels
            x = stage(torch.cat([crop_like(skips.pop(), x), x], dim=1))
        logits: Tensor = self.head(x)
        return logits


def halving_up(config: ModelConfig, cin: int, cout: int) -> nn.Module:
    """Double the size and change the channels: the paper's 2x2 up-convolution.

    The other two ways to upsample are followed by a 1x1 convolution. Interpolation also gives
    up its outermost pixels, which it would have to make up from one neighbour instead of two.
    """
    if config.upsampling == "transposed":
        return up_conv(config, cin, cout)
    if config.upsampling == "linear":
        return nn.Sequential(upsample(config), trim(config), conv1(config, cin, cout))
    return nn.Sequential(upsample(config), conv1(config, cin, cout))
