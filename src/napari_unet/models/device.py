"""Where to compute, and whether it was too much for that place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_unet.config import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

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


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: auto (cuda, mps or cpu, the first there is), cuda:1, ...

    Raises
    ------
    InputError
        U160 if there is no such device.
    """
    there = _devices()
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        known = ", ".join(["auto", *there])
        raise InputError("U160", f"device {name!r} is not there", f"choose from {known}")
    return torch.device(name)


def place(network: nn.Module, device: torch.device, ndim: int) -> nn.Module:
    """Move a network to `device`, its kernels in the layout that is fast there.

    Channels last takes about 0.7 of the time of the plain layout (in 3-D, 0.8 to apply and 0.65
    to train); the numbers of a result differ by rounding only.
    """
    network.to(memory_format=LAYOUT[ndim])  # type: ignore[call-overload] # torch's stub lacks it
    return network.to(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` says that memory ran out, so that smaller tiles may help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _devices() -> list[str]:
    """Name the devices there are, the fastest first."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*(["cuda", *cuda] if cuda else []), *mps, "cpu"]
