"""Whether a device computes what the CPU computes: asked once, before it is trusted.

Drivers and kernels have given wrong numbers without a word. A small network of fixed
parameters, once in 2-D and once in 3-D, predicts and takes the gradient of one training step. An
error of 1e-5 in every convolution, more than float32 makes, changes probabilities by 0.0003 and
the gradient by 0.002 of its norm; what is forbidden is a multiple of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_unet.config import InputError, ModelConfig
from napari_unet.models.device import choose_device, exact, list_devices, place
from napari_unet.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

OUTPUT = 1e-3  # the most that a probability may differ
GRADIENT = 0.05  # ... and the gradient, of its norm
AGREEMENT = 0.999  # share of the pixels that must get the same class
_EDGE: Mapping[int, int] = {2: 96, 3: 24}  # pixels of the test image along each axis
_GRAIN = 8  # pixels: the image is smooth, so that its gradient does not hang on single pixels


@dataclass(frozen=True, slots=True)
class Trial:
    """How far a device is away from the CPU."""

    device: str
    output: float  # largest difference of a probability
    gradient: float  # difference of the gradient, over its norm
    agreement: float  # share of pixels with the same class

    @property
    def fault(self) -> str:
        """What is wrong with the device, with the numbers; empty when it can be trusted."""
        near = self.output <= OUTPUT and self.gradient <= GRADIENT  # NaN is not near
        if near and self.agreement >= AGREEMENT:
            return ""
        return (
            f"device {self.device} gives wrong numbers: in a small test network probabilities "
            f"differ from those of the CPU by up to {self.output:.2g} (at most {OUTPUT:g}), "
            f"the gradient by {self.gradient:.2g} of its norm (at most {GRADIENT:g}), and "
            f"{self.agreement:.2%} of the classes agree (at least {AGREEMENT:.1%})"
        )


def trust(name: str) -> tuple[torch.device, tuple[str, ...]]:
    """Return the device called `name` if it computes what the CPU computes, and what to say.

    "auto" is the first device that does; those that were passed over are told, with the
    numbers. A device that was asked for by name is never silently another one.

    Raises
    ------
    InputError
        U160 if there is no such device, U163 if it was asked for and gives wrong numbers.
    """
    if name != "auto":
        device = choose_device(name)
        if fault := examine(name):
            raise InputError("U163", fault, "choose auto or cpu, or update the driver and torch")
        return device, ()
    notes: list[str] = []
    for found in list_devices():
        fault = examine(found.name)
        if not fault:
            break
        notes.append(f"{fault}: it is not used")
    if notes:
        notes.append(f"computing on {found.name} instead")
    return torch.device(found.name), tuple(notes)


def examine(name: str) -> str:
    """Say what is wrong with a device, in words; the CPU is what the others are measured by."""
    if name == "cpu":
        return ""
    try:
        return try_out(name).fault
    except RuntimeError as error:  # how torch says that it cannot, be it for want of memory
        lines = str(error).splitlines() or [type(error).__name__]
        return f"device {name} cannot compute: {lines[0]}"


@lru_cache
def try_out(name: str) -> Trial:
    """Compare a device with the CPU; once per process, which takes about a second.

    One that cannot compute raises RuntimeError, each time: memory may have become free.
    """
    pairs = zip(_answers(name), _answers("cpu"), strict=True)
    outputs, gradients, agreements = zip(*(_compare(*pair) for pair in pairs), strict=True)
    return Trial(name, _largest(outputs), _largest(gradients), min(agreements))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a network says, and the gradient of all its parameters in one row."""

    probabilities: Tensor  # (B, K, *S)
    gradient: Tensor


def _answers(name: str) -> list[_Answer]:
    with exact(), torch.random.fork_rng(devices=[]):
        return [_answer(torch.device(name), ndim) for ndim in _EDGE]


def _answer(device: torch.device, ndim: int) -> _Answer:
    torch.manual_seed(0)
    network = build(ModelConfig(ndim=ndim, in_channels=1, classes=3, base=4, depth=2, norm="batch"))
    coarse = torch.randn(2, 1, *(_EDGE[ndim] // _GRAIN,) * ndim)
    image = nn.functional.interpolate(
        coarse, scale_factor=_GRAIN, mode="bilinear" if ndim == 2 else "trilinear"
    )
    classes = torch.bucketize(image[:, 0], torch.tensor([-0.3, 0.3]))
    place(network, device, ndim)
    image, classes = image.to(device), classes.to(device)
    with torch.inference_mode():
        probabilities = network.eval()(image).softmax(1).to("cpu", torch.float32)
    torch.autograd.backward(nn.functional.cross_entropy(network.train()(image), classes))
    slopes = (p.grad.to("cpu", torch.float32) for p in network.parameters() if p.grad is not None)
    return _Answer(probabilities, torch.cat([slope.flatten() for slope in slopes]))


def _compare(found: _Answer, truth: _Answer) -> tuple[float, float, float]:
    """Return the differences of outputs and of gradients, and how many classes agree."""
    output = (found.probabilities - truth.probabilities).abs().max()
    gradient = (found.gradient - truth.gradient).norm() / truth.gradient.norm()
    same = found.probabilities.argmax(1) == truth.probabilities.argmax(1)
    return float(output), float(gradient), float(same.float().mean())


def _largest(numbers: tuple[float, ...]) -> float:
    """Return the largest number, or NaN where there is one."""
    return float(torch.tensor(numbers).max())
