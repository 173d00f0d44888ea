"""What the networks are made of, in 1, 2 and 3 dimensions from one code.

Level 0 is the finest, level `depth` the bottom. What a level or a step between two levels does
to each axis is asked of the config (`taps`, `stride`): thick slices are left alone at first.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.config import ModelConfig

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
UpConv = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d

# indexed by ndim - 1
_CONV: Sequence[Callable[..., Conv]] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_UP_CONV: Sequence[Callable[..., UpConv]] = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_MAX_POOL: Sequence[Callable[..., nn.Module]] = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_PAD: Sequence[Callable[..., nn.Module]] = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
_LINEAR = ("linear", "bilinear", "trilinear")


def level_widths(config: ModelConfig) -> list[int]:
    """Return the number of channels of every level, finest first: doubled at each."""
    return [config.base * 2**level for level in range(config.depth + 1)]


def cell(config: ModelConfig, level: int) -> tuple[int, ...]:
    """Return how many pixels of the image one pixel of a level covers along each axis."""
    strides = [config.stride(finer) for finer in range(level)]
    return tuple(math.prod(stride[axis] for stride in strides) for axis in range(config.ndim))


def conv1(config: ModelConfig, cin: int, cout: int) -> Conv:
    """Mix channels pixel by pixel (a 1x1 convolution): (B, cin, *S) -> (B, cout, *S)."""
    return _CONV[config.ndim - 1](cin, cout, 1)


def conv(
    config: ModelConfig,
    level: int,
    cin: int,
    cout: int,
    *,
    pad: bool = True,
    kernel: int | None = None,
    **options: Any,
) -> Conv:
    """Convolve on a level: (B, cin, *S) -> (B, cout, *S), or *S - taps + 1 without padding.

    `kernel` taps along each axis, or those of the config; one along an axis that is flat there.
    `options` are torch's: `groups`, `bias`.
    """
    taps = config.taps(level, kernel)
    padding = tuple(n // 2 if pad else 0 for n in taps)
    return _CONV[config.ndim - 1](cin, cout, taps, padding=padding, **options)


def pool(config: ModelConfig, level: int) -> nn.Module:
    """Keep the largest pixel of each block of 2, `level` -> `level + 1`: *S -> *S/2."""
    return _MAX_POOL[config.ndim - 1](config.stride(level))


def down_conv(
    config: ModelConfig, level: int, cin: int, cout: int, *, kernel: int = 2, bias: bool = True
) -> Conv:
    """Convolve with the stride of a step, `level` -> `level + 1`: (B, cin, *S) -> (B, cout, *S/2).

    A kernel of 2 merges blocks that do not overlap; an odd one is padded as `conv` does it.
    """
    stride = config.stride(level)
    taps = stride if kernel == 2 else config.taps(level, kernel)
    padding = tuple(0 if kernel == 2 else n // 2 for n in taps)
    return _CONV[config.ndim - 1](cin, cout, taps, stride=stride, padding=padding, bias=bias)


def up_conv(config: ModelConfig, level: int, cin: int, cout: int, *, kernel: int = 2) -> UpConv:
    """Double the size by learned blocks, `level + 1` -> `level`: (B, cout, *2S).

    A kernel of 2 sets blocks side by side; those of 3 overlap, and give *2S + 1.
    """
    stride = config.stride(level)
    taps = tuple(kernel if n == 2 else 1 for n in stride)
    return _UP_CONV[config.ndim - 1](cin, cout, taps, stride=stride)


def repeat(config: ModelConfig, coarse: int, fine: int) -> nn.Upsample:
    """Repeat every pixel of level `coarse` until the size is that of level `fine`."""
    cells = zip(cell(config, coarse), cell(config, fine), strict=True)
    return nn.Upsample(scale_factor=tuple(float(a // b) for a, b in cells), mode="nearest")


def upsample(config: ModelConfig, level: int) -> nn.Module:
    """Double the size by repeating or interpolating, `level + 1` -> `level`: (B, C, *2S).

    Interpolation never aligns corners: that samples at positions which depend on the size of
    the tensor, and no margin makes tiles agree again.
    """
    if config.upsampling != "linear":
        return repeat(config, level + 1, level)
    factors = tuple(map(float, config.stride(level)))
    return nn.Upsample(scale_factor=factors, mode=_LINEAR[config.ndim - 1], align_corners=False)


def trim(config: ModelConfig, level: int) -> nn.Module:
    """Cut one pixel off both ends of every axis that the step from `level` halves: *S - 2."""
    cuts = [side for n in reversed(config.stride(level)) for side in (1 - n, 1 - n)]
    return _PAD[config.ndim - 1](tuple(cuts))


def norm(config: ModelConfig, channels: int) -> list[nn.Module]:
    """Return the normalisation that follows a convolution: one layer, or none.

    Batch norm in evaluation is a fixed scale and shift, hence exact under tiling; norms that
    average over space (instance, group) are not, and are not offered.
    """
    return [_BATCH_NORM[config.ndim - 1](channels)] if config.norm == "batch" else []


def double_conv(
    config: ModelConfig, level: int, cin: int, cout: int, *, pad: bool
) -> nn.Sequential:
    """Two convolutions, each followed by (norm and) ReLU: (B, cin, *S) -> (B, cout, *S').

    Without padding, 3x3 loses 4 pixels per axis as in the 2015 paper; with it, none.
    """
    return nn.Sequential(
        conv(config, level, cin, cout, pad=pad),
        *norm(config, cout),
        nn.ReLU(inplace=True),
        conv(config, level, cout, cout, pad=pad),
        *norm(config, cout),
        nn.ReLU(inplace=True),
    )


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

    Level l has `base * 2**l` channels and, unless the config spares an axis, a stride of `2**l`
    pixels. Dropout stands at the end of the last two levels, so the deepest skip is dropped out
    as well, as in the 2015 release.
    """

    def __init__(self, config: ModelConfig, *, pad: bool) -> None:
        super().__init__()
        channels = [config.in_channels, *level_widths(config)]
        self.stages = nn.ModuleList(
            double_conv(config, level, a, b, pad=pad)
            for level, (a, b) in enumerate(pairwise(channels))
        )
        self.pools = nn.ModuleList(pool(config, level) for level in range(config.depth))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps, (B, base * 2**l, *S / 2**l) for level l."""
        maps: list[Tensor] = []
        for level, stage in enumerate(self.stages):
            x = stage(self.pools[level - 1](x) if maps else x)
            if level >= len(self.stages) - 2:
                x = self.dropout(x)
            maps.append(x)
        return maps


def descend(stages: nn.ModuleList, dropout: nn.Module, x: Tensor) -> list[Tensor]:
    """Run stages that halve the size themselves; return the maps of all levels, finest first.

    Dropout stands where `Encoder` has it: at the end of the last two levels.
    """
    maps: list[Tensor] = []
    for stage in stages:
        x = stage(x)
        if len(maps) >= len(stages) - 2:
            x = dropout(x)
        maps.append(x)
    return maps


def fan_in(layer: Conv | UpConv) -> float:
    """Count the numbers that are summed into one output number, on average over the outputs.

    For a transposed convolution each output pixel is met by taps / stride of the taps: the
    2x2 up-convolution has C_in, where `torch.nn.init` would say 4 * C_out.
    """
    taps: float = math.prod(layer.kernel_size)
    if layer.transposed:
        taps /= math.prod(layer.stride)
    return layer.in_channels / layer.groups * taps


def initialise(network: nn.Module) -> None:
    """Draw every convolution from N(0, sqrt(2 / fan_in)), biases 0 (He et al. 2015, eq. 10)."""
    for layer in network.modules():
        if isinstance(layer, Conv | UpConv) and not layer.weight.is_meta:  # shapes alone
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in(layer)))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
