"""Packed convolutions: the numbers of their layers, whatever block comes, and never elsewhere."""

from __future__ import annotations

import copy
import platform
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models import packed
from napari_unet.models.device import LAYOUT
from napari_unet.models.geometry import measure
from napari_unet.models.graph import make_graph
from napari_unet.models.packed import PackedConv, can_pack
from napari_unet.models.packing import pack
from napari_unet.models.registry import build
from napari_unet.models.winograd import WinogradConv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_unet.models.layers import Conv

CPU = torch.device("cpu")
KINDS: Mapping[int, Callable[..., Conv]] = {2: nn.Conv2d, 3: nn.Conv3d}
packs = pytest.mark.skipif(
    not can_pack(2, CPU, torch.float32), reason="this processor has no packed convolutions"
)


def blocks(ndim: int, channels: int) -> list[torch.Tensor]:
    """Return blocks of many shapes, small ones among them, some of them parts of larger ones."""
    torch.manual_seed(0)
    edges = ((3, 9, 40), (3, 31, 70), (5, 12))[:ndim]
    made = [
        torch.randn(1, channels, *size).to(memory_format=LAYOUT[ndim]) for size in product(*edges)
    ]
    wide = torch.randn(1, channels, *(n[-1] + 4 for n in edges)).to(memory_format=LAYOUT[ndim])
    return [*made, wide.narrow(2, 1, 7), wide.narrow(3, 2, 9)]


@packs
@pytest.mark.parametrize("ndim", KINDS)
@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "stride", "bias"),
    [(1, 8, 3, 1, True), (32, 32, 3, 1, False), (48, 7, 5, 1, True), (16, 32, 2, 2, True)],
)
def test_a_packed_convolution_computes_what_its_layer_does(
    ndim: int, channels: int, filters: int, kernel: int, stride: int, bias: bool
) -> None:
    layer = KINDS[ndim](channels, filters, kernel, stride, bias=bias)
    packed, exact = PackedConv(layer), copy.deepcopy(layer).double()
    for x, pad in product(blocks(ndim, channels), (0, kernel // 2)):
        if min(x.shape[2:]) + 2 * pad < kernel:
            continue
        exact.padding = (pad,) * ndim
        with torch.inference_mode():
            found, truth = packed(x, [pad] * ndim), exact(x.double())
        torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=1e-5)


@packs
@pytest.mark.parametrize(
    ("kind", "channels", "filters"), [(PackedConv, 24, 40), (WinogradConv, 32, 64)]
)
def test_which_block_comes_first_changes_no_bit(
    kind: type[PackedConv], channels: int, filters: int
) -> None:
    layer = nn.Conv2d(channels, filters, 3)
    shapes = blocks(2, channels)
    with torch.inference_mode():
        forth = [kind(layer)(x, [1, 1]) for x in shapes]
        one = kind(layer)
        back = [one(x, [1, 1]) for x in reversed(shapes)][::-1]
    assert all(map(torch.equal, forth, back))


@packs
@pytest.mark.parametrize("kind", [PackedConv, WinogradConv])
def test_a_layer_is_left_as_it_is(kind: type[PackedConv]) -> None:
    layer = nn.Conv2d(32, 32, 3)
    before = copy.deepcopy(layer.state_dict())
    kind(layer)
    assert all(torch.equal(layer.state_dict()[name], value) for name, value in before.items())
    assert (layer.groups, layer.weight.requires_grad) == (1, True)


@pytest.mark.parametrize("architecture", ["unet", "unet2015", "improved", "attention", "vnet"])
def test_only_what_gains_is_packed(architecture: str) -> None:
    config = ModelConfig(architecture=architecture, base=8, depth=2)
    graph = make_graph(build(config).eval(), config, measure(config))
    plain = [node.layer for node in graph.nodes]
    pack(graph, CPU, torch.float32)
    for node, layer in zip(graph.nodes, plain, strict=True):
        wide = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.kernel_size != (1, 1)
        packed = wide and can_pack(2, CPU, torch.float32)
        assert isinstance(node.layer, PackedConv) == packed
        assert packed or node.layer is layer


def test_elsewhere_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_pack(1, CPU, torch.float32)
    assert not can_pack(2, CPU, torch.float64)
    assert not can_pack(2, CPU, torch.float16)
    assert not can_pack(2, torch.device("cuda"), torch.float32)
    monkeypatch.setattr(packed, "has_bf16", lambda: False)
    assert not can_pack(2, CPU, torch.bfloat16)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert not can_pack(2, CPU, torch.float32)


def test_a_torch_without_the_function_packs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "POINTWISE", "no_such_function")
    assert not can_pack(2, CPU, torch.float32)


@packs
def test_bfloat16_where_the_processor_has_it() -> None:
    if not can_pack(2, CPU, torch.bfloat16):
        pytest.skip("this processor has no instructions for bfloat16")
    layer = nn.Conv2d(16, 16, 3, padding=1).bfloat16()
    x = blocks(2, 16)[-3].bfloat16()
    with torch.inference_mode():
        torch.testing.assert_close(PackedConv(layer)(x, [1, 1]), layer(x))
