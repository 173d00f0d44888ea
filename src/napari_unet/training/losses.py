"""What is minimised. Every loss takes logits, classes and weights; a weight of 0 means ignored.

Shapes: `logits` (B, K, *S), `classes` (B, *S) int64, `weights` (B, *S) float32. With one
logit (K = 1) class 1 is the foreground. Means are taken over labelled pixels only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted softmax cross-entropy, the mean of -w(x) log p_l(x)(x) over labelled pixels.

    Equations 1 and 2 of Ronneberger et al. 2015; the sign that equation 1 leaves out is here.
    """
    energy = functional.cross_entropy(logits, classes, reduction="none")  # (B, *S)
    return _labelled_mean(energy * weights, weights)


def binary_cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy of one logit: max(x, 0) - x y + log(1 + exp(-|x|))."""
    energy = functional.binary_cross_entropy_with_logits(
        logits[:, 0], classes.to(logits.dtype), reduction="none"
    )
    return _labelled_mean(energy * weights, weights)


def dice(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Soft Dice loss, 1 - 2 sum(p t) / (sum(p) + sum(t)), a mean over foreground classes.

    Sums run over the batch and over labelled pixels; the weights enter only as a mask.
    """
    if logits.shape[1] == 1:
        p = torch.sigmoid(logits)
        t = classes[:, None].to(p.dtype)
    else:
        p = torch.softmax(logits, dim=1)[:, 1:]
        t = functional.one_hot(classes, logits.shape[1]).movedim(-1, 1)[:, 1:].to(p.dtype)
    labelled = (weights > 0)[:, None].to(p.dtype)
    axes = [0, *range(2, p.ndim)]
    both = (p * t * labelled).sum(axes)  # (K',)
    either = ((p + t) * labelled).sum(axes)
    return (1 - (2 * both + 1) / (either + 1)).mean()  # + 1: defined for an absent class


def cross_entropy_dice(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the weighted (binary) cross-entropy and the soft Dice loss."""
    entropy = binary_cross_entropy if logits.shape[1] == 1 else cross_entropy
    return entropy(logits, classes, weights) + dice(logits, classes, weights)


def _labelled_mean(energy: Tensor, weights: Tensor) -> Tensor:
    return energy.sum() / (weights > 0).sum().clamp(min=1)
