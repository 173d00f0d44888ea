"""One plain sentence on how a training goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.events import Validated

RISE = 0.01  # Dice that counts as progress
FALL = 0.02  # share of an error that counts as progress
PATIENCE = 4  # validations without progress before it is called a plateau
OVERFITTING = 1.25  # validation loss over its lowest
GOOD = 0.8


def diagnose(history: Sequence[Validated], left_s: float | None = None) -> str:
    """Say how far a training is and whether it goes on well.

    Parameters
    ----------
    history : sequence of Validated
        All validations so far, in order.
    left_s : float, optional
        Seconds to go; None when it has ended.

    Returns
    -------
    str
        Such as ``validation Dice 0.87 and still rising; 40 s left``.
    """
    trend = "no validation yet"
    if history:
        trend = _trend(history) if "dice" in history[-1].scores else _error_trend(history)
    return trend if left_s is None else f"{trend}; {duration(left_s)} left"


def _trend(history: Sequence[Validated]) -> str:
    if _only_background(history[-1]):
        return _background_words(history)
    dice = [event.scores.get("dice", math.nan) for event in history]
    known = [d for d in dice if not math.isnan(d)]
    score, best = f"validation Dice {known[-1]:.2f}", max(known)
    if len(history) == 1:
        return f"{score} after the first epoch"
    if _rising(known):
        return f"{score} and still rising"
    if _overfits(history) and known[-1] < best - RISE:
        return f"{score} after {best:.2f}: it begins to learn by heart; stopping keeps the best"
    if len(history) <= 2 * PATIENCE:
        return f"{score}, best {best:.2f}"
    if best < GOOD:
        return f"{score} and no longer rising: more labels would help most"
    return f"{score} and no longer rising (best {best:.2f}): it can be stopped"


def _error_trend(history: Sequence[Validated]) -> str:
    """Say how the mean absolute error of a regression goes."""
    errors = [event.scores.get("mae", math.nan) for event in history]
    now, best = errors[-1], min(errors)
    score = f"validation error {now:.3g}"
    if len(history) == 1:
        return f"{score} after the first epoch"
    at = max(1, len(errors) - PATIENCE)
    if min(errors[at:]) < (1 - FALL) * min(errors[:at]):
        return f"{score} and still falling"
    if _overfits(history) and now > (1 + FALL) * best:
        return f"{score} after {best:.3g}: it begins to learn by heart; stopping keeps the best"
    if len(history) <= 2 * PATIENCE:
        return f"{score}, best {best:.3g}"
    return f"{score} and no longer falling (best {best:.3g}): it can be stopped"


def _background_words(history: Sequence[Validated]) -> str:
    if len(history) < PATIENCE:
        return "predicts only background so far, which is common at the beginning"
    since = next((e.epoch + 1 for e in reversed(history) if not _only_background(e)), 0)
    return (
        f"predicts only background since epoch {since}: give it more time, balance the "
        "classes, or check what 0 means in the labels"
    )


def _rising(dice: Sequence[float]) -> bool:
    """Whether the last validations beat the ones before them."""
    at = max(1, len(dice) - PATIENCE)
    return len(dice) > 1 and max(dice[at:]) > max(dice[:at]) + RISE


def _overfits(history: Sequence[Validated]) -> bool:
    return history[-1].loss > OVERFITTING * min(event.loss for event in history)


def _only_background(event: Validated) -> bool:
    dice = event.scores.get("dice", math.nan)
    return math.isnan(dice) or (dice < RISE and event.scores.get("recall", 0.0) < RISE)


def duration(seconds: float) -> str:
    """Write a time as people say it: 40 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
