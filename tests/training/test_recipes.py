"""Every recipe is a set of settings that can be printed, edited and trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.config import RECIPES, TrainConfig
from napari_unet.events import Finished, Validated
from napari_unet.inference.model import open_model
from napari_unet.training.loop import prepare, train

if TYPE_CHECKING:
    from pathlib import Path

# what makes a recipe small; everything else is as it stands in the table
SMALL: dict[str, Any] = {"model": {"base": 2}, "batch": 2, "steps_per_epoch": 2, "threads": 1}


def disks(count: int = 3, size: int = 48) -> list[tuple[np.ndarray, np.ndarray]]:
    y, x = np.indices((size, size))
    pairs = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        labels = np.zeros((size, size), np.uint8)
        for k in (1, 2):
            cy, cx = rng.integers(8, size - 8, 2)
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 40] = k
        pairs.append((rng.normal(100 + 80 * (labels > 0), 15).astype(np.float32), labels))
    return pairs


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_survives_json(recipe: str) -> None:
    config = TrainConfig.from_recipe(recipe)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    assert config.recipe == recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_can_be_edited(recipe: str) -> None:
    stored = TrainConfig.from_recipe(recipe).model_dump(mode="json")
    edited = TrainConfig.from_settings(stored, {"optimiser": {"rate": 0.5}, "epochs": 3})
    assert (edited.optimiser.rate, edited.epochs, edited.minutes) == (0.5, 3, None)
    assert edited.model == TrainConfig.from_recipe(recipe).model


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains(recipe: str, tmp_path: Path) -> None:
    patch = {} if recipe == "robust" else {"patch": 32}
    config = TrainConfig.from_recipe(recipe, **SMALL, **patch, epochs=2)
    events = list(train(config, disks(), tmp_path / "m"))
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(e, Validated) for e in events) == 2
    found = open_model(tmp_path / "m").predict(disks()[0][0])["classes"]
    assert found.shape == (48, 48)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_other_kinds_of_labels_go_with_every_recipe(recipe: str, tmp_path: Path) -> None:
    pairs = [(image, image**2) for image, _ in disks()]
    config = TrainConfig.from_recipe(
        recipe, **SMALL, patch=32, epochs=0, labels={"kind": "regression"}
    )
    run, _ = prepare(config, pairs, tmp_path / "m")
    assert run.config.loss == "mse"
    assert run.config.model.classes == 1
