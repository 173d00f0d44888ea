"""One plain sentence on how a training goes, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.metrics.divergence import diverged_since, jumped_at
from napari_unet.metrics.duration import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.config import TrainConfig
    from napari_unet.events import Validated
    from napari_unet.metrics.course import Course

RISE = 0.01  # Dice that counts as progress
FALL = 0.02  # share of an error that counts as progress
PATIENCE = 4  # validations without progress before it is called a plateau
SWING = 0.2  # of the Dice: a fall that noise does not make twice
OVERFITTING = 1.25  # validation loss over its lowest
GOOD = 0.8
NOT_FINITE = "U153"  # the code of a loss that is no number any more


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done with a press of a button.

    Parameters
    ----------
    label : str
        For the button.
    action : "stop", "resume" or "train"
        What to do with the run: end it and keep the best, go on from where it is, or begin anew.
    changes : mapping
        Settings to lay over those of the run before, as for `TrainConfig.from_settings`.
    """

    label: str
    action: Literal["stop", "resume", "train"]
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a training goes, in one sentence, and the remedy where a button can be one."""

    text: str
    remedy: Remedy | None = None


def diagnose(course: Course, config: TrainConfig | None = None) -> Diagnosis:
    """Say how far a training is and whether it goes on well: the worst that is known.

    Parameters
    ----------
    course : Course
        What its events told.
    config : TrainConfig, optional
        The settings of the run: a remedy that changes settings needs to know them.

    Returns
    -------
    Diagnosis
        Such as ``validation Dice 0.87 and still rising; 40 s left``.
    """
    rules = (_not_finite, _rate_too_high, _only_background, _missing_class, _by_heart, _trend)
    found = next(said for rule in rules if (said := rule(course, config)) is not None)
    parts = [found.text]
    if "shift" in course.doubts:
        parts.insert(0, course.doubts["shift"])
    if course.left_s is not None:
        parts.append(f"{duration(course.left_s)} left")
    return Diagnosis("; ".join(parts), found.remedy)


def _not_finite(course: Course, config: TrainConfig | None) -> Diagnosis | None:
    steps, losses = course.losses
    if course.failure is not None and course.failure.code == NOT_FINITE:
        step = course.last_step + 1
    elif len(losses) and not np.isfinite(losses[-1]):
        step = int(steps[np.argmin(np.isfinite(losses))])
    else:
        return None
    text = f"the loss is not finite at step {step}: the learning rate is too high"
    return Diagnosis(text, _slower(course, config, 10))


def _rate_too_high(course: Course, config: TrainConfig | None) -> Diagnosis | None:
    steps, losses = course.losses
    since = course.corrected_at
    if since is not None:  # of other labels the loss is another one
        steps, losses = steps[steps > since], losses[steps > since]
    if (at := jumped_at(losses)) is not None:
        text = f"the training loss jumped at step {steps[at]:.0f} and has not come back"
        return Diagnosis(f"{text}: the learning rate is too high", _slower(course, config, 10))
    if (at := diverged_since(losses)) is not None:
        text = f"the training loss rises since step {steps[at]:.0f}"
        return Diagnosis(f"{text}: the learning rate is too high", _slower(course, config, 3))
    return _swinging(course, config)


def _swinging(course: Course, config: TrainConfig | None) -> Diagnosis | None:
    scores, rises = _measured(course.alike[-2 * PATIENCE :])
    if not rises or np.count_nonzero(np.diff(scores) < -SWING) < 2:
        return None
    text = f"validation Dice swings between {min(scores):.2f} and {max(scores):.2f}"
    return Diagnosis(f"{text}: the learning rate is too high", _slower(course, config, 3))


def _slower(course: Course, config: TrainConfig | None, factor: int) -> Remedy | None:
    """Propose to begin anew with the rate of the settings, or the highest so far, over `factor`."""
    _, rates = course.rates
    rate = config.optimiser.rate if config else float(max(rates, default=0.0))
    if not rate:
        return None
    lower = float(f"{rate / factor:.1g}")
    return Remedy(f"Train anew at rate {lower:g}", "train", {"optimiser": {"rate": lower}})


def _only_background(course: Course, config: TrainConfig | None) -> Diagnosis | None:
    history = course.alike
    n = _count_last([_blind(event.scores) for event in history if "mae" not in event.scores])
    if not n:
        return None
    if n < PATIENCE and n == len(history):
        return Diagnosis("predicts only background so far, which is common at the beginning")
    if n < PATIENCE:
        return None
    since = _since(history, n)
    text = (
        f"predicts only background {since}: give it more time, balance the classes, "
        "or check what 0 means in the labels"
    )
    return Diagnosis(text, _more_of_the_rare(config))


def _missing_class(course: Course, config: TrainConfig | None) -> Diagnosis | None:
    """Name the first class that the last validations had in their truth and never found."""
    history = course.alike
    for name in course.names:
        each = [event.classes.get(name, {}) for event in history]
        n = _count_last([one.get("dice", math.nan) < RISE and _blind(one) for one in each])
        if n >= PATIENCE:
            text = f"class {name!r} is not found {_since(history, n)}"
            why = course.doubts.get("rare", "draw patches around it more often, or label more")
            return Diagnosis(f"{text}: {why}", _more_of_the_rare(config))
    return None


def _more_of_the_rare(config: TrainConfig | None) -> Remedy | None:
    """Propose what is not yet done for rare classes, if anything."""
    if config is None:
        return None
    if config.weights.formula == "ronneberger2015" and not config.weights.balance_classes:
        changes: dict[str, Any] = {"weights": {"balance_classes": True}}
        return Remedy("Train anew, classes balanced", "train", changes)
    if config.oversample < 1:
        return Remedy("Train anew on rare classes", "train", {"oversample": 1.0})
    if config.loss == "cross_entropy":
        return Remedy("Train anew with Dice loss", "train", {"loss": "cross_entropy_dice"})
    return None


def _by_heart(course: Course, _config: TrainConfig | None) -> Diagnosis | None:
    history = course.alike
    losses = [event.loss for event in history]
    if len(history) < PATIENCE or _still_better(history):
        return None
    lowest = int(np.argmin(losses))
    if not all(loss > OVERFITTING * losses[lowest] for loss in losses[-2:]):
        return None
    now, best, _ = _summary(history)
    text = (
        f"validation loss rises since epoch {history[lowest].epoch + 1}, {now} after {best}: "
        "it learns by heart"
    )
    if course.ended:
        return Diagnosis(f"{text}; the best was kept, more labels would help most")
    return Diagnosis(f"{text}; stopping keeps the best", Remedy("Stop", "stop"))


def _trend(course: Course, config: TrainConfig | None) -> Diagnosis:
    history = course.alike
    if not history:
        since = "" if course.corrected_at is None else " since the correction"
        return Diagnosis(course.doubts.get("rare", f"no validation yet{since}"))
    now, best, better = _summary(history)
    if len(history) == 1:
        return Diagnosis(f"{now} after the first epoch")
    if _still_better(history):
        if not course.ended:
            return Diagnosis(f"{now} and still {better}")
        text = f"{now} and still {better} at the end: longer training would help"
        return Diagnosis(text, _longer(config))
    if len(history) <= 2 * PATIENCE:
        return Diagnosis(f"{now}, best {best}")
    text = f"{now} and no longer {better}"
    dice = [event.scores.get("dice", math.nan) for event in history]
    if not np.isnan(dice).all() and np.nanmax(dice) < GOOD:
        return Diagnosis(f"{text}: more labels would help most")
    if course.ended:
        return Diagnosis(f"{text} (best {best}): longer training would not help")
    return Diagnosis(f"{text} (best {best}): it can be stopped", Remedy("Stop", "stop"))


def _longer(config: TrainConfig | None) -> Remedy | None:
    """Propose to go on for as long again."""
    if config is None:
        return None
    if config.minutes is not None:
        words = duration(60 * config.minutes)
        return Remedy(f"Go on for {words} more", "resume", {"minutes": 2 * config.minutes})
    epochs = config.epochs or 1
    return Remedy(f"Go on for {epochs} epochs more", "resume", {"epochs": 2 * epochs})


def _summary(history: Sequence[Validated]) -> tuple[str, str, str]:
    """Return the last score in words, the best, and where it goes when it gets better."""
    scores, rises = _measured(history)
    if rises:
        return f"validation Dice {scores[-1]:.2f}", f"{max(scores):.2f}", "rising"
    return f"validation error {scores[-1]:.3g}", f"{min(scores):.3g}", "falling"


def _measured(history: Sequence[Validated]) -> tuple[list[float], bool]:
    """Return what was measured where it is defined, and whether more of it is better."""
    name = "mae" if history and "mae" in history[-1].scores else "dice"
    scores = [event.scores.get(name, math.nan) for event in history]
    return [score for score in scores if not math.isnan(score)] or [math.nan], name == "dice"


def _still_better(history: Sequence[Validated]) -> bool:
    """Whether the last validation beats all but the few before it."""
    scores, rises = _measured(history)
    if len(scores) < 2:
        return False
    before = scores[: max(1, len(scores) - PATIENCE)]
    if rises:
        return scores[-1] > max(before) + RISE
    return scores[-1] < (1 - FALL) * min(before)


def _blind(scores: Mapping[str, float]) -> bool:
    """Whether nothing was found of what is there."""
    dice = scores.get("dice", math.nan)
    return math.isnan(dice) or (dice < RISE and scores.get("recall", 0.0) < RISE)


def _count_last(flags: Sequence[bool]) -> int:
    """Count how many of the last flags are all true."""
    return next((k for k, flag in enumerate(reversed(flags)) if not flag), len(flags))


def _since(history: Sequence[Validated], n: int) -> str:
    """Say since when, if it is so in the last `n` validations; epochs are counted from 1."""
    if n == len(history):
        return "from the beginning"
    return f"since epoch {history[-n].epoch + 1}"
