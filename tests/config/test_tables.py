"""What can be chosen by name: every name leads somewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    OPTIONS,
    RECIPES,
    REGRESSION,
    ModelConfig,
    TrainConfig,
    resolve_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = {**{n: a.target for n, a in ARCHITECTURES.items()}, **LOSSES}


@pytest.mark.parametrize("name", TARGETS)
def test_a_name_leads_to_something_that_can_be_called(name: str) -> None:
    assert callable(resolve_name(TARGETS[name]))


@pytest.mark.parametrize("table", [ARCHITECTURES, LOSSES, RECIPES])
def test_a_table_cannot_be_changed(table: Mapping[str, Any]) -> None:
    with pytest.raises(TypeError):
        table["mine"] = None  # type: ignore[index]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_cites_its_paper_and_fits_its_config(name: str) -> None:
    architecture = ARCHITECTURES[name]
    assert architecture.title
    assert architecture.paper
    assert import_module(architecture.target.split(":")[0]).__doc__
    assert {*architecture.options} <= {*OPTIONS}
    assert {*architecture.defaults} <= {*ModelConfig.model_fields}
    assert len(architecture.variants) >= 1
    config = ModelConfig(architecture=name)
    first = next(iter(architecture.variants.values()))
    paper = {**architecture.defaults, **first}
    assert {key: getattr(config, key) for key in paper} == paper


def test_the_whole_family_is_there_in_every_dimension() -> None:
    family = {"unet2015", "unet", "improved", "attention", "residual", "dense", "vnet"}
    assert {*ARCHITECTURES} == family
    assert {architecture.ndim for architecture in ARCHITECTURES.values()} == {(1, 2, 3)}


def test_what_regresses_is_a_loss() -> None:
    assert {*REGRESSION} < {*LOSSES}


def test_the_readings_of_the_lecture_differ_in_the_decay_alone() -> None:
    coupled, decoupled = (TrainConfig.from_recipe(n) for n in ("lecture", "lecture_decoupled"))
    assert (coupled.optimiser.name, decoupled.optimiser.name) == ("adam", "adamw")
    same = {"recipe": "", "optimiser": None}
    assert coupled.model_copy(update=same) == decoupled.model_copy(update=same)
    assert coupled.optimiser.model_copy(update={"name": "adamw"}) == decoupled.optimiser


def test_the_lecture_s_loss_weighs_all_pixels_alike() -> None:
    weights = TrainConfig.from_recipe("lecture").weights
    assert (weights.w0, weights.balance_classes) == (0.0, False)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_a_budget_and_survives_json(name: str) -> None:
    config = TrainConfig.from_recipe(name)
    assert config.recipe == name
    assert (config.epochs is None) != (config.minutes is None)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
