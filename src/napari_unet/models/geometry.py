"""What a network does to space, measured from the network itself: no formula per architecture.

The 1-D twin of an axis (one channel, one filter, convolved and halved as the network does it
along that axis) is run on a line of ones. Which sizes it takes gives `step`, `smallest` and
`lost`; the gradient of one block of outputs shows how far the block sees, and that is `margin`.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.config import InputError
from napari_unet.models.attention import watch_gates
from napari_unet.models.layers import Conv, UpConv, fan_in
from napari_unet.models.registry import build
from napari_unet.tiling import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_unet.config import ModelConfig

LONGEST = 2**15  # pixels; a network that sees further is taken to see everything


def measure(config: ModelConfig) -> Geometry:
    """Measure step, margin, lost border and smallest input of the network `config` names.

    Takes a fraction of a second, once for all axes and networks that differ in width, channels,
    classes, expansion and dropout only. Torch's random state and modes are left as they were.

    Raises
    ------
    InputError
        U151 if the network sees further than anyone could wait for.
    ValueError
        If it takes no regular sizes.
    """
    axes = [_measure_axis(_twin_config(config, axis)) for axis in range(config.ndim)]
    return Geometry(
        step=tuple(axis.step[0] for axis in axes),
        margin=tuple(axis.margin[0] for axis in axes),
        lost=tuple(axis.lost[0] for axis in axes),
        smallest=tuple(axis.smallest[0] for axis in axes),
    )


def gate_strides(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Measure how many pixels along each axis one cell of each gate's alpha map covers.

    The names are those of `watch_gates`; a network without gates gives an empty dictionary.
    """
    axes = [_measure_gates(_twin_config(config, axis)) for axis in range(config.ndim)]
    return {name: tuple(strides[name] for strides in axes) for name in axes[0]}


def measure_line(network: nn.Module) -> Geometry:
    """Measure a 1-D network (B, 1, X) -> (B, 1, X'), which is simplified in place.

    Raises
    ------
    InputError, ValueError
        As `measure` does.
    """
    _simplify(network)
    smallest, second = _legal_sizes(network)
    step = second - smallest
    with torch.no_grad():
        lost, odd = divmod(smallest - network(_ones(smallest)).shape[-1], 2)
    if odd or lost < 0:
        raise ValueError(f"an input of {smallest} pixels does not lose the same on both sides")
    margin = -(-_reach(network, step, lost, smallest) // step) * step
    return Geometry((step,), (margin,), (lost,), (smallest,))


@lru_cache
def _measure_axis(twin: ModelConfig) -> Geometry:
    with _probing():
        return measure_line(build(twin))


@lru_cache
def _measure_gates(twin: ModelConfig) -> Mapping[str, int]:
    size = _measure_axis(twin).smallest[0]
    with _probing(), torch.no_grad():
        network = build(twin).double().eval()
        with watch_gates(network) as maps:
            network(_ones(size))
    return {name: size // alpha.shape[-1] for name, alpha in maps.items()}


def _twin_config(config: ModelConfig, axis: int) -> ModelConfig:
    """Return the settings of the 1-D twin of an axis, small in all that leaves geometry alone."""
    flat, halvings = config.levels(axis)
    small = {"base": 1, "in_channels": 1, "classes": 1, "expansion": 1, "dropout": 0.0}
    line = {"ndim": 1, "flat": (flat,), "halvings": (halvings,)}
    return config.model_copy(update={**small, **line})


def _simplify(network: nn.Module) -> None:
    """Let a network be monotonous on positive input, so that its gradient shows what it sees.

    Max pools become average pools; weights become positive and sum to 1 per output, so that
    nothing cancels and nothing saturates; biases become 0, norms pass. Then no activation ever
    sees a negative number, and for positive ones all of them rise.
    """
    network.double().eval()
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.MaxPool1d):
                pool = nn.AvgPool1d(child.kernel_size, child.stride, child.padding)
                setattr(parent, name, pool)
    for layer in network.modules():
        if isinstance(layer, Conv | UpConv):
            nn.init.constant_(layer.weight, 1 / fan_in(layer))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_parameters()


@contextmanager
def _probing() -> Iterator[None]:
    """Differentiate on the CPU whatever mode the caller is in; leave torch's state as it was.

    One thread: for lines this short, more of them only wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("cpu"),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


def _ones(size: int) -> Tensor:
    return torch.ones(1, 1, size, dtype=torch.float64)


def _legal_sizes(network: nn.Module) -> tuple[int, int]:
    """Find the two smallest sizes at which the network runs and no strided layer cuts in half."""
    sizes = []
    with _refusing_remainders(network), torch.no_grad():
        for size in range(1, LONGEST):
            try:
                network(_ones(size))
            except (RuntimeError, ValueError) as error:  # too small, or a remainder
                reason = error
                continue
            sizes.append(size)
            if len(sizes) == 2:
                return sizes[0], sizes[1]
    raise ValueError(f"no two legal sizes below {LONGEST} pixels") from reason


@contextmanager
def _refusing_remainders(network: nn.Module) -> Iterator[None]:
    """Let every strided layer raise ValueError for a size that its stride does not divide."""

    def check(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        size, stride = inputs[0].shape[-1], _stride(layer)
        if size % stride:
            raise ValueError(f"{size} pixels are no multiple of stride {stride}")

    strided = [layer for layer in network.modules() if _stride(layer) > 1]
    hooks = [layer.register_forward_pre_hook(check) for layer in strided]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stride(layer: nn.Module) -> int:
    if not isinstance(layer, nn.Conv1d | nn.AvgPool1d):
        return 1
    return layer.stride if isinstance(layer.stride, int) else layer.stride[0]


def _reach(network: nn.Module, step: int, lost: int, smallest: int) -> int:
    """Return how many pixels an aligned block of outputs sees on its farther side.

    The line is doubled until the block in its middle sees neither end.
    """
    size = smallest
    while size < LONGEST:
        size += max(step, size // step * step)
        line = _ones(size).requires_grad_()
        logits: Tensor = network(line)
        start = logits.shape[-1] // (2 * step) * step
        (gradient,) = torch.autograd.grad(logits[..., start : start + step].sum(), line)
        seen = gradient[0, 0].nonzero().flatten()
        if len(seen) and seen[0] > 0 and seen[-1] < size - 1:
            block = start + lost  # where the block begins in the input
            return max(block - int(seen[0]), int(seen[-1]) - (block + step - 1))
    raise InputError(
        "U151",
        f"a block of {step} pixels sees no bounded stretch of {LONGEST} pixels",
        "choose less depth, a smaller kernel or fewer blocks",
    )
