"""The padded U-Net: an output as large as the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.models.layers import (
    Encoder,
    conv1,
    double_conv,
    initialise,
    level_widths,
    up_conv,
    upsample,
)

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig


class UNet(nn.Module):
    """Padded U-Net (after Ronneberger et al. 2015): (B, C, *S) image -> (B, K, *S) logits.

    Sizes are multiples of `2**depth`. Repeating (or interpolating) keeps the channels, so the
    deepest concatenation has 256 + 512 of them; a transposed convolution halves them first.
    With base 32, depth 4, one channel and one class: 7,846,081 parameters, or 7,759,521.
    In 1-D, 9 taps have the parameters of 3x3.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        skips = list(enumerate(level_widths(config)[:-1]))[::-1]  # (level, width), deepest first
        learned = config.upsampling == "transposed"
        self.encoder = Encoder(config, pad=True)
        self.up = nn.ModuleList(
            up_conv(config, level, 2 * w, w) if learned else upsample(config, level)
            for level, w in skips
        )
        self.decoder = nn.ModuleList(
            double_conv(config, level, 2 * w if learned else 3 * w, w, pad=True)
            for level, w in skips
        )
        self.head: nn.Module = conv1(config, config.base, config.classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        *skips, x = self.encoder(x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = stage(torch.cat([skips.pop(), up(x)], dim=1))  # (B, base * 2^l, *S / 2^l)
        logits: Tensor = self.head(x)
        return logits
