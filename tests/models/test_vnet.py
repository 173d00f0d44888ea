"""V-Net, as drawn and as released, counts and sees what was published."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build
from napari_unet.models.vnet import Stage
from tests.models.conftest import count, on_paper


def vnet(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"architecture": "vnet", **settings})


@pytest.mark.parametrize(
    ("variant", "ndim", "expected"),
    [  # fact sheet, rows 26 and 27
        ("figure", 3, 65_175_314),
        ("figure", 2, 13_275_346),
        ("release", 3, 61_982_682),
        ("release", 2, 12_636_314),
    ],
)
def test_parameters(variant: str, ndim: int, expected: int) -> None:
    assert count(on_paper(vnet(variant=variant, ndim=ndim))) == expected


@pytest.mark.parametrize(
    ("variant", "down", "up"),
    [("figure", [1, 2, 3, 3, 3], [3, 3, 2, 1]), ("release", [1, 1, 2, 3, 3], [3, 2, 1, 1])],
)
def test_convolutions_per_stage(variant: str, down: list[int], up: list[int]) -> None:
    network = on_paper(vnet(variant=variant))

    def convolutions(stage: nn.Module) -> int:
        return sum(isinstance(m, nn.Conv2d) for m in stage.modules())

    assert [convolutions(stage) for stage in network.encoder] == down
    assert [convolutions(stage) for stage in network.decoder] == up


@pytest.mark.parametrize(("variant", "margin"), [("figure", 288), ("release", 256)])
def test_how_far_it_sees(variant: str, margin: int) -> None:
    """Fact sheet, section k."""
    geometry = measure(vnet(variant=variant))
    assert (geometry.step, geometry.margin) == ((16, 16), (margin, margin))


@pytest.mark.parametrize("variant", ["figure", "release"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("base", "in_channels"), [(4, 1), (4, 2), (4, 3), (2, 5)])
def test_as_large_as_the_image(variant: str, ndim: int, base: int, in_channels: int) -> None:
    size = {"base": base, "in_channels": in_channels, "depth": 2, "classes": 3}
    network = build(vnet(variant=variant, ndim=ndim, **size))
    image = torch.randn(2, in_channels, *[12] * ndim)
    assert network(image).shape == (2, 3, *[12] * ndim)


def test_thick_slices_are_left_alone_at_first() -> None:
    axes = {"ndim": 3, "depth": 2, "halvings": (1, 2, 2), "flat": (1, 0, 0)}
    network = build(vnet(base=2, **axes))
    assert network(torch.randn(1, 1, 6, 8, 12)).shape == (1, 2, 6, 8, 12)


@pytest.mark.parametrize(("in_channels", "projected"), [(1, False), (2, False), (3, True)])
def test_the_image_is_repeated_where_that_comes_out_even(in_channels: int, projected: bool) -> None:
    network = build(vnet(base=4, depth=1, in_channels=in_channels))
    assert (network.project is not None) is projected


def test_a_stage_rectifies_the_sum_with_its_input() -> None:
    stage = Stage(vnet(), 1, 4, 4)
    nn.init.zeros_(stage.branch[stage.convs - 1].weight)
    nn.init.zeros_(stage.branch[stage.convs - 1].bias)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(stage(x, x), torch.where(x > 0, x, 0.25 * x))


def test_slopes_are_learned_per_channel_after_every_convolution() -> None:
    stage = Stage(vnet(), 2, 4, 4)
    slopes = [m.num_parameters for m in stage.modules() if isinstance(m, nn.PReLU)]
    assert slopes == [4, 4, 4]


def test_norms_stand_after_every_convolution_but_the_head_s() -> None:
    network = on_paper(vnet(norm="batch"))
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    convolutions = sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in network.modules())
    assert norms == convolutions - 1


@pytest.mark.parametrize("variant", ["figure", "release"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_starts_calm(variant: str, norm: str) -> None:
    torch.manual_seed(0)
    network = build(vnet(variant=variant, norm=norm))
    for training in (True, False):
        logits = network.train(training)(torch.randn(2, 1, 64, 64))
        assert 0.1 < logits.std() < 4
