"""The improved U-Net has the weights, the products and the reach that were calculated for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.improved import Block
from napari_unet.models.registry import build
from tests.models.conftest import count, on_paper


def improved(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"architecture": "improved", "classes": 1, **settings})


@pytest.mark.parametrize(
    ("expansion", "blocks", "plain", "pooled", "transposed"),
    [  # fact sheet, row 36 and the table of its section d
        (2, 1, 2_697_537, 2_174_337, 3_219_777),
        (2, 2, 4_521_921, 3_998_721, 5_044_161),
        (4, 1, 4_445_377, 3_922_177, 4_967_617),
        (4, 2, 8_017_601, 7_494_401, 8_539_841),
        (6, 1, 6_193_217, 5_670_017, 6_715_457),
    ],
)
def test_parameters(expansion: int, blocks: int, plain: int, pooled: int, transposed: int) -> None:
    size = {"expansion": expansion, "blocks": blocks}
    assert count(on_paper(improved(**size))) == plain
    assert count(on_paper(improved(**size, pooling="max"))) == pooled
    assert count(on_paper(improved(**size, upsampling="transposed"))) == transposed


def test_the_defaults_are_those_of_the_table() -> None:
    assert count(on_paper(improved())) == 4_445_377


def test_a_block_has_half_the_weights_of_two_convolutions() -> None:
    assert count(Block(improved(), 0, 32)) == 2 * 4 * 32**2 + (52 + 4) * 32 == 9_984


def products(config: ModelConfig) -> float:
    """Multiplications for an image of 256 x 256, in thousand millions."""
    with FlopCounterMode(display=False) as counter:
        on_paper(config)(torch.empty(1, 1, 256, 256, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 5.92), ({"blocks": 2, "expansion": 2}, 6.31), ({"blocks": 2}, 11.14)],
)
def test_products(settings: dict[str, int], expected: float) -> None:
    assert products(improved(**settings)) == pytest.approx(expected, abs=0.005)


def test_cheaper_than_the_lecture_s_network() -> None:
    lecture = ModelConfig(architecture="unet", classes=1)
    assert products(lecture) == pytest.approx(13.91, abs=0.005)
    assert products(improved()) / products(lecture) == pytest.approx(0.43, abs=0.005)
    weights = count(on_paper(improved())) / count(on_paper(lecture))
    assert weights == pytest.approx(0.57, abs=0.005)


@pytest.mark.parametrize(("blocks", "margin"), [(1, 144), (2, 288)])
def test_how_far_it_sees(blocks: int, margin: int) -> None:
    geometry = measure(improved(ndim=1, blocks=blocks))
    assert (geometry.step, geometry.margin, geometry.lost) == ((16,), (margin,), (0,))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("pooling", ["max", "conv"])
@pytest.mark.parametrize("upsampling", ["nearest", "linear", "transposed"])
def test_as_large_as_the_image(ndim: int, pooling: str, upsampling: str) -> None:
    config = improved(ndim=ndim, base=2, depth=2, classes=3, pooling=pooling, upsampling=upsampling)
    image = torch.randn(2, 1, *[12] * ndim)
    assert build(config)(image).shape == (2, 3, *[12] * ndim)


def test_thick_slices_are_left_alone_at_first() -> None:
    config = improved(ndim=3, base=2, depth=2, halvings=(1, 2, 2), flat=(1, 0, 0))
    network = build(config)
    assert network(torch.randn(1, 1, 6, 8, 12)).shape == (1, 1, 6, 8, 12)
    views = [m.kernel_size for m in network.modules() if isinstance(m, nn.Conv3d) and m.groups > 1]
    finest, deeper = (1, 7, 7), (7, 7, 7)
    assert views == [finest, deeper, deeper, deeper, finest]


def test_without_its_branch_a_block_is_the_identity() -> None:
    block = Block(improved(), 0, 4)
    nn.init.zeros_(block.compress.weight)
    nn.init.zeros_(block.compress.bias)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_starts_calm(norm: str, blocks: int) -> None:
    torch.manual_seed(0)
    network = build(improved(base=16, norm=norm, blocks=blocks))
    for training in (True, False):
        logits = network.train(training)(torch.randn(2, 1, 64, 64))
        assert 0.3 < logits.std() < 4
