"""A network as a list of steps: run once on tensors without numbers, and written down.

Layers are seen by hooks, what happens between them (concatenations, sums, crops) by a mode that
is told of every function of torch. Nothing is known about any architecture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_unet.models.cells import SAME, Blend, Gather, Spread
from napari_unet.models.layers import Conv, UpConv
from napari_unet.models.sight import Sight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_unet.models.cells import Rule

MaxPool = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
Pad = nn.ZeroPad1d | nn.ZeroPad2d | nn.ZeroPad3d
Wired = Conv | UpConv | MaxPool  # layers with a kernel
CROPS = ("narrow", "getitem")


@dataclass(frozen=True, slots=True)
class Step:
    """A layer that ran, or a function between layers.

    Parameters
    ----------
    name : str
        The layer's dotted name; empty for a function.
    owner : str
        The module that called it.
    kind : str
        Class of the layer, or name of the function: cat, add, mul, narrow, ...
    inputs : tuple of int
        The steps whose results it takes; -1 is the image.
    shape : tuple of int
        (C, *S) of its result.
    kernel : tuple of int or None
        Taps per axis; None for what has none.
    stride : tuple of int
        Pixels of the image between two cells of its result, per axis.
    field : tuple of int
        Pixels of the image that one cell of its result sees, per axis, at most.
    parameters : int
        Numbers that training changes; 0 where the layer ran before.
    macs : int
        Multiply-adds for the shapes of this run.
    fresh : bool
        Whether its result is a new array, not its input changed in place or a part of it.
    rules : tuple of Rule
        How the cells of its result depend on those of its inputs, per axis.
    layer : nn.Module or None
        The layer itself; None for a function.
    part : tuple
        Start and stop of the channels that a function takes of its input.
    """

    name: str
    owner: str
    kind: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...]
    field: tuple[int, ...]
    parameters: int
    macs: int
    fresh: bool
    rules: tuple[Rule, ...]
    layer: nn.Module | None = None
    part: tuple[int | None, int | None] = (None, None)


def trace(network: nn.Module, image: Tensor, step: Sequence[int]) -> list[Step]:
    """Run `network` on `image` (B, C, *S) and write down what happens, in order.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    image : Tensor
        On the same device. Nothing is computed where B is 0, or on the device "meta".
    step : sequence of int
        Total stride of the network per axis, as measured.

    Raises
    ------
    NotImplementedError
        If something changes the size in a way that is not known here.
    """
    recorder = _Recorder(image, step)
    hooks = [
        hook
        for name, module in network.named_modules()
        for hook in (
            module.register_forward_pre_hook(partial(recorder.enter, name)),
            module.register_forward_hook(partial(recorder.leave, name)),
        )
    ]
    try:
        with torch.no_grad(), recorder:
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return recorder.steps


class _Recorder(TorchFunctionMode):
    """Writes down steps; keeps every tensor, so that it can be told by its identity."""

    def __init__(self, image: Tensor, step: Sequence[int]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._owners: list[str] = []
        self._inside = False  # a layer: what it calls is its own affair
        self._kept = [image]
        self._made_by = {id(image): -1}
        self._sights = {-1: tuple(map(Sight.of_image, step))}

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._inside and isinstance(result, Tensor):
            given = [*args, *(kwargs or {}).values()]
            listed = [x for one in given for x in (one if isinstance(one, list | tuple) else [one])]
            inputs = [x for x in listed if id(x) in self._made_by]
            name = func.__name__.strip("_")
            if inputs:
                rules, part = _across(name, args, kwargs or {}, result)
                self._write("", name, inputs, result, rules, part=part)
        return result

    def enter(self, name: str, module: nn.Module, _inputs: Any) -> None:
        """Note that a module begins."""
        self._owners.append(name)
        self._inside = is_layer(module)

    def leave(
        self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> None:
        """Note that a module has run; write it down if it is a layer."""
        self._owners.pop()
        self._inside = False
        if not is_layer(module):
            return
        again = any(step.name == name for step in self.steps)
        self._write(
            name, type(module).__name__, inputs, output,
            tuple(_through(module, axis) for axis, _ in _space(output, first=0)),
            layer=module,
            parameters=0 if again else count_parameters(module.parameters()),
            macs=_macs(module, inputs[0], output),
            kernel=_per_axis(module.kernel_size, output) if isinstance(module, Wired) else None,
        )  # fmt: skip

    def _write(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Tensor],
        output: Tensor,
        rules: tuple[Rule, ...],
        **more: Any,
    ) -> None:
        """Write a step down; what changes the size in another way than its rules say is refused."""
        sources = tuple(self._made_by[id(x)] for x in inputs)
        sights = tuple(
            reduce(Sight.join, (self._sights[s][axis].through(rule) for s in sources))
            for axis, rule in enumerate(rules)
        )
        sizes = [rule.size(x.shape[2 + i]) for x in inputs for i, rule in enumerate(rules)]
        if sizes != [*output.shape[2:]] * len(inputs):
            raise NotImplementedError(f"{name or kind} changes the size in a way not known here")
        self._sights[len(self.steps)] = sights
        self._made_by[id(output)] = len(self.steps)
        fresh = kind not in CROPS and all(output is not x for x in inputs)
        self._kept.append(output)
        self.steps.append(
            Step(
                name=name,
                owner=self._owners[-1],
                kind=kind,
                inputs=sources,
                shape=tuple(output.shape[1:]),
                stride=tuple(sight.stride for sight in sights),
                field=tuple(sight.field for sight in sights),
                fresh=fresh,
                rules=rules,
                **{"kernel": None, "parameters": 0, "macs": 0, **more},
            )
        )


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in parameters)


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is one of torch's own with nothing in it, and does something."""
    own = type(module).__module__.startswith("torch.nn")
    idle = isinstance(module, nn.Sequential | nn.Identity)
    return own and not idle and not any(module.children())


