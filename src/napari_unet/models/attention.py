"""The Attention U-Net: what the decoder knows decides which parts of a skip pass."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_unet.models.layers import conv1, down_conv, initialise, level_widths, norm, repeat
from napari_unet.models.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.config import ModelConfig

OPEN = 3.0  # bias of psi: sigmoid(3) = 0.95


class AttentionGate(nn.Module):
    """Additive gate (Oktay et al. 2018): scales the skip `x` of a level by alpha in [0, 1].

    alpha = sigmoid(psi(ReLU(theta(x) + phi(g)))) lives on the grid of the gating signal `g`,
    one level coarser than `x`, and is repeated to the size of `x`: the paper interpolates,
    repeating needs less context. Gates start open, as in the paper, so that features pass.
    In 2-D, with C channels in the skip and batch norm, 7 C^2 + 5 C + 1 parameters.
    """

    def __init__(self, config: ModelConfig, level: int) -> None:
        super().__init__()
        channels = level_widths(config)[level]
        self.theta = down_conv(config, level, channels, channels, bias=False)
        self.phi = conv1(config, 2 * channels, channels)
        psi = conv1(config, channels, 1)
        self.alpha = nn.Sequential(nn.ReLU(inplace=True), psi, nn.Sigmoid())
        self.repeat = repeat(config, level + 1, level)
        self.out = nn.Sequential(conv1(config, channels, channels), *norm(config, channels))
        if config.variant == "release":  # the authors' "combine_gates"
            self.out.extend(mix(config, channels))
        initialise(self)
        nn.init.constant_(psi.get_parameter("bias"), OPEN)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Gate `x` (B, C, *S) by `g` (B, 2C, *S/2)."""
        alpha = self.alpha(self.theta(x) + self.phi(g))  # (B, 1, *S/2)
        gated: Tensor = self.out(self.repeat(alpha) * x)
        return gated


class AttentionUNet(UNet):
    """Attention U-Net (Oktay et al. 2018) on the padded U-Net: (B, C, *S) -> (B, K, *S) logits.

    A skip passes a gate, called after its level (`gate1` at stride 2, `gate2` at 4, ...): all
    but that of full resolution, as in the paper, or all (`gates`); with depth 1 the only one.
    The gating signal is the decoder one level coarser; at the bottom a 1x1 convolution makes
    it. With `supervision`, a 1x1 convolution makes logits from every level of the decoder; they
    are repeated to full size, concatenated and fused by another. Two variants:

    paper
        With base 32, depth 4, batch norm, one channel and one class: 8,720,004 parameters
        (transposed upsampling: 8,633,444).
    release
        `unet_CT_single_att_dsv_3D` of the authors' code: every gate is followed by another
        1x1 convolution, norm and ReLU, and supervision is deep. With base 16, depth 4, one
        channel and four classes, in 3-D: 6,214,151 parameters. The authors interpolate.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        bottom = level_widths(config)[-1]
        first = 0 if config.gates == "all" else min(1, config.depth - 1)
        self.gates = nn.ModuleDict(
            {f"gate{level}": AttentionGate(config, level) for level in range(first, config.depth)}
        )
        self.signal = nn.Sequential(*mix(config, bottom))
        initialise(self.signal)
        self.supervised = config.supervision
        if self.supervised:
            self.head = DeepSupervision(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        *skips, x = self.encoder(x)
        g = self.signal(x)
        maps: list[Tensor] = []
        for up, stage in zip(self.up, self.decoder, strict=True):
            skip, name = skips.pop(), f"gate{len(skips)}"
            if name in self.gates:
                skip = self.gates[name](skip, g)
            x = g = stage(torch.cat([skip, up(x)], dim=1))  # (B, base * 2^l, *S / 2^l)
            maps.append(x)
        logits: Tensor = self.head(maps if self.supervised else x)
        return logits


class DeepSupervision(nn.Module):
    """Logits from the feature maps of all levels, deepest first, instead of the finest alone.

    Every level makes its own by a 1x1 convolution; repeated to full size, they are concatenated
    and fused by another. Repeating is exact under tiling and needs no context.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        levels = list(enumerate(level_widths(config)[:-1]))[::-1]
        self.sides = nn.ModuleList(
            nn.Sequential(conv1(config, width, config.classes), repeat(config, level, 0))
            for level, width in levels
        )
        self.fuse = conv1(config, config.depth * config.classes, config.classes)
        initialise(self)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the logits of every pixel of the last of `maps`."""
        sides = [side(x) for side, x in zip(self.sides, maps, strict=True)]
        logits: Tensor = self.fuse(torch.cat(sides, dim=1))
        return logits


def mix(config: ModelConfig, channels: int) -> list[nn.Module]:
    """Return a 1x1 convolution, (norm) and ReLU."""
    return [conv1(config, channels, channels), *norm(config, channels), nn.ReLU(inplace=True)]


@contextmanager
def watch_gates(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the alpha map of every gate during forward passes; each pass replaces the last.

    Yields
    ------
    dict of str to Tensor
        For every gate, deepest first, alpha (B, 1, *grid) in [0, 1] on the gate's own grid:
        cell j covers the pixels [j * stride, (j + 1) * stride) of an axis of the input, where the
        strides come from `geometry.gate_strides`. Empty for a network without gates.
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, alpha: maps.update({name: alpha.detach()})

    hooks = [
        gate.alpha.register_forward_hook(keep(path.rpartition(".")[2]))
        for path, gate in network.named_modules()
        if isinstance(gate, AttentionGate)
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
