"""How to learn: recipes, what is laid over them, and what contradicts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_unet.config import (
    RECIPES,
    REGRESSION,
    InputError,
    LabelConfig,
    TrainConfig,
    explain,
    overlay,
)

settings = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
trees = st.dictionaries(st.sampled_from("abcd"), settings, max_size=4)


@given(trees)
def test_nothing_laid_over_changes_nothing(tree: dict[str, Any]) -> None:
    assert overlay(tree, {}) == tree
    assert overlay({}, tree) == tree
    assert overlay(tree, tree) == tree


@given(trees, trees)
def test_what_is_above_wins_and_nothing_is_lost(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    before = deepcopy((below, above))
    merged = overlay(below, above)
    assert overlay(merged, above) == merged
    assert set(merged) == set(below) | set(above)
    assert {k: v for k, v in merged.items() if k not in above} == {
        k: v for k, v in below.items() if k not in above
    }
    assert (below, above) == before


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("budget", [{"epochs": 3}, {"minutes": 0.5}])
def test_a_budget_replaces_that_of_the_recipe(name: str, budget: dict[str, Any]) -> None:
    config = TrainConfig.from_recipe(name, **budget)
    assert {"epochs": config.epochs, "minutes": config.minutes} == {
        "epochs": None,
        "minutes": None,
        **budget,
    }


def test_changes_are_laid_over_a_recipe_and_leave_it_as_it_was() -> None:
    before = deepcopy(dict(RECIPES["quick"]))
    config = TrainConfig.from_recipe("quick", model={"architecture": "attention"}, batch=3)
    assert (config.model.architecture, config.batch) == ("attention", 3)
    assert config.model.base == before["model"]["base"]
    assert dict(RECIPES["quick"]) == before


def test_an_unknown_recipe_is_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"U150.*quick"):
        TrainConfig.from_recipe("slow")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"loss": "hinge"}, "U150"),
        ({"loss": "bce", "model": {"classes": 2}}, "U151"),
        ({"loss": "cross_entropy", "model": {"classes": 1}}, "U151"),
        ({"epochs": 1, "minutes": 1}, "U152"),
        ({"minutes": -1}, "U150"),
        ({"labels": {"kind": "regression"}}, "U151"),  # the loss is against labels
        ({"loss": "mse"}, "U151"),
        ({"loss": "mse", "labels": {"kind": "instances"}}, "U151"),
    ],
)
def test_contradictions_are_told(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate(changes)
    assert explain(caught.value).code == code


@pytest.mark.parametrize("loss", REGRESSION)
def test_regression_may_have_any_number_of_channels(loss: str) -> None:
    for channels in (1, 3):
        config = TrainConfig(loss=loss, labels={"kind": "regression"}, model={"classes": channels})
        assert (config.loss, config.model.classes) == (loss, channels)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_serves_regression_with_a_loss_that_fits(name: str) -> None:
    labels = {"kind": "regression"}
    assert TrainConfig.from_recipe(name, labels=labels).loss == "mse"
    assert TrainConfig.from_recipe(name, labels=labels, loss="huber").loss == "huber"


def test_classes_are_named_and_coloured_by_value() -> None:
    config = LabelConfig(names=("1=nucleus:#ff0000", "7=cell wall"))
    assert config.table == ((1, "nucleus", "#ff0000"), (7, "cell wall", None))


@pytest.mark.parametrize(
    ("names", "code"),
    [(("1",), "U150"), (("1=a:red",), "U150"), (("x=a",), "U150"), (("1=",), "U150"),
     (("1=a", "1=b"), "U151")],
)  # fmt: skip
def test_names_that_are_none_are_refused(names: tuple[str, ...], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LabelConfig(names=names)
    assert explain(caught.value).code == code


@pytest.mark.parametrize(("fold", "folds"), [(1, None), (4, 3)])
def test_a_fold_is_one_of_the_folds(fold: int, folds: int | None) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig(fold=fold, folds=folds)
    assert explain(caught.value).code == "U151"
