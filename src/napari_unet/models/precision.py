"""In which numbers a network computes: half of the bits where that is fast and works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.config import InputError
from napari_unet.models.backends import fastest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.config.prediction import Precision

TOLERANCE = 0.05  # of the spread of one convolution; 0.005 is usual with bfloat16
_BF16_X86 = ("avx512_bf16", "amx_bf16")  # instructions for it, of x86
_BF16 = (*_BF16_X86, "bf16", "sve_bf16")  # and of ARM
_DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def half_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Return in which numbers a network computes on `device`.

    "auto" is float16 on graphics cards, where a small convolution shows that it works, and
    float32 else. On a CPU ask `bf16_pays` as well, once the network is at hand.

    Raises
    ------
    InputError
        U160 if the device does not compute in the numbers asked for; of float16 no CPU is
        capable at any useful speed.
    """
    if precision == "auto":
        half = device.type in ("cuda", "mps") and _works(device, torch.float16)
        return torch.float16 if half else torch.float32
    dtype = _DTYPES[precision]
    slow = dtype == torch.float16 and device.type == "cpu"
    if slow or (dtype != torch.float32 and not _works(device, dtype)):
        what = f"device {device} does not compute in {precision}"
        raise InputError("U160", what, "choose precision float32 or auto")
    return dtype


def learning_dtype(device: torch.device, precision: Precision, *, values: bool) -> torch.dtype:
    """Return in which numbers a network learns on `device`.

    "auto" is bfloat16 on graphics cards that compute in it themselves, float16 on older ones, and
    bfloat16 on x86 processors with instructions for it, where a step takes 0.6 of the time, unless
    `values` are learned, which lost half a decibel there; float32 else. Nothing is measured: a run
    that goes on after a stop must not find otherwise.

    Raises
    ------
    InputError
        U160 if the device does not compute in the numbers asked for.
    """
    if precision != "auto":
        return half_dtype(device, precision)
    if device.type == "cpu" and not values and has_bf16():
        return torch.bfloat16
    if device.type != "cuda":
        return torch.float32
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return half_dtype(device, "auto")


def bf16_pays(network: nn.Module, image: Tensor) -> bool:
    """Tell whether a CPU is faster in bfloat16, by a quick measurement on `image` (1, C, *S).

    Without instructions for it a CPU takes more than twice as long, so that nothing is measured
    then. Networks are run with torch's autocast, as they are.
    """
    if image.device.type != "cpu" or not any(map(_capabilities().get, _BF16)):
        return False

    def halved(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits: Tensor = network(x)
        return logits

    return fastest({"float32": network, "bfloat16": halved}, image) == "bfloat16"


def has_bf16() -> bool:
    """Tell whether this is an x86 processor with instructions for bfloat16."""
    return any(map(_capabilities().get, _BF16_X86))


def _capabilities() -> Mapping[str, object]:
    """Return which instructions the CPU has; nothing with a torch that cannot say so."""
    ask = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: Mapping[str, object] = ask()
    return capabilities


def _works(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether a convolution in `dtype` runs on `device` and gives about the right numbers."""
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(1, 8, 16, 16, generator=rng)
    weight = torch.randn(8, 8, 3, 3, generator=rng)
    with torch.inference_mode():
        truth = nn.functional.conv2d(image, weight)
        try:
            halved = nn.functional.conv2d(image.to(device, dtype), weight.to(device, dtype))
            difference = (halved.to("cpu", torch.float32) - truth).abs().max()
        except (RuntimeError, TypeError):  # how torch refuses, for want of a class
            return False
    return bool(difference <= TOLERANCE * truth.std())
