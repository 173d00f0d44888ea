"""Losses equal their formulas, and ignored pixels are not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import LOSSES, resolve_name
from napari_unet.training.losses import binary_cross_entropy, cross_entropy, dice


def batch(classes: int, seed: int = 0, size: tuple[int, ...] = (6, 7)):
    """Logits (2, K, *S), classes and positive weights (2, *S), in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, *size, generator=generator, dtype=torch.float64)
    truth = torch.randint(0, max(classes, 2), (2, *size), generator=generator)
    weights = torch.rand(2, *size, generator=generator, dtype=torch.float64) + 0.1
    return logits.requires_grad_(), truth, weights


def test_cross_entropy_is_equation_1_with_its_sign() -> None:
    logits, truth, weights = batch(3)
    p = np.exp(logits.detach().numpy())
    p /= p.sum(axis=1, keepdims=True)
    chosen = np.take_along_axis(p, truth.numpy()[:, None], axis=1)[:, 0]
    expected = -(weights.numpy() * np.log(chosen)).mean()
    assert cross_entropy(logits, truth, weights).item() == pytest.approx(expected)
    assert expected > 0


def test_bce_is_its_stable_formula() -> None:
    logits, truth, weights = batch(1)
    x, y = logits.detach().numpy()[:, 0], truth.numpy()
    energy = np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    expected = (weights.numpy() * energy).mean()
    assert binary_cross_entropy(logits, truth, weights).item() == pytest.approx(expected)


def test_one_logit_and_two_agree() -> None:
    one, truth, weights = batch(1)
    two = torch.cat([torch.zeros_like(one), one], dim=1)
    assert binary_cross_entropy(one, truth, weights).item() == pytest.approx(
        cross_entropy(two, truth, weights).item()
    )
    assert dice(one, truth, weights).item() == pytest.approx(dice(two, truth, weights).item())


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say(name: str) -> None:
    loss = resolve_name(LOSSES[name])
    logits, truth, weights = batch(1 if name == "bce" else 3)
    weights[:, :3] = 0
    before = loss(logits, truth, weights)
    before.backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :3].any()
    assert logits.grad[:, :, 3:].any()
    with torch.no_grad():
        logits[:, :, :3] += 100
    truth[:, :3] = 0
    assert loss(logits, truth, weights).item() == pytest.approx(before.item())


@pytest.mark.parametrize("name", LOSSES)
def test_all_ignored_is_finite(name: str) -> None:
    logits, truth, weights = batch(1 if name == "bce" else 3)
    value = resolve_name(LOSSES[name])(logits, truth, weights * 0)
    assert torch.isfinite(value)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_dice_is_zero_when_right_and_one_when_wrong(classes: int) -> None:
    truth = torch.randint(0, max(classes, 2), (2, 9, 9), generator=torch.Generator().manual_seed(0))
    weights = torch.ones(2, 9, 9)
    if classes == 1:
        logits = (truth[:, None] * 2 - 1) * 60.0
    else:
        logits = torch.nn.functional.one_hot(truth, classes).movedim(-1, 1) * 60.0
    assert dice(logits, truth, weights).item() == pytest.approx(0, abs=1e-6)
    if classes <= 2:
        assert dice(-logits, truth, weights).item() > 0.98
