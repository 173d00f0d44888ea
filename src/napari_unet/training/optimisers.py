"""How parameters follow the gradient, and how fast."""

from __future__ import annotations

import inspect
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from napari_unet.config import OptimiserConfig

FUSED = ("cpu", "cuda")  # devices with fused optimisers, in every torch that we take
METHODS = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
WARM_UP = 0.15  # share of a one-cycle run in which the rate rises
LOWEST = 0.01  # of the highest rate, where cosine and one-cycle begin or end
POWER = 0.9  # of the poly schedule: that of nnU-Net (Isensee et al. 2021)


def make_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the optimiser that `config` names.

    adam adds the decay to the gradient, where it is divided by the gradient's spread; adamw
    shrinks the parameters themselves. adamw spares biases and normalisation (vectors). All are
    fused, one pass over the parameters: 0.3 to 0.7 of the time on a CPU.
    """
    fused = all(p.device.type in FUSED for p in network.parameters())
    if config.name == "sgd":
        return _uncompiled(torch.optim.SGD)(
            network.parameters(),
            lr=config.rate,
            momentum=config.momentum,
            weight_decay=config.decay,
            nesterov=config.nesterov and config.momentum > 0,
            fused=fused,
        )
    if config.name == "adam":
        return _uncompiled(torch.optim.Adam)(
            network.parameters(), lr=config.rate, weight_decay=config.decay, fused=fused
        )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return _uncompiled(torch.optim.AdamW)(
        groups, lr=config.rate, weight_decay=config.decay, fused=fused
    )


@cache
def _uncompiled(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return optimisers of a kind that do not import torch's compiler, which takes a second.

    Those of torch do so to tell it what it must not compile.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in METHODS}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})


def lay_out(optimiser: torch.optim.Optimizer) -> None:
    """Store what is remembered of each parameter in the order in which the parameter is stored.

    Fused optimisers go through both side by side, number by number, and ask no questions.
    """
    for parameter, slots in optimiser.state.items():
        for name, value in slots.items():
            if value is not None and value.shape == parameter.shape:
                slots[name] = torch.empty_like(parameter).copy_(value)


def rate_at(config: OptimiserConfig, progress: float, epoch: int) -> float:
    """Return the learning rate at `progress` (0 to 1) of the budget, in `epoch` (from 0)."""
    if config.schedule == "exponential":
        return config.rate * config.gamma**epoch
    if config.schedule == "cosine":
        return config.rate * _cosine(progress)
    if config.schedule == "one_cycle":
        if progress < WARM_UP:
            return config.rate * _cosine(1 - progress / WARM_UP)
        return config.rate * _cosine((progress - WARM_UP) / (1 - WARM_UP))
    if config.schedule == "poly":
        return float(config.rate * (1 - min(max(progress, 0.0), 1.0)) ** POWER)
    return config.rate


def _cosine(share: float) -> float:
    """Fall from 1 to `LOWEST` along half a cosine."""
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2
