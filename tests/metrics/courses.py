"""Courses of trainings that never were, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.events import Stepped, Validated
from napari_unet.metrics.course import Course

if TYPE_CHECKING:
    from collections.abc import Sequence


def course_of(
    dice: Sequence[float],
    losses: Sequence[float] | None = None,
    recall: float | None = None,
    classes: Sequence[dict[str, dict[str, float]]] | None = None,
) -> Course:
    """Make a course of validations alone."""
    course = Course()
    for k, d in enumerate(dice):
        scores = {"dice": d, "recall": d if recall is None else recall}
        each = classes[k] if classes else {}
        course.take(Validated(k, k, losses[k] if losses else 1.0, scores, each, False))
    return course


def course_of_errors(errors: Sequence[float], losses: Sequence[float] | None = None) -> Course:
    """Make a course of validations of a regression."""
    course = Course()
    for k, e in enumerate(errors):
        scores = {"mse": e**2, "rmse": e, "mae": e}
        course.take(Validated(k, k, losses[k] if losses else 1.0, scores, {}, False))
    return course


def take_steps(course: Course, losses: Sequence[float], rate: float = 0.003) -> Course:
    """Add steps to a course, after those it has."""
    first = max([course.last_step, *(event.step for event in course.validations)]) + 1
    for step, loss in enumerate(losses, start=first):
        course.take(Stepped(step, 0, float(loss), rate, 0.5))
    return course


def learning(n: int, spread: float, seed: int) -> np.ndarray:
    """Make the losses of a training that goes well: they fall, and their noise has a long tail."""
    rng = np.random.default_rng(seed)
    fall = 0.1 + 0.9 * np.exp(-np.arange(n) / max(n / 5, 10))
    return fall * rng.lognormal(0, spread, n)
