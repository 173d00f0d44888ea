"""Which convolutions of a network are computed by faster ones that compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_unet.models.layers import Conv
from napari_unet.models.packed import PackedConv, can_pack
from napari_unet.models.winograd import TAPS, WinogradConv

if TYPE_CHECKING:
    from napari_unet.models.graph import Graph

WIDE = 64  # channels from which on fewer multiplications are worth the way there and back
LANES = 16  # oneDNN is slow in groups whose channels are no multiple of these


def pack(graph: Graph, device: torch.device, dtype: torch.dtype) -> None:
    """Let convolutions of a graph be faster ones, where this processor has them and gains by it.

    Measured on one processor: packed, those of 1x1 made a network 1.05 to 1.4 times as slow, and
    depthwise ones made no difference.
    """
    if not can_pack(graph.ndim, device, dtype):
        return
    for node in graph.nodes:
        layer = node.layer
        if isinstance(layer, Conv) and layer.groups == 1 and max(layer.kernel_size) > 1:
            node.layer = (WinogradConv if _saves(layer) else PackedConv)(layer)


def _saves(layer: Conv) -> bool:
    """Return whether a convolution is faster by Winograd's algorithm."""
    channels = (layer.in_channels, layer.out_channels)
    return (
        layer.weight.dtype == torch.float32
        and layer.kernel_size[-1] == TAPS
        and {*layer.stride, *layer.dilation} == {1}
        and min(channels) >= WIDE
        and not any(n % LANES for n in channels)
    )
