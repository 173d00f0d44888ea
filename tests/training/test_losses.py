"""Losses equal their formulas, and ignored pixels are not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import LOSSES, REGRESSION, LossConfig, TrainConfig
from napari_unet.training.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_dice,
    dice,
    focal,
    huber,
    make_loss,
    squared_error,
    tversky,
)

TERMS = (
    LossConfig(),
    LossConfig(squares=True, over="image", alpha=1.0, beta=0.2, gamma=0.0, delta=0.1),
)


def batch(classes: int, seed: int = 0, size: tuple[int, ...] = (6, 7)):
    """Logits (2, K, *S), classes and positive weights (2, *S), in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, *size, generator=generator, dtype=torch.float64)
    truth = torch.randint(0, max(classes, 2), (2, *size), generator=generator)
    weights = torch.rand(2, *size, generator=generator, dtype=torch.float64) + 0.1
    return logits.requires_grad_(), truth, weights


def case(name: str, terms: LossConfig, size: tuple[int, ...] = (6, 7)):
    """A loss by its name, and logits, truth and weights that it can judge."""
    k = 1 if name == "bce" else 3
    logits, truth, weights = batch(k, size=size)
    changes = {"loss": name, "terms": terms.model_dump(), "model": {"classes": k}}
    if name in REGRESSION:
        changes["labels"] = {"kind": "regression"}
        truth = torch.randn(2, k, *size, generator=torch.Generator().manual_seed(5)).double()
    return make_loss(TrainConfig.from_recipe("quick", **changes)), logits, truth, weights


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


@pytest.mark.parametrize("loss", [dice, tversky, focal, cross_entropy_dice])
def test_one_logit_and_two_agree(loss) -> None:
    one, truth, weights = batch(1)
    two = torch.cat([torch.zeros_like(one), one], dim=1)
    assert binary_cross_entropy(one, truth, weights).item() == pytest.approx(
        cross_entropy(two, truth, weights).item()
    )
    assert loss(one, truth, weights).item() == pytest.approx(loss(two, truth, weights).item())


@pytest.mark.parametrize("size", [(11,), (6, 7), (5, 4, 3)])
@pytest.mark.parametrize("terms", TERMS, ids=["defaults", "others"])
@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say(name: str, terms: LossConfig, size: tuple[int, ...]) -> None:
    loss, logits, truth, weights = case(name, terms, size)
    weights[:, :3] = 0
    before = loss(logits, truth, weights)
    before.backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :3].any()
    assert logits.grad[:, :, 3:].any()
    with torch.no_grad():
        logits[:, :, :3] += 100
    if name in REGRESSION:
        truth[:, :, :3] = torch.nan
    else:
        truth[:, :3] = 0
    after = loss(logits, truth, weights)
    assert after.item() == before.item()
    logits.grad = None
    after.backward()
    assert not logits.grad[:, :, :3].any()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_all_ignored_is_finite(name: str) -> None:
    loss, logits, truth, weights = case(name, LossConfig())
    value = loss(logits, truth, weights * 0)
    value.backward()
    assert torch.isfinite(value)
    assert not logits.grad.any()


@pytest.mark.parametrize("name", [*REGRESSION, "cross_entropy", "bce", "focal"])
def test_a_pixel_that_weighs_twice_counts_twice(name: str) -> None:
    loss, logits, truth, weights = case(name, LossConfig())
    assert loss(logits, truth, 2 * weights).item() == pytest.approx(
        2 * loss(logits, truth, weights).item()
    )


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_overlaps_take_the_weights_as_a_mask(name: str) -> None:
    loss, logits, truth, weights = case(name, LossConfig())
    weights[:, :2] = 0
    other = torch.where(weights > 0, 7 * weights + 1, 0)
    assert loss(logits, truth, other).item() == loss(logits, truth, weights).item()


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("over", ["batch", "image"])
def test_tversky_with_equal_costs_is_dice(classes: int, over: str) -> None:
    logits, truth, weights = batch(classes)
    even = tversky(logits, truth, weights, alpha=0.5, beta=0.5, over=over)
    assert even.item() == pytest.approx(dice(logits, truth, weights, over=over).item())


