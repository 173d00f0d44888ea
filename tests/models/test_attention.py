"""Gates can be watched, start open, and gate the skip and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_unet.arrays.intensity import Intensity
from napari_unet.config import ModelConfig
from napari_unet.models.attention import AttentionGate, watch_gates
from napari_unet.models.geometry import gate_strides, measure
from napari_unet.models.registry import build
from napari_unet.models.tiles import gate_tile, run_tile
from napari_unet.tiling import cut, plan_tiles
from tests.models.conftest import count, on_paper

if TYPE_CHECKING:
    from tests.models.conftest import Grown


AS_IT_IS = Intensity(offset=(0.0,), scale=(1.0,), fill=(0.0,))


@pytest.fixture
def network() -> nn.Module:
    """A small Attention U-Net in evaluation mode."""
    torch.manual_seed(0)
    config = ModelConfig(architecture="attention", base=4, depth=3, classes=1)
    return build(config).eval()


def test_watching_changes_nothing_and_leaves_no_hook(network: nn.Module) -> None:
    image = torch.randn(2, 1, 32, 48)
    before = network(image)
    with watch_gates(network) as maps:
        during = network(image)
    assert torch.equal(before, during)
    assert torch.equal(before, network(image))
    assert not any(module._forward_hooks for module in network.modules())
    assert {name: tuple(alpha.shape) for name, alpha in maps.items()} == {
        "gate2": (2, 1, 4, 6),
        "gate1": (2, 1, 8, 12),
    }
    assert not any(alpha.requires_grad for alpha in maps.values())


def test_hooks_are_gone_after_an_error(network: nn.Module) -> None:
    with pytest.raises(RuntimeError), watch_gates(network):
        network(torch.randn(1, 1, 33, 33))
    assert not any(module._forward_hooks for module in network.modules())


def test_nothing_to_watch_without_gates() -> None:
    network = build(ModelConfig(base=2, depth=1))
    with watch_gates(network) as maps:
        network(torch.zeros(1, 1, 8, 8))
    assert maps == {}


def test_gates_start_open(network: nn.Module) -> None:
    with watch_gates(network) as maps:
        network(torch.randn(1, 1, 64, 64))
    for alpha in maps.values():
        assert ((alpha >= 0) & (alpha <= 1)).all()
        assert alpha.mean() > 0.85


def test_the_only_skip_of_a_shallow_network_is_gated() -> None:
    network = build(ModelConfig(architecture="attention", base=2, depth=1))
    with watch_gates(network) as maps:
        network(torch.zeros(1, 1, 8, 8))
    assert maps["gate0"].shape == (1, 1, 4, 4)


@pytest.mark.parametrize(("bias", "share"), [(-1e4, 0.0), (0.0, 0.5), (1e4, 1.0)])
def test_alpha_scales_the_skip(bias: float, share: float) -> None:
    config = ModelConfig(architecture="attention", base=3, norm="none")
    gate = AttentionGate(config, level=0)
    nn.init.zeros_(gate.alpha[1].weight)
    nn.init.constant_(gate.alpha[1].bias, bias)
    gate.out = nn.Sequential()
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(gate(x, torch.randn(1, 6, 4, 4)), share * x)


def test_closed_gates_stop_the_skip_and_nothing_else(network: nn.Module) -> None:
    image, entries = torch.randn(1, 1, 32, 32), []
    deepest = network.decoder[0]  # is given [gated skip, decoder features]: 4 * 2^2, 4 * 2^3
    deepest.register_forward_pre_hook(lambda _module, inputs: entries.append(inputs[0]))
    network(image)
    nn.init.constant_(network.gates["gate2"].alpha[1].bias, -1e4)
    network(image)
    was_open, closed = entries
    assert was_open[:, :16].any()
    assert not closed[:, :16].any()
    assert torch.equal(was_open[:, 16:], closed[:, 16:])
    assert closed[:, 16:].any()


@pytest.mark.parametrize(("level", "channels"), enumerate([32, 64, 128, 256, 512]))
def test_parameters_of_one_gate(level: int, channels: int) -> None:
    config = ModelConfig(architecture="attention", depth=5)
    expected = 7 * channels**2 + 5 * channels + 1  # fact sheet, row 20
    assert count(AttentionGate(config, level)) == expected
    assert {64: 28_993, 128: 115_329, 256: 460_033, 512: 1_837_569}.get(
        channels, expected
    ) == expected


@pytest.mark.parametrize(
    ("upsampling", "parameters"),
    [("nearest", 8_720_004), ("linear", 8_720_004), ("transposed", 8_633_444)],
)
def test_parameters_on_the_padded_network(upsampling: str, parameters: int) -> None:
    config = ModelConfig(architecture="attention", classes=1, upsampling=upsampling)
    assert count(on_paper(config)) == parameters  # fact sheet, row 23


@pytest.mark.parametrize("upsampling", ["nearest", "linear"])
@pytest.mark.parametrize(("classes", "parameters"), [(4, 6_214_151), (2, 6_213_613)])
def test_the_release_has_the_authors_parameters(
    classes: int, parameters: int, upsampling: str
) -> None:
    release = {"variant": "release", "ndim": 3, "upsampling": upsampling}  # fact sheet, row 18
    config = ModelConfig(architecture="attention", classes=classes, **release)
    assert count(on_paper(config)) == parameters


def test_what_gates_every_skip_gates_that_of_full_resolution_too() -> None:
    network = build(ModelConfig(architecture="attention", base=2, depth=3, gates="all"))
    with watch_gates(network) as maps:
        network(torch.zeros(1, 1, 16, 24))
    assert [*maps] == ["gate2", "gate1", "gate0"]
    assert maps["gate0"].shape == (1, 1, 8, 12)


@pytest.mark.parametrize(("ndim", "size", "sizes"), [(2, 256, [32, 64, 128]), (3, 32, [4, 8, 16])])
def test_maps_are_repeated_to_the_size_of_their_skips(
    ndim: int, size: int, sizes: list[int]
) -> None:
    """Fact sheet, section e."""
    with torch.device("meta"):
        network = build(ModelConfig(architecture="attention", ndim=ndim, base=1)).eval()
        repeated: list[tuple[int, ...]] = []
        for gate in network.gates.values():
            gate.repeat.register_forward_hook(lambda _m, _i, x: repeated.append(tuple(x.shape)))
        network(torch.empty(1, 1, *[size] * ndim))
    assert repeated == [(1, 1, *[n] * ndim) for n in sizes]


def test_every_level_has_its_say_under_deep_supervision() -> None:
    config = ModelConfig(architecture="attention", base=2, depth=3, supervision=True)
    network = build(config).eval()
    image = torch.randn(1, 1, 16, 16)
    before = network(image)
    assert before.shape == (1, 2, 16, 16)
    for side in network.head.sides:
        bias = side[0].bias
        assert not torch.equal(changed(network, bias, image), before)
        assert torch.equal(network(image), before)


def changed(network: nn.Module, bias: nn.Parameter, image: torch.Tensor) -> torch.Tensor:
    """Return what `network` makes of `image` with a bias that is greater by one."""
    with torch.no_grad():
        bias += 1
        logits = network(image)
        bias -= 1
    return logits


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 1},
        {"depth": 3},
        {"depth": 2, "upsampling": "linear", "gates": "all"},
        {"depth": 2, "variant": "release", "gates": "all"},
        {"depth": 3, "flat": (1, 0), "halvings": (1, 2)},
    ],
    ids=str,
)
def test_gates_tile_as_well(grown: Grown, options: dict[str, Any]) -> None:
    shape = (37, 22)
    config = ModelConfig(architecture="attention", **{"base": 3, "classes": 3, **options})
    geometry, strides, network = measure(config), gate_strides(config), grown(config)
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    maps = {}
    for size in (64, 8):
        maps[size] = {
            name: np.full((1, *(-(-n // s) for n, s in zip(shape, cells, strict=True))), np.nan)
            for name, cells in strides.items()
        }
        for tile in plan_tiles(shape, size, geometry):
            with watch_gates(network) as alphas:
                run_tile(network, image, AS_IT_IS, tile, torch.device("cpu"))
            assert alphas.keys() == strides.keys()
            for name, alpha in alphas.items():
                cells = gate_tile(tile, strides[name])
                maps[size][name][(slice(None), *cells.write)] = cut(alpha[0].numpy(), cells)
    for name, whole in maps[64].items():
        assert ((whole >= 0) & (whole <= 1)).all()
        np.testing.assert_allclose(maps[8][name], whole, rtol=0, atol=1e-12)
