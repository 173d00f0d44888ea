"""What a network asks of the memory, estimated without computing anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from napari_unet.models.registry import build
from napari_unet.models.tracing import count_parameters, trace
from napari_unet.tiling import AUTO_TILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from napari_unet.config import ModelConfig
    from napari_unet.models.tracing import Step
    from napari_unet.tiling import Geometry

PATCH: Mapping[int, int] = {1: 4096, 2: 128, 3: 48}  # edge in pixels, by dimension
BATCH: Mapping[int, int] = {1: 16, 2: 4, 3: 2}
FLOAT_BYTES = 4
COPIES = 4  # of every parameter while training with Adam: value, gradient, two moments


def estimate_memory(config: ModelConfig, geometry: Geometry) -> dict[str, int]:
    """Estimate the memory that a network needs, in bytes.

    Returns
    -------
    dict
        `parameters`, the network itself; `training`, one step of Adam on a batch of the default
        size; `prediction`, one automatic tile. Arrays of float32 alone: what torch and its
        libraries need for themselves comes on top.

    Notes
    -----
    On a CPU (torch 2.13, Linux, one thread) six networks (unet, attention, improved, vnet and
    unet2015 in 2-D as their papers have them, unet of base 16 and depth 3 in 3-D) took 0.95 to
    1.23 times the estimate in training and 0.86 to 1.22 times in prediction, counted as the peak
    of the resident set over what it was before the network was built.
    """
    patch = [geometry.input_size(axis, PATCH[config.ndim]) for axis in range(config.ndim)]
    tile = AUTO_TILE[config.ndim]
    window = [geometry.legal(axis, tile + 2 * n) for axis, n in enumerate(geometry.context)]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build(config)
        parameters = FLOAT_BYTES * count_parameters(network.parameters())
        training = COPIES * parameters + bytes_to_learn(
            network, config, [BATCH[config.ndim], *patch]
        )
        image = torch.empty(1, config.in_channels, *window)
        steps = trace(network.eval(), image, geometry.step)
    return {
        "parameters": parameters,
        "training": training,
        "prediction": parameters + largest_load(steps, image.numel()),
    }


def bytes_to_learn(network: nn.Module, config: ModelConfig, batch: Sequence[int]) -> int:
    """Add up what a forward pass keeps for the gradient, and what backpropagation adds.

    Parameters
    ----------
    network : nn.Module
        On the device "meta".
    batch : sequence of int
        (B, *S).
    """
    kept: dict[int, Any] = {}
    own = [x.untyped_storage() for x in (*network.parameters(), *network.buffers())]

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[id(storage)] = storage
        return x

    image = torch.empty(batch[0], config.in_channels, *batch[1:], device="meta")
    with torch.inference_mode(mode=False), torch.enable_grad(), saved_tensors_hooks(keep, keep):
        logits: Tensor = network.train()(image)
    for storage in own:
        kept.pop(id(storage), None)
    sizes: list[int] = [storage.nbytes() for storage in kept.values()]
    # the gradients of a map and of what it was made from exist at the same time
    return sum(sizes) + 2 * max(sizes, default=0) + 3 * FLOAT_BYTES * logits.numel()


def largest_load(steps: Sequence[Step], image: int) -> int:
    """Return the most bytes of feature maps that exist at once in a forward pass.

    A map exists until the last step that takes it has run; convolutions work on copies of what
    they take and give, in an order of their own.

    Parameters
    ----------
    steps : sequence of Step
        From `trace`.
    image : int
        Numbers in the image.
    """
    owner, last = {-1: -1}, {-1: 0}
    for i, step in enumerate(steps):
        owner[i] = i if step.fresh else owner[step.inputs[0]]
        last |= {owner[source]: i for source in (*step.inputs, i)}
    sizes = {-1: image} | {i: math.prod(step.shape) for i, step in enumerate(steps)}
    live, most = {-1: image}, image
    for i, step in enumerate(steps):
        if step.fresh:
            live[i] = sizes[i]
        copied = sum(sizes[at] for at in (*step.inputs, i)) if step.macs else 0
        most = max(most, sum(live.values()) + copied)
        live = {at: size for at, size in live.items() if last[at] > i}
    return FLOAT_BYTES * most
