"""The Attention U-Net: what the decoder knows decides which parts of a skip pass."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_unet.models.layers import conv1, conv2, initialise, level_widths, norm
from napari_unet.models.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.config import ModelConfig

OPEN = 3.0  # bias of psi: sigmoid(3) = 0.95


class AttentionGate(nn.Module):
    """Additive gate (Oktay et al. 2018): scales the skip `x` by alpha in [0, 1].

    alpha = sigmoid(psi(ReLU(theta(x) + phi(g)))) lives on the grid of the gating signal `g`,
    one octave coarser than `x`, and is repeated to the size of `x`: the paper interpolates,
    repeating needs less context. Gates start open, as in the paper, so that features pass.
    """

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.theta = conv2(config, channels, channels)
        self.phi = conv1(config, 2 * channels, channels)
        psi = conv1(config, channels, 1)
        self.alpha = nn.Sequential(nn.ReLU(inplace=True), psi, nn.Sigmoid())
        self.repeat = nn.Upsample(scale_factor=2, mode="nearest")
        self.out = nn.Sequential(conv1(config, channels, channels), *norm(config, channels))
        initialise(self)
        nn.init.constant_(psi.get_parameter("bias"), OPEN)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Gate `x` (B, C, *S) by `g` (B, 2C, *S/2)."""
        alpha = self.alpha(self.theta(x) + self.phi(g))  # (B, 1, *S/2)
        gated: Tensor = self.out(self.repeat(alpha) * x)
        return gated


class AttentionUNet(UNet):
    """Attention U-Net (Oktay et al. 2018) on the padded U-Net: (B, C, *S) -> (B, K, *S) logits.

    Every skip but that of full resolution passes a gate (`gate1` at stride 2, `gate2` at 4, ...;
    with depth 1 the only skip does: `gate0`). The gating signal is the decoder one octave
    coarser; at the bottom a 1x1 convolution makes it. With base 32, depth 4, batch norm, one
    channel and one class: 8,720,004 parameters (transposed upsampling: 8,633,444).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        *widths, bottom = level_widths(config)
        gated = range(min(1, config.depth - 1), config.depth)
        self.gates = nn.ModuleDict(
            {f"gate{level}": AttentionGate(config, widths[level]) for level in gated}
        )
        self.signal = nn.Sequential(
            conv1(config, bottom, bottom), *norm(config, bottom), nn.ReLU(inplace=True)
        )
        initialise(self.signal)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        *skips, x = self.encoder(x)
        g = self.signal(x)
        for up, stage in zip(self.up, self.decoder, strict=True):
            skip, name = skips.pop(), f"gate{len(skips)}"
            if name in self.gates:
                skip = self.gates[name](skip, g)
            x = g = stage(torch.cat([skip, up(x)], dim=1))  # (B, base * 2^l, *S / 2^l)
        logits: Tensor = self.head(x)
        return logits


@contextmanager
def watch_gates(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the alpha map of every gate during forward passes; each pass replaces the last.

    Yields
    ------
    dict of str to Tensor
        For every gate, deepest first, alpha (B, 1, *grid) in [0, 1] on the gate's own grid:
        cell j covers the pixels [j * stride, (j + 1) * stride) of the input, where the stride
        comes from `geometry.gate_strides`. Empty for a network without gates.
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
