"""Convolutions by Winograd's algorithm: the numbers of their layers, with half of the products."""

from __future__ import annotations

import copy
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models import winograd
from napari_unet.models.device import LAYOUT
from napari_unet.models.geometry import measure
from napari_unet.models.graph import make_graph
from napari_unet.models.packed import PackedConv, can_pack
from napari_unet.models.packing import WIDE, pack
from napari_unet.models.registry import build
from napari_unet.models.winograd import MIX_BACK, MIX_CELLS, MIX_TAPS, RESULTS, TAPS, WinogradConv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_unet.models.layers import Conv

CPU = torch.device("cpu")
KINDS: Mapping[int, Callable[..., Conv]] = {2: nn.Conv2d, 3: nn.Conv3d}
packs = pytest.mark.skipif(
    not can_pack(2, CPU, torch.float32), reason="this processor has no packed convolutions"
)


def image(channels: int, *size: int, seed: int = 0) -> torch.Tensor:
    """Return noise (1, channels, *size), channels last."""
    noise = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(seed))
    return noise.to(memory_format=LAYOUT[len(size)])


def exactly(layer: Conv, x: torch.Tensor, padding: Sequence[int]) -> torch.Tensor:
    """Return the result of a layer in double precision."""
    exact = copy.deepcopy(layer).double()
    exact.padding = tuple(padding)
    result: torch.Tensor = exact(x.double())
    return result


def test_the_transforms_are_a_convolution_in_whole_fractions() -> None:
    of_cells, of_taps, back = (
        [[Fraction(x).limit_denominator(24) for x in row] for row in rows]
        for rows in (MIX_CELLS, MIX_TAPS, MIX_BACK)
    )
    for cell, tap in product(range(RESULTS + TAPS - 1), range(TAPS)):  # it is bilinear
        products = [a[cell] * b[tap] for a, b in zip(of_cells, of_taps, strict=True)]
        results = [sum(a * b for a, b in zip(row, products, strict=True)) for row in back]
        assert results == [int(cell == i + tap) for i in range(RESULTS)]


@packs
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 3), (5, 3), (3, 3, 3), (1, 3, 3)])
def test_it_computes_what_its_layer_does(kernel: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = KINDS[len(kernel)](32, 48, kernel, bias=bias)
    fast = WinogradConv(layer)
    edges = ((5, 18), (5, 9), (3, 9))[: len(kernel) - 1]
    for size in product(*edges, (3, 4, 5, 6, 7, 17)):
        for padding in ([0] * len(size), [0] * (len(size) - 1) + [1], [n // 2 for n in kernel]):
            x = image(32, *size)
            with torch.inference_mode():
                found, truth = fast(x, padding), exactly(layer, x, padding)
            torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=1e-5)


@packs
def test_it_takes_a_part_of_a_wider_map() -> None:
    layer = nn.Conv2d(32, 32, 3)
    x = image(32, 20, 40).narrow(2, 3, 9).narrow(3, 5, 22)
    with torch.inference_mode():
        found, truth = WinogradConv(layer)(x, [0, 1]), exactly(layer, x, [0, 1])
    torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=1e-5)


@packs
@pytest.mark.parametrize("size", [(23, 30), (9, 8, 30)])
def test_pieces_that_fit_a_cache_give_the_result_of_one(
    size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = KINDS[len(size)](32, 32, 3)
    x, padding = image(32, *size), [1] * len(size)
    truth = exactly(layer, x, padding)
    for cached in (1, 4 * 32 * 36 * 6, 2**30):  # a row at a time, some, all
        monkeypatch.setattr(winograd, "CACHED", cached)
        with torch.inference_mode():
            found = WinogradConv(layer)(x, padding)
        torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=1e-5)


@packs
@pytest.mark.parametrize("width", [9, 10, 11, 12])
def test_no_line_sees_the_next(width: int) -> None:
    x = image(32, 7, width)
    x[:, :, 3] = torch.nan
    with torch.inference_mode():
        result = WinogradConv(nn.Conv2d(32, 32, (1, 3)))(x, [0, 1])
    assert result[:, :, 3].isnan().all()
    assert result[:, :, [0, 1, 2, 4, 5, 6]].isfinite().all()


@packs
def test_rounding_is_a_few_times_that_of_the_layer() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(256, 64, 3), image(256, 20, 50)
    truth = exactly(layer, x, [1, 1])
    with torch.inference_mode():
        ours, plain = (
            (kind(layer)(x, [1, 1]) - truth).square().mean().sqrt()
            for kind in (WinogradConv, PackedConv)
        )
    assert ours < 4 * plain
    assert ours < 1e-5 * truth.std()


@packs
@pytest.mark.parametrize("architecture", ["unet", "residual", "vnet", "dense", "improved"])
def test_wide_layers_of_three_taps_are_computed_by_it(architecture: str) -> None:
    config = ModelConfig(architecture=architecture, base=32, depth=2)
    graph = make_graph(build(config).eval(), config, measure(config))
    plain = [node.layer for node in graph.nodes]
    pack(graph, CPU, torch.float32)
    chosen = 0
    for node, layer in zip(graph.nodes, plain, strict=True):
        if isinstance(node.layer, WinogradConv):
            assert isinstance(layer, nn.Conv2d)
            assert (layer.kernel_size, layer.stride, layer.groups) == ((3, 3), (1, 1), 1)
            assert min(layer.in_channels, layer.out_channels) >= WIDE
            chosen += 1
    assert bool(chosen) == (architecture in ("unet", "residual"))


@packs
def test_bfloat16_is_left_to_packed_convolutions() -> None:
    if not can_pack(2, CPU, torch.bfloat16):
        pytest.skip("this processor has no instructions for bfloat16")
    config = ModelConfig(base=64, depth=1)
    network = build(config).eval().bfloat16()
    graph = make_graph(network, config, measure(config))
    pack(graph, CPU, torch.bfloat16)
    assert not any(isinstance(node.layer, WinogradConv) for node in graph.nodes)


@packs
def test_the_memory_of_weights_is_counted_twice_where_they_are_mixed() -> None:
    config = ModelConfig(base=32, depth=2, norm="none")
    network = build(config).eval()
    graph = make_graph(network, config, measure(config))
    plain = {i: node.layer for i, node in enumerate(graph.nodes)}
    weights = [p.numel() * 4 for name, p in network.named_parameters() if name.endswith("weight")]
    assert graph.weight_bytes() == sum(weights)
    pack(graph, CPU, torch.float32)
    mixed = [
        plain[i].weight.numel() * 4
        for i, node in enumerate(graph.nodes)
        if isinstance(node.layer, WinogradConv)
    ]
    assert mixed
    assert graph.weight_bytes() == sum(weights) + sum(mixed)