def _through(layer: nn.Module, axis: int) -> Rule:
    """Return how the cells of a layer's result depend on its input along a spatial axis."""
    if isinstance(layer, Wired):
        size, stride, pad = (
            _along(value, axis) for value in (layer.kernel_size, layer.stride, layer.padding)
        )
        return Spread(size, stride) if isinstance(layer, UpConv) else Gather(size, stride, pad, pad)
    if isinstance(layer, nn.Upsample):
        times = round(_along(layer.scale_factor, axis))
        blended = layer.mode.endswith("linear") and times > 1
        return Blend(times) if blended else Spread(times, times)
    if isinstance(layer, Pad):  # pairs of sides, the last axis first
        return Gather(1, 1, *layer.padding[-2 - 2 * axis :][:2])
    return SAME


def _across(
    name: str, args: tuple[Any, ...], settings: Mapping[str, Any], result: Tensor
) -> tuple[tuple[Rule, ...], tuple[int | None, int | None]]:
    """Return what a function between layers does along each axis, and the channels it takes."""
    windows: dict[int, slice] = {}
    if name == "narrow":
        _, dim, start, *_ = (*args, *settings.values())
        windows[dim % args[0].dim()] = slice(start, None)
    elif name == "getitem":
        given = args[1] if isinstance(args[1], tuple) else (args[1],)
        filled = [slice(None)] * (args[0].dim() - len(given) + given.count(...))
        at = given.index(...) if ... in given else len(given)
        windows = dict(enumerate((*given[:at], *filled, *given[at + 1 :])))
    starts = {
        dim: window.indices(args[0].shape[dim])[0]
        for dim, window in windows.items()
        if window.step in (None, 1)  # others change the size as no rule tells
    }
    rules = tuple(
        Gather(1, 1, -starts[axis], starts[axis] + n - args[0].shape[axis])
        if axis in starts
        else SAME
        for axis, n in _space(result)
    )
    channels = windows.get(1, slice(None))
    return rules, (channels.start, channels.stop)


def _macs(layer: nn.Module, image: Tensor, output: Tensor) -> int:
    """Count multiply-adds: every weight meets every cell of the result (or of the input)."""
    if not isinstance(layer, Conv | UpConv):
        return 0
    cells = (image if isinstance(layer, UpConv) else output).shape[2:]
    return layer.weight.numel() * math.prod(cells)


def _along(value: Any, axis: int) -> Any:
    return value if isinstance(value, int | float) else value[axis]


def _per_axis(value: Any, like: Tensor) -> tuple[int, ...]:
    return tuple(_along(value, axis) for axis, _ in _space(like, first=0))


def _space(tensor: Tensor, first: int = 2) -> list[tuple[int, int]]:
    """Pair each spatial axis, counted from `first`, with its size."""
    return list(enumerate(tensor.shape[2:], start=first))
