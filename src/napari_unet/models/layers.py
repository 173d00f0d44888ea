"""What the networks are made of, in 1, 2 and 3 dimensions from one code."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
UpConv = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d

# indexed by ndim - 1
_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_UP_CONV = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_MAX_POOL = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_PAD = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
_LINEAR = ("linear", "bilinear", "trilinear")


def level_widths(config: ModelConfig) -> list[int]:
    """Return the number of channels of every level, finest first: doubled at each."""
    return [config.base * 2**level for level in range(config.depth + 1)]


def conv1(config: ModelConfig, cin: int, cout: int) -> Conv:
    """Mix channels pixel by pixel (a 1x1 convolution): (B, cin, *S) -> (B, cout, *S)."""
    return _CONV[config.ndim - 1](cin, cout, 1)


def conv2(config: ModelConfig, cin: int, cout: int) -> Conv:
    """Merge blocks of 2 pixels per axis (stride 2, no bias): (B, cin, *S) -> (B, cout, *S/2)."""
    return _CONV[config.ndim - 1](cin, cout, 2, stride=2, bias=False)


def conv3(config: ModelConfig, cin: int, cout: int, *, pad: int) -> Conv:
    """Convolve with 3 taps per axis: (B, cin, *S) -> (B, cout, *S - 2 + 2 pad)."""
    return _CONV[config.ndim - 1](cin, cout, 3, padding=pad)


def norm(config: ModelConfig, channels: int) -> list[nn.Module]:
    """Return the normalisation that follows a convolution: one layer, or none.

    Batch norm in evaluation is a fixed scale and shift, hence exact under tiling; norms that
    average over space (instance, group) are not, and are not offered.
    """
    return [_BATCH_NORM[config.ndim - 1](channels)] if config.norm == "batch" else []


def double_conv(config: ModelConfig, cin: int, cout: int, *, pad: int) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by (norm and) ReLU: (B, cin, *S) -> (B, cout, *S').

    `pad=0` loses 4 pixels per axis as in the 2015 paper; `pad=1` keeps the size.
    """
    return nn.Sequential(
        conv3(config, cin, cout, pad=pad),
        *norm(config, cout),
        nn.ReLU(inplace=True),
        conv3(config, cout, cout, pad=pad),
        *norm(config, cout),
        nn.ReLU(inplace=True),
    )


def up_conv(config: ModelConfig, cin: int, cout: int) -> UpConv:
    """Double the size by learned 2x2 blocks: (B, cin, *S) -> (B, cout, *2S)."""
    return _UP_CONV[config.ndim - 1](cin, cout, 2, stride=2)


def upsample(config: ModelConfig) -> nn.Upsample:
    """Double the size by repeating or interpolating: (B, C, *S) -> (B, C, *2S).

    Interpolation never aligns corners: that samples at positions which depend on the size of
    the tensor, and no margin makes tiles agree again.
    """
    if config.upsampling == "linear":
        return nn.Upsample(scale_factor=2, mode=_LINEAR[config.ndim - 1], align_corners=False)
    return nn.Upsample(scale_factor=2, mode="nearest")


def trim(config: ModelConfig) -> nn.Module:
    """Cut one pixel off every side: (B, C, *S) -> (B, C, *S - 2)."""
    return _PAD[config.ndim - 1](-1)


def crop_like(x: Tensor, like: Tensor) -> Tensor:
    """Crop the spatial centre of `x` to the size of `like`.

    Raises
    ------
    ValueError
        If there is no centre, which is how an input size shows that a pooling has cut in half.
    """
    for axis, n in enumerate(like.shape[2:], start=2):
        excess = x.shape[axis] - n
        if excess % 2:
            raise ValueError(
                f"cannot centre {n} pixels in {x.shape[axis]} along axis {axis}: "
                "this network does not take this input size; choose one that measure() allows"
            )
        x = x.narrow(axis, excess // 2, n)
    return x


class Encoder(nn.Module):
    """The contracting path: (B, C, *S) -> feature maps of all levels, finest first.

    Level l has `base * 2**l` channels and a stride of `2**l` pixels. Dropout stands at the end
    of the last two levels, so the deepest skip is dropped out as well, as in the 2015 release.
    """

    def __init__(self, config: ModelConfig, *, pad: int) -> None:
        super().__init__()
        channels = [config.in_channels, *level_widths(config)]
        self.stages = nn.ModuleList(
            double_conv(config, a, b, pad=pad) for a, b in pairwise(channels)
        )
        self.pool = _MAX_POOL[config.ndim - 1](2)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps, (B, base * 2**l, *S / 2**l) for level l."""
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(self.pool(x) if maps else x)
            if len(maps) >= len(self.stages) - 2:
                x = self.dropout(x)
            maps.append(x)
        return maps


def fan_in(layer: Conv | UpConv) -> int:
    """Count the numbers that are summed into one output number.

    For a transposed convolution each output pixel is met by taps / stride of the taps: the
    2x2 up-convolution has C_in, where `torch.nn.init` would say 4 * C_out.
    """
    taps = math.prod(layer.kernel_size)
    if layer.transposed:
        taps //= math.prod(layer.stride)
    return layer.in_channels // layer.groups * taps


def initialise(network: nn.Module) -> None:
    """Draw every convolution from N(0, sqrt(2 / fan_in)), biases 0 (He et al. 2015, eq. 10)."""
    for layer in network.modules():
        if isinstance(layer, Conv | UpConv):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in(layer)))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