def test_tversky_asks_the_price_it_is_given() -> None:
    truth, weights = torch.zeros(1, 10, 10, dtype=torch.int64), torch.ones(1, 10, 10)
    truth[:, :5] = 1
    half = torch.zeros(1, 10, 10, dtype=torch.int64)
    half[:, :2] = 1
    missed, invented = (
        tversky((said[:, None] * 2 - 1) * 60.0, true, weights, alpha=0.3, beta=0.7).item()
        for said, true in ((half, truth), (truth, half))
    )
    assert missed == pytest.approx(1 - 20.5 / (20 + 0.7 * 30 + 0.5), abs=1e-5)
    assert invented == pytest.approx(1 - 20.5 / (20 + 0.3 * 30 + 0.5), abs=1e-5)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_focal_without_focus_is_the_cross_entropy(classes: int) -> None:
    logits, truth, weights = batch(classes)
    plain = binary_cross_entropy if classes == 1 else cross_entropy
    expected, found = plain(logits, truth, weights), focal(logits, truth, weights, gamma=0.0)
    assert found.item() == pytest.approx(expected.item())
    (one,), (other,) = (torch.autograd.grad(each, logits) for each in (found, expected))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("classes", [1, 3])
def test_focal_is_its_formula(classes: int) -> None:
    logits, truth, weights = batch(classes)
    if classes == 1:
        p = torch.sigmoid(logits[:, 0])
        p = torch.where(truth == 1, p, 1 - p)
    else:
        p = torch.softmax(logits, dim=1).gather(1, truth[:, None])[:, 0]
    expected = (-weights * (1 - p) ** 2 * p.log()).mean()
    assert focal(logits, truth, weights).item() == pytest.approx(expected.item())


def test_focal_has_a_slope_where_it_is_sure() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    focal(logits, torch.tensor([[1, 1]]), torch.ones(1, 2), gamma=0.5).backward()
    assert torch.isfinite(logits.grad).all()


def test_dice_of_v_net_has_the_gradient_of_its_formula() -> None:
    logits, truth, weights = batch(1)
    p = torch.sigmoid(logits).detach()[:, 0]
    g = truth.double()
    above, below = 2 * (p * g).sum() + 1, (p * p).sum() + (g * g).sum() + 1
    by_p = -(2 * g * below - 2 * p * above) / below**2  # of 1 - D; Milletari et al. 2016, section 3
    dice(logits, truth, weights, squares=True).backward()
    torch.testing.assert_close(logits.grad[:, 0], by_p * p * (1 - p))


def test_dice_over_images_is_the_mean_of_each() -> None:
    logits, truth, weights = batch(3)
    each = [dice(logits[k : k + 1], truth[k : k + 1], weights[k : k + 1]) for k in (0, 1)]
    assert dice(logits, truth, weights, over="image").item() == pytest.approx(
        sum(e.item() for e in each) / 2
    )
    assert dice(logits, truth, weights).item() != pytest.approx(sum(e.item() for e in each) / 2)


def test_the_sum_is_that_of_its_parts() -> None:
    logits, truth, weights = batch(3)
    parts = cross_entropy(logits, truth, weights) + dice(
        logits, truth, weights, squares=True, over="image"
    )
    whole = cross_entropy_dice(logits, truth, weights, squares=True, over="image")
    assert whole.item() == pytest.approx(parts.item())


def test_errors_of_values_are_their_formulas() -> None:
    logits, _, weights = batch(2)
    values = torch.zeros_like(logits)
    e, w = logits.detach(), weights[:, None]
    assert squared_error(logits, values, weights).item() == pytest.approx((w * e**2).mean().item())
    assert absolute_error(logits, values, weights).item() == pytest.approx(
        (w * e.abs()).mean().item()
    )
    line = 0.5 * (e.abs() - 0.25)
    expected = w * torch.where(e.abs() <= 0.5, e**2 / 2, line)
    assert huber(logits, values, weights, delta=0.5).item() == pytest.approx(expected.mean().item())


def test_the_numbers_of_the_settings_reach_the_loss() -> None:
    logits, truth, weights = batch(3)
    for name, number in (("focal", {"gamma": 0.5}), ("tversky", {"alpha": 2.0}),
                         ("dice", {"squares": True}), ("dice", {"over": "image"})):  # fmt: skip
        plain, shaped = (
            make_loss(TrainConfig.from_recipe("quick", loss=name, terms=terms))
            for terms in ({}, number)
        )
        one, other = (loss(logits, truth, weights).item() for loss in (plain, shaped))
        assert one != pytest.approx(other)


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
