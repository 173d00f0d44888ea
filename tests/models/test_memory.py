"""What is estimated grows as it must, and is what really lies in memory where that is countable."""

from __future__ import annotations

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.memory import bytes_to_learn, estimate_memory, largest_load
from napari_unet.models.registry import build
from napari_unet.models.tracing import trace


def estimate(**settings: object) -> dict[str, int]:
    config = ModelConfig(**settings)
    return estimate_memory(config, measure(config))


def test_parameters_take_four_bytes() -> None:
    assert estimate(classes=1)["parameters"] == 4 * 7_846_081


def test_norm_keeps_more_and_a_wider_network_needs_more() -> None:
    plain, norm, wide = estimate(), estimate(norm="batch"), estimate(base=64)
    assert plain["training"] < norm["training"] < wide["training"]
    assert plain["prediction"] < wide["prediction"]


def test_what_training_keeps_grows_with_the_batch() -> None:
    config = ModelConfig(base=4, depth=2)
    with torch.device("meta"):
        network = build(config)
    one, two = (bytes_to_learn(network, config, (n, 64, 64)) for n in (1, 2))
    assert two == pytest.approx(2 * one, rel=0.01)


def test_a_chain_holds_two_maps_at_once_and_convolutions_copy_them() -> None:
    acts = torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(4)))
    assert largest_load(trace(acts, torch.empty(1, 2, 8), (1,)), 16) == 4 * 2 * 16
    convs = torch.nn.Sequential(*(torch.nn.Conv1d(2, 2, 3, padding=1) for _ in range(4)))
    assert largest_load(trace(convs, torch.empty(1, 2, 8), (1,)), 16) == 4 * 4 * 16


def test_describing_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    estimate(architecture="attention", base=4)
    assert torch.equal(torch.random.get_rng_state(), before)
