"""The residual U-Nets carry their input on, and count what their papers count."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build
from napari_unet.models.residual import Unit, shrink
from tests.models.conftest import count, on_paper


def residual(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"architecture": "residual", "classes": 1, **settings})


@pytest.mark.parametrize(("channels", "expected"), [(3, 8_223_809), (1, 8_222_529)])
def test_parameters_of_zhang_et_al(channels: int, expected: int) -> None:
    """Fact sheet, row 31."""
    assert count(on_paper(residual(variant="zhang2018", in_channels=channels))) == expected


def test_the_norms_of_zhang_s_projections_are_the_difference_to_the_third_count() -> None:
    """Fact sheet, row 31: 8,220,993 without them."""
    network = on_paper(residual(variant="zhang2018", in_channels=3))
    units = [m for m in network.modules() if isinstance(m, Unit)]
    projections = [unit.project for unit in units if unit.project]
    norms = [m for p in projections for m in p.modules() if isinstance(m, nn.BatchNorm2d)]
    assert count(network) - sum(map(count, norms)) == 8_220_993
    assert count(network) - sum(map(count, projections)) == 7_789_313  # the paper's 7.8 M


def test_strided_convolutions_are_as_wide_as_the_others() -> None:
    network = on_paper(residual(variant="zhang2018", kernel=5))
    widths = {m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv2d)}
    assert widths == {1, 5}


def expected_unit(cin: int, cout: int) -> int:
    norms = 2 * cin + 2 * cout
    taps = (9 * cin + 1) * cout + (9 * cout + 1) * cout
    return norms + taps + ((cin + 1) * cout if cin != cout else 0)


@pytest.mark.parametrize("blocks", [1, 2])
def test_parameters_of_identity_mappings(blocks: int) -> None:
    stem, head = 9 * 32 + 32, 2 * 32 + 33
    down = [(32, 32), (32, 64), (64, 128), (128, 256), (256, 512)]
    up = [(768, 256), (384, 128), (192, 64), (96, 32)]
    more = (blocks - 1) * sum(expected_unit(cout, cout) for _, cout in down + up)
    total = stem + head + more + sum(expected_unit(*pair) for pair in down + up)
    assert count(on_paper(residual(blocks=blocks))) == total
    assert blocks > 1 or total == 8_298_881


@pytest.mark.parametrize(
    ("settings", "step", "margin"),
    [
        ({"variant": "zhang2018"}, 8, 40),  # fact sheet, section k
        ({}, 16, 96),
        ({"upsampling": "linear"}, 16, 112),
    ],
)
def test_how_far_it_sees(settings: dict[str, Any], step: int, margin: int) -> None:
    geometry = measure(residual(ndim=1, **settings))
    assert (geometry.step, geometry.margin, geometry.lost) == ((step,), (margin,), (0,))


@pytest.mark.parametrize("variant", ["identity", "zhang2018"])
@pytest.mark.parametrize("pooling", ["max", "conv"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_as_large_as_the_image(variant: str, pooling: str, ndim: int) -> None:
    small = {"variant": variant, "pooling": pooling, "ndim": ndim, "base": 2, "depth": 2}
    image = torch.randn(2, 2, *[12] * ndim)
    for more in ({"blocks": 2}, {"upsampling": "transposed", "norm": "none", "kernel": 5}):
        network = build(residual(**small, **more, in_channels=2, classes=3))
        assert network(image).shape == (2, 3, *[12] * ndim)


@pytest.mark.parametrize("variant", ["identity", "zhang2018"])
def test_thick_slices_are_left_alone_at_first(variant: str) -> None:
    axes = {"ndim": 3, "base": 2, "depth": 2, "halvings": (1, 2, 2), "flat": (1, 0, 0)}
    network = build(residual(variant=variant, **axes))
    assert network(torch.randn(1, 1, 6, 8, 12)).shape == (1, 1, 6, 8, 12)


def test_the_bridge_has_512_channels() -> None:
    network = on_paper(residual(variant="zhang2018", in_channels=3))
    bridge = network.encoder[-1](torch.empty(1, 256, 56, 56, device="meta"))
    assert bridge.shape == (1, 512, 28, 28)


def without_branch(unit: Unit) -> Unit:
    nn.init.zeros_(unit.last.weight)
    nn.init.zeros_(unit.last.bias)
    return unit.eval()


@pytest.mark.parametrize("variant", ["identity", "zhang2018"])
def test_without_its_branch_a_unit_is_the_identity(variant: str) -> None:
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(without_branch(Unit(residual(variant=variant), 0, 4, 4))(x), x)


def test_projections_stand_only_where_channels_change() -> None:
    units = [m for m in on_paper(residual(blocks=2)).modules() if isinstance(m, Unit)]
    assert len(units) == 18
    for unit in units:
        assert (unit.project is None) == (unit.branch[0].in_channels == unit.last.out_channels)


@pytest.mark.parametrize(("variant", "passes"), [("identity", False), ("zhang2018", True)])
def test_what_a_projection_is_fed(variant: str, passes: bool) -> None:
    """What is negative passes a bare projection, but not one behind a ReLU."""
    unit = without_branch(Unit(residual(variant=variant), 0, 4, 8))
    nn.init.zeros_(unit.project[0].bias)
    assert bool(unit(-1 - torch.rand(1, 4, 8, 8)).any()) is passes


def test_shrunk_branches_add_up_to_the_same_whatever_their_number() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 64, 256)
    for n in (1, 16):
        branches = [nn.Conv1d(64, 64, 1, bias=False) for _ in range(n)]
        for branch in branches:
            nn.init.normal_(branch.weight, std=1 / 8)
        shrink(branches, math.sqrt(n))
        assert sum(branch(image) for branch in branches).std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("variant", ["identity", "zhang2018"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_starts_calm(variant: str, norm: str) -> None:
    torch.manual_seed(0)
    network = build(residual(variant=variant, base=16, norm=norm, blocks=2))
    for training in (True, False):
        logits = network.train(training)(torch.randn(2, 1, 64, 64))
        assert 0.3 < logits.std() < 8
