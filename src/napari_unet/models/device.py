"""Where to compute, and whether it was too much for that place."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import torch

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

GIB = 2**30
NARROW = 8  # channels, see `_is_unsafe`
LAYOUT: Mapping[int, torch.memory_format] = {  # by dimension
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
}
_NO_MEMORY = (  # torch raises plain RuntimeErrors for most of these
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # CPU, Linux and macOS
    "not enough memory",  # CPU, Windows
    "_STATUS_ALLOC_FAILED",  # cuDNN, cuBLAS
)


@dataclass(frozen=True, slots=True)
class Device:
    """A place to compute: how it is called in settings, what it is, and its memory."""

    name: str
    title: str
    memory_gib: float


def list_devices() -> list[Device]:
    """List the devices there are, the fastest first; the CPU is always there, and last."""
    cards = [_card(index) for index in range(torch.cuda.device_count())]
    memory_gib = psutil.virtual_memory().total / GIB
    chips = [Device("mps", "Apple GPU", memory_gib)] if torch.backends.mps.is_available() else []
    cpu = f"{platform.machine()}, {psutil.cpu_count(logical=False) or 1} cores"
    return [*cards, *chips, Device("cpu", cpu, memory_gib)]


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: auto (the first of `list_devices`), cuda, cuda:1, ...

    Whether it computes what it should is another question, see `trial.trust`.

    Raises
    ------
    InputError
        U160 if there is no such device.
    """
    there = [device.name for device in list_devices()]
    if name == "auto":
        return torch.device(there[0])
    known = ["auto", *(["cuda"] if "cuda:0" in there else []), *there]
    if name not in known:
        raise InputError("U160", f"device {name!r} is not there", f"choose from {', '.join(known)}")
    return torch.device(name)


def place(network: nn.Module, device: torch.device, ndim: int) -> nn.Module:
    """Move a network to `device`, its kernels in the layout that is fast there.

    Channels last takes about 0.7 of the time of the plain layout (in 3-D, 0.8 to apply and 0.65
    to train); the numbers of a result differ by rounding only.
    """
    if not (device.type == "cpu" and _is_unsafe(network)):
        network.to(memory_format=LAYOUT[ndim])  # type: ignore[call-overload] # torch's stub lacks it
    return network.to(device)


def _is_unsafe(network: nn.Module) -> bool:
    """Whether channels last would let the backward pass write beyond its memory on a CPU.

    torch 2.13 does so in a 1x1 convolution with a stride and fewer than 8 channels: after some
    steps the process dies. Shown by a loop over such a convolution alone.
    """
    return any(
        getattr(m, "in_channels", NARROW) < NARROW
        and max(getattr(m, "kernel_size", (2,))) == 1
        and max(getattr(m, "stride", (1,))) > 1
        for m in network.modules()
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` says that memory ran out, so that smaller tiles may help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


@contextmanager
def exact() -> Iterator[None]:
    """Compute in all 32 bits, where graphics cards leave out some of them in convolutions.

    TF32 keeps 10 bits of each factor: some 0.01 of the spread of a network's output, where
    rounding in float32 makes 0.00001. That is good enough to use, but hides what is wrong.
    """
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    try:
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


def _card(index: int) -> Device:
    """Describe a graphics card; one that the driver does not open says so in its title."""
    try:
        found = torch.cuda.get_device_properties(index)
    except RuntimeError as error:
        return Device(f"cuda:{index}", f"not usable: {str(error).splitlines()[0]}", 0.0)
    return Device(f"cuda:{index}", found.name, found.total_memory / GIB)
