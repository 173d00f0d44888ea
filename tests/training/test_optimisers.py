"""Optimisers and schedules move as their papers say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_unet.config import RECIPES, OptimiserConfig, TrainConfig
from napari_unet.training.optimisers import make_optimiser, rate_at


@pytest.mark.parametrize(
    ("name", "expected"),
    [("adam", (0.998, 0.0080002, -2.998)), ("adamw", (0.99998, 0.0099998, -2.99994))],
)
def test_decay_alone_tells_adam_from_adamw(name: str, expected: tuple[float, ...]) -> None:
    network = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        network.weight[:] = torch.tensor([[1.0, 0.01, -3.0]])
    optimiser = make_optimiser(network, OptimiserConfig(name=name, rate=2e-3, decay=1e-2))
    (network.weight * 0).sum().backward()
    optimiser.step()
    np.testing.assert_allclose(network.weight.detach().numpy()[0], expected, atol=2e-7)


def test_adamw_spares_vectors() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    with torch.no_grad():
        for p in network.parameters():
            p.fill_(1.0)
    optimiser = make_optimiser(network, OptimiserConfig(name="adamw", rate=0.1, decay=0.1))
    sum((p * 0).sum() for p in network.parameters()).backward()
    optimiser.step()
    moved = {name: not bool((p == 1).all()) for name, p in network.named_parameters()}
    assert moved == {"0.weight": True, "0.bias": False, "1.weight": False, "1.bias": False}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_steps_and_state_are_those_of_torch(name: str, kind: type[torch.optim.Optimizer]) -> None:
    networks = [torch.nn.Linear(5, 3, bias=False) for _ in range(3)]
    for network in networks[1:]:
        network.load_state_dict(networks[0].state_dict())
    config = OptimiserConfig(name=name, rate=0.1, decay=0.01)
    ours, again, torchs = (make_optimiser(network, config) for network in networks)
    torchs = kind(torchs.param_groups)
    for k in range(4):
        if k == 2:
            again.load_state_dict(copy.deepcopy(ours.state_dict()))
            networks[1].load_state_dict(networks[0].state_dict())
        for network, optimiser in zip(networks, (ours, again, torchs), strict=True):
            optimiser.zero_grad()
            network(torch.arange(5.0) - k).square().sum().backward()
            optimiser.step()
    assert torch.equal(networks[0].weight, networks[2].weight)
    assert torch.equal(networks[1].weight, networks[2].weight)
    assert repr(ours.state_dict()) == repr(torchs.state_dict())


def test_lecture_rates_step_once_per_epoch() -> None:
    config = TrainConfig.from_recipe("lecture").optimiser
    rates = [rate_at(config, 0.5, epoch) for epoch in range(20)]
    np.testing.assert_allclose(
        [rates[0], rates[9], rates[19]], [2e-3, 7.748e-4, 2.702e-4], rtol=1e-3
    )


def test_poly_falls_as_in_nnu_net() -> None:
    config = TrainConfig.from_recipe("robust").optimiser
    rates = [rate_at(config, progress, 0) for progress in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(rates, [0.01, 7.719e-3, 5.359e-3, 2.872e-3, 0], rtol=2e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_nesterov_looks_ahead_along_the_momentum(momentum: float) -> None:
    steps = {}
    for nesterov in (False, True):
        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(network.weight)
        config = OptimiserConfig(
            name="sgd", rate=1.0, momentum=momentum, decay=0, nesterov=nesterov
        )
        optimiser = make_optimiser(network, config)
        network(torch.ones(1, 1)).sum().backward()
        optimiser.step()
        steps[nesterov] = network.weight.item()
    assert steps[False] == -1
    assert steps[True] == pytest.approx(-1 - momentum)


def test_the_two_readings_of_the_lecture_differ_in_the_decay_alone() -> None:
    joined, apart = (
        TrainConfig.from_recipe(name).model_dump() for name in ("lecture", "lecture_decoupled")
    )
    assert (joined["optimiser"].pop("name"), apart["optimiser"].pop("name")) == ("adam", "adamw")
    assert (joined.pop("recipe"), apart.pop("recipe")) == ("lecture", "lecture_decoupled")
    assert joined == apart


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_rate_never_exceeds_what_was_asked(schedule: str) -> None:
    config = OptimiserConfig(rate=0.01, schedule=schedule)
    rates = [rate_at(config, p, 0) for p in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(0.01)
    assert min(rates) > 0


def test_every_recipe_makes_an_optimiser() -> None:
    network = torch.nn.Conv2d(1, 2, 3)
    for recipe in RECIPES:
        assert make_optimiser(network, TrainConfig.from_recipe(recipe).optimiser).param_groups
