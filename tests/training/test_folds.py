"""Folds: every part is held out once, and what is finished is not computed again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import InputError, TrainConfig
from napari_unet.events import Finished, Noted, Stepped
from napari_unet.library.folders import read_card
from napari_unet.training.folds import ROWS, train_folds
from napari_unet.training.holding_out import hold_out
from tests.training.test_holding_out import geometry, laid_back, source

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"architecture": "unet", "base": 2, "depth": 1}


def asked(**changes: object) -> TrainConfig:
    made = {"epochs": 1, "patch": 16, "steps_per_epoch": 1, "folds": 3, "model": SMALL}
    return TrainConfig.from_recipe("quick", **{**made, **changes})


def test_every_image_is_held_out_once() -> None:
    sources = [source((8, 9), k) for k in range(7)]
    held = [
        {s.pair for s in hold_out(sources, asked(fold=fold), geometry(8, 2)).validation}
        for fold in (1, 2, 3)
    ]
    assert sorted(k for each in held for k in each) == list(range(7))


@pytest.mark.parametrize("shape", [(120,), (40, 90), (8, 40, 20)])
def test_every_labelled_pixel_of_an_image_is_held_out_once(shape: tuple[int, ...]) -> None:
    whole, counts = source(shape), np.zeros(shape)
    for fold in (1, 2, 3):
        split = hold_out([whole], asked(fold=fold), geometry(4, len(shape)))
        (held,) = split.validation
        counts += laid_back(held, whole) > 0
        assert np.count_nonzero(held.weights) == pytest.approx(whole.weights.size / 3, rel=0.1)
    assert (counts == 1).all()


def test_too_little_for_so_many_folds_is_told() -> None:
    with pytest.raises(InputError, match="U155"):
        hold_out([source((4, 9))], asked(fold=1), geometry(8, 2))


def test_finished_folds_are_kept_and_not_computed_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(3):
        labels = np.zeros((32, 32), int)
        labels[4:20, 6:22] = 1
        pairs.append((labels + rng.normal(0, 0.1, labels.shape), labels))
    stream = train_folds(asked(), pairs, tmp_path)
    for event in stream:
        if event == Noted("fold 3 of 3"):
            stream.close()
    done = [(tmp_path / f"fold-{k}/weights.safetensors").read_bytes() for k in (1, 2)]
    assert len(json.loads((tmp_path / ROWS).read_text())["rows"]) == 2
    events = list(train_folds(asked(), pairs, tmp_path, resume=True))
    assert sum(isinstance(event, Stepped) for event in events) == 1
    assert [(tmp_path / f"fold-{k}/weights.safetensors").read_bytes() for k in (1, 2)] == done
    last = events[-1]
    assert isinstance(last, Finished)
    assert [row["fold"] for row in last.summary["rows"]] == [1, 2, 3]
    held = [read_card(tmp_path / f"fold-{k}").training["split"]["boxes"] for k in (1, 2, 3)]
    assert sorted(box["pair"] for boxes in held for box in boxes) == [0, 1, 2]
