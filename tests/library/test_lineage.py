"""Where a model comes from is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from napari_unet.config import ModelConfig
from napari_unet.library.card import Card, GeometryCard
from napari_unet.library.lineage import lineage


def card(parent: str | None = None, **training: Any) -> Card:
    ones = (1, 1)
    return Card(
        name="m",
        model=ModelConfig(),
        geometry=GeometryCard(step=ones, margin=ones, lost=ones, smallest=ones),
        axes="CYX",
        normalisation="zscore",
        kind="instances",
        parent=parent,
        training=training,
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (card(), ""),
        (card(resumed=[], corrections=[]), ""),
        (card("cells (0123)"), "Fine-tuned from cells (0123)."),
        (card(resumed=[96, 120]), "Resumed at step 96, 120."),
        (card(corrections=[{"step": 5, "pixels": 1200}]), "Corrected once, 1,200 pixels."),
        (
            card("a (1)", resumed=[3], corrections=[{"step": k, "pixels": 2} for k in range(3)]),
            "Fine-tuned from a (1). Resumed at step 3. Corrected 3 times, 6 pixels.",
        ),
        (
            card(
                corrections=[
                    {"step": 5, "pixels": 20},
                    {"step": 96, "images": 1},
                    {"step": 120, "images": 1200},
                    {"step": 130, "pixels": 1},
                ]
            ),
            "Corrected 4 times, 21 pixels, labels of 1 image at step 96, "
            "labels of 1,200 images at step 120.",
        ),
    ],
)
def test_it_is_said_what_happened(made: Card, words: str) -> None:
    assert lineage(made) == words
