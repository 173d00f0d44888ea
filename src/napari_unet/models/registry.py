"""From a name to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.config import ARCHITECTURES, resolve_name

if TYPE_CHECKING:
    from torch import nn

    from napari_unet.config import ModelConfig


def build(config: ModelConfig) -> nn.Module:
    """Build the network that `config` names: (B, C, *S) float32 image -> (B, K, *S) logits.

    Its parameters are drawn from torch's global generator: seed it before for the same network.
    """
    network: nn.Module = resolve_name(ARCHITECTURES[config.architecture].target)(config)
    return network
