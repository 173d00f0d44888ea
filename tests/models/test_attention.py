"""Gates can be watched, start open, and gate the skip and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.attention import AttentionGate, watch_gates
from napari_unet.models.registry import build


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
    gate = AttentionGate(ModelConfig(architecture="attention", norm="none"), 3)
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
