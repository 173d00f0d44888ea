"""Weights as oneDNN computes with them: brought into that form once, not for every block of rows.

`functional.conv2d` does it in every call. Where a block has few rows, at the bottom of a network
whose weights are many, that took up to a third of the time of a layer.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import torch

from napari_unet.models.precision import has_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from napari_unet.models.layers import Conv

X86 = ("x86_64", "AMD64")
POINTWISE = "_convolution_pointwise"  # what torch's own compiler calls
REORDER: Mapping[int, Callable[..., Tensor]] = {  # by spatial dimensions
    2: torch.ops.aten.mkldnn_reorder_conv2d_weight,
    3: torch.ops.aten.mkldnn_reorder_conv3d_weight,
}


class PackedConv:
    """A convolution on an x86 processor that computes what its layer does.

    Parameters
    ----------
    layer : Conv
        Two- or three-dimensional, in float32 or bfloat16, on a CPU; it is left as it is.
    """

    def __init__(self, layer: Conv) -> None:
        self.bias = None if layer.bias is None else layer.bias.detach()
        self._more = [list(layer.stride), list(layer.dilation), layer.groups]
        self._convolve = getattr(torch.ops.mkldnn, POINTWISE)
        idle = [0] * (layer.weight.dim() - 2)
        with torch.inference_mode():
            weight = layer.weight.detach().to_mkldnn()
            self.weight = REORDER[len(idle)](weight, idle, *self._more)

    def __call__(self, x: Tensor, padding: Sequence[int]) -> Tensor:
        """Convolve (B, C, *S), channels last, with that many zeros on both sides of each axis."""
        result: Tensor = self._convolve(
            x, self.weight, self.bias, list(padding), *self._more, "none", [], ""
        )
        return result


def can_pack(ndim: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether convolutions can be packed: 2-D and 3-D, on an x86 processor."""
    return (
        ndim in REORDER
        and device.type == "cpu"
        and platform.machine() in X86
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, POINTWISE)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and has_bf16()))
    )
