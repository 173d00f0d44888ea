"""A card holds what it needs for one kind of model, and gives values back in their units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from napari_unet.config import ModelConfig
from napari_unet.library.card import Card, ClassCard, GeometryCard, TargetCard, restore

TARGET = (TargetCard(name="a", mean=1000, spread=2), TargetCard(name="b", mean=-3, spread=0.5))
CLASSES = (ClassCard(name="background", value=0), ClassCard(name="object", value=1))


def card(**changes: Any) -> Card:
    plain: dict[str, Any] = {
        "name": "m", "model": ModelConfig(base=2, depth=1), "axes": "CYX",
        "geometry": GeometryCard(step=(2, 2), margin=(6, 6), lost=(0, 0), smallest=(2, 2)),
        "normalisation": "percentile", "kind": "instances", "classes": CLASSES,
    }  # fmt: skip
    return Card(**{**plain, **changes})


@pytest.mark.parametrize("shape", [(), (7,), (4, 5), (2, 3, 4)])
def test_values_come_back_in_their_units(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(2, *shape))
    logits = np.stack([(values[0] - 1000) / 2, (values[1] + 3) / 0.5])
    found = restore(logits, TARGET)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, atol=1e-4)


def test_a_card_survives_json() -> None:
    for made in (card(), card(kind="regression", classes=(), target=TARGET)):
        assert Card.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "regression", "classes": ()},
        {"kind": "regression", "classes": (), "target": TARGET[:1]},
        {"target": TARGET},
    ],
)
def test_targets_are_as_many_as_the_network_says(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="targets"):
        card(**changes)


@pytest.mark.parametrize("number", [{"spread": 0}, {"spread": np.inf}, {"mean": np.nan}])
def test_a_scale_is_one_that_can_be_undone(number: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TargetCard(name="a", **number)
