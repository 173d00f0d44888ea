"""What can be chosen by name: every name leads somewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    RECIPES,
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
    config = ModelConfig(architecture=name)
    assert {key: getattr(config, key) for key in architecture.defaults} == architecture.defaults


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_a_budget_and_survives_json(name: str) -> None:
    config = TrainConfig.from_recipe(name)
    assert config.recipe == name
    assert (config.epochs is None) != (config.minutes is None)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
