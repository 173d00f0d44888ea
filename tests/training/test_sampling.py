"""The sampler looks where there are labels, at every class."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.training.augment import Source
from napari_unet.training.sampling import Sampler
from tests.training.test_patches import source, values


def test_the_sampler_finds_a_scribble() -> None:
    made = source((200, 200))
    weights = np.zeros((200, 200), np.float32)
    weights[3:9, 4:8] = 1  # 24 of 40,000 pixels
    sampler = Sampler([Source(made.image, made.truth, weights, "sparse")], ((32, 32), (32, 32)))
    rng = np.random.default_rng(0)
    assert (sampler.batch(50, None, rng).weights > 0).flatten(1).any(1).all()


def test_rare_classes_are_seen_as_often_as_common_ones() -> None:
    classes = np.zeros((100, 100), np.uint16)
    classes[:3, :3] = 1
    made = Source(np.zeros((1, 100, 100), np.float32), classes, np.ones((100, 100), np.float32), "")
    sampler = Sampler([made], ((1, 1), (1, 1)))
    rng = np.random.default_rng(0)
    share = sampler.batch(400, None, rng).truth.float().mean().item()
    assert 0.15 < share < 0.35  # half of the patches are drawn by class: 0.25 expected


def test_the_share_that_is_drawn_by_class_can_be_chosen() -> None:
    classes = np.zeros((100, 100), np.uint16)
    classes[:3, :3] = 1
    made = Source(np.zeros((1, 100, 100), np.float32), classes, np.ones((100, 100), np.float32), "")
    for share in (0.0, 1.0):
        sampler = Sampler([made], ((1, 1), (1, 1)), share)
        rng = np.random.default_rng(0)
        rare = sampler.batch(400, None, rng).truth.float().mean().item()
        assert rare == pytest.approx(share / 2, abs=0.07)


def test_values_are_drawn_where_they_are_known() -> None:
    made = values((60, 60), known=0.02)
    sampler = Sampler([made], ((1, 1), (1, 1)))
    rng = np.random.default_rng(0)
    assert sampler.batch(50, None, rng).weights.all()
