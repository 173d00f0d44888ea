"""Convolutions with half of the multiplications: F(4, 3) along the last axis.

Lavin & Gray 2016, "Fast algorithms for convolutional neural networks" (arXiv:1509.09308), after
Winograd. Four neighbours in the result of three taps see six cells, and take six products instead
of twelve: the cells are mixed, multiplied with mixed taps, and mixed back. A cell is a vector of
channels here, and its product with a tap a convolution over the other axes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_unet.models.packed import PackedConv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_unet.models.layers import Conv

TAPS = 3
RESULTS = 4
PRODUCTS = RESULTS + TAPS - 1
CACHED = 2**22  # mixed numbers at a time, 16 MiB: as much as a cache holds
# A filter and a signal are polynomials; their product is found from its values at the points
# 0, 1, -1, 2, -2 and infinity.
MIX_CELLS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
MIX_TAPS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
MIX_BACK = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class WinogradConv(PackedConv):
    """A convolution that computes what its layer does, to rounding, with half of the products.

    Parameters
    ----------
    layer : Conv
        Two- or three-dimensional, in float32, on an x86 processor; `TAPS` taps along the last axis,
        no stride, dilation or groups. It is left as it is.

    Notes
    -----
    Rounding is about twice that of the layer (root mean square). Weights take twice the memory.
    """

    def __init__(self, layer: Conv) -> None:
        super().__init__(_products(layer))
        self._filters, (*self._taps, _) = layer.out_channels, layer.kernel_size
        self._cells, self._back = torch.tensor(MIX_CELLS).float(), torch.tensor(MIX_BACK).float()

    def __call__(self, x: Tensor, padding: Sequence[int]) -> Tensor:
        """Convolve (1, C, *S), channels last, with that many zeros on both sides of each axis."""
        *others, sides = padding
        width = x.shape[-1] + 2 * sides - TAPS + 1
        groups = -(-width // RESULTS) + 1  # of a line; the last also sees where the next begins
        zeros = [sides, RESULTS * groups - x.shape[-1] - sides]
        zeros += [n for n in reversed(others) for _ in range(2)]
        lines = functional.pad(x.movedim(1, -1), (0, 0, *zeros))
        more = self._taps[0] - 1
        space = [n - taps + 1 for n, taps in zip(lines.shape[1:-2], self._taps, strict=True)]
        result = x.new_empty(1, *space, RESULTS * groups, self._filters)
        step = max(1, CACHED * RESULTS // (PRODUCTS * lines[0, 0].numel()))
        for start in range(0, space[0], step):
            stop = min(start + step, space[0])
            mixed = self._mix(lines[:, start : stop + more], groups)
            products = super().__call__(mixed, [0] * len(padding)).movedim(1, -1)
            parts = products.reshape(-1, PRODUCTS, self._filters)
            piece = result[:, start:stop].view(-1, RESULTS, self._filters)
            torch.bmm(self._back.expand(len(parts), -1, -1), parts, out=piece)
        return result.movedim(-1, 1)[..., :width]

    def _mix(self, lines: Tensor, groups: int) -> Tensor:
        """Return (1, PRODUCTS * C, *S, groups), channels last, from (1, *S, RESULTS * groups, C).

        All lines are taken as one, in which the groups of cells lie at equal distances.
        """
        *lead, _, channels = lines.shape
        seen = lines.view(-1, channels).unfold(0, PRODUCTS, RESULTS).transpose(1, 2)
        mixed = lines.new_empty(len(seen) + 1, PRODUCTS, channels)
        torch.bmm(self._cells.expand(len(seen), -1, -1), seen, out=mixed[:-1])
        mixed[-1].zero_()
        return mixed.view(*lead, groups, -1).movedim(-1, 1)


def _products(layer: Conv) -> Conv:
    """Return the convolution of mixed cells with mixed taps, a group for each of the products."""
    made = copy.deepcopy(layer)
    filters, channels, *taps, _ = layer.weight.shape
    mix = torch.tensor(MIX_TAPS, dtype=torch.float64)
    mixed = torch.einsum("pt,oc...t->poc...", mix, layer.weight.detach().double()).float()
    made.weight = nn.Parameter(mixed.reshape(PRODUCTS * filters, channels, *taps, 1))
    made.groups = PRODUCTS
    if layer.bias is not None:  # what the second product is given comes back in all results
        biases = torch.zeros(PRODUCTS, filters)
        biases[1] = layer.bias.detach()
        made.bias = nn.Parameter(biases.flatten())
    return made
