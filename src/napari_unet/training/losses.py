"""What is minimised. Every loss takes logits, truth and weights; a weight of 0 means ignored.

Shapes: `logits` (B, K, *S); `classes` (B, *S) int64, or `values` (B, K, *S) of a regression;
`weights` (B, *S) float32. With one logit (K = 1) class 1 is the foreground. Means are taken over
labelled pixels only; the losses of overlaps (Dice, Tversky) use the weights as a mask.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional

from napari_unet.config import LOSSES, resolve_name

if TYPE_CHECKING:
    from napari_unet.config import TrainConfig

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Over = Literal["batch", "image"]

SMALLEST = 1e-12  # of 1 - p in the focal loss: a power of 0 has no slope


def make_loss(config: TrainConfig) -> Loss:
    """Return the loss that `config` names, shaped by those numbers of `config.terms` it knows."""
    loss = resolve_name(LOSSES[config.loss])
    known = inspect.signature(loss).parameters
    return partial(loss, **{name: value for name, value in config.terms if name in known})


def cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted softmax cross-entropy, the mean of -w(x) log p_l(x)(x) over labelled pixels.

    Equations 1 and 2 of Ronneberger et al. 2015; the sign that equation 1 leaves out is here.
    """
    energy = functional.cross_entropy(logits, classes, reduction="none")  # (B, *S)
    return _labelled_mean(energy * weights, weights)


def binary_cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy of one logit: max(x, 0) - x y + log(1 + exp(-|x|))."""
    return _labelled_mean(_binary_energy(logits, classes) * weights, weights)


def focal(logits: Tensor, classes: Tensor, weights: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Weighted focal loss, the mean of -w (1 - p)^gamma log p with p of the true class.

    Lin et al. 2017, arXiv:1708.02002, without their alpha: that is what the weights are for.
    gamma = 0 is the cross-entropy.
    """
    if logits.shape[1] == 1:
        energy = _binary_energy(logits, classes)
    else:
        energy = functional.cross_entropy(logits, classes, reduction="none")
    wrong = (-torch.expm1(-energy)).clamp(min=SMALLEST)  # 1 - p
    return _labelled_mean(wrong**gamma * energy * weights, weights)


def dice(
    logits: Tensor, classes: Tensor, weights: Tensor, *, squares: bool = False, over: Over = "batch"
) -> Tensor:
    """Soft Dice loss, 1 - 2 sum(p t) / (sum(p) + sum(t)), a mean over foreground classes.

    With `squares` the sums below the line are those of p^2 and t^2 (Milletari et al. 2016,
    arXiv:1606.04797). Sums run over labelled pixels of the whole batch, or of each image.
    """
    p, t = _foreground(logits, classes)
    size = p * p + t * t if squares else p + t
    both, either = (_sum(each, weights, over) for each in (p * t, size))
    return (1 - (2 * both + 1) / (either + 1)).mean()  # + 1: defined for an absent class


def tversky(
    logits: Tensor,
    classes: Tensor,
    weights: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    over: Over = "batch",
) -> Tensor:
    """Soft Tversky loss, 1 - TP / (TP + alpha FP + beta FN), a mean over foreground classes.

    Salehi et al. 2017, arXiv:1706.05721; alpha = beta = 0.5 is the Dice loss.
    """
    p, t = _foreground(logits, classes)
    found, invented, missed = (_sum(x, weights, over) for x in (p * t, p * (1 - t), (1 - p) * t))
    score = (found + 0.5) / (found + alpha * invented + beta * missed + 0.5)
    return (1 - score).mean()


def cross_entropy_dice(
    logits: Tensor, classes: Tensor, weights: Tensor, *, squares: bool = False, over: Over = "batch"
) -> Tensor:
    """Return the sum of the weighted (binary) cross-entropy and the soft Dice loss."""
    entropy = binary_cross_entropy if logits.shape[1] == 1 else cross_entropy
    overlap = dice(logits, classes, weights, squares=squares, over=over)
    return entropy(logits, classes, weights) + overlap


def squared_error(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared error, over labelled pixels and channels."""
    return _labelled_mean(_error(logits, values, weights).square().mean(1) * weights, weights)


def absolute_error(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean absolute error, over labelled pixels and channels."""
    return _labelled_mean(_error(logits, values, weights).abs().mean(1) * weights, weights)


def huber(logits: Tensor, values: Tensor, weights: Tensor, *, delta: float = 1.0) -> Tensor:
    """Weighted Huber loss: e^2 / 2 up to |e| = delta, from there on a line of slope delta.

    Huber 1964, Annals of Mathematical Statistics 35:73. Errors are in spreads of the target.
    """
    error = _error(logits, values, weights)
    energy = functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)
    return _labelled_mean(energy.mean(1) * weights, weights)


def _binary_energy(logits: Tensor, classes: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        logits[:, 0], classes.to(logits.dtype), reduction="none"
    )


def _foreground(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return probability and truth of the foreground classes, (B, K', *S) each."""
    if logits.shape[1] == 1:
        p = torch.sigmoid(logits)
        return p, classes[:, None].to(p.dtype)
    p = torch.softmax(logits, dim=1)[:, 1:]
    return p, functional.one_hot(classes, logits.shape[1]).movedim(-1, 1)[:, 1:].to(p.dtype)


def _sum(x: Tensor, weights: Tensor, over: Over) -> Tensor:
    """Add up (B, K', *S) over labelled pixels: (K',) of the batch, or (B, K') of each image."""
    labelled = (weights > 0)[:, None].to(x.dtype)
    axes = list(range(2, x.ndim))
    return (x * labelled).sum([0, *axes] if over == "batch" else axes)


def _error(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Return logits - values, 0 where ignored: there the values may be NaN."""
    return torch.where((weights > 0)[:, None], logits - values, 0)


def _labelled_mean(energy: Tensor, weights: Tensor) -> Tensor:
    return energy.sum() / (weights > 0).sum().clamp(min=1)
