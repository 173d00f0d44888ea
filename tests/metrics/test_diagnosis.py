"""The sentence under the curves says what the numbers say, and the button does what it says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import TrainConfig
from napari_unet.events import Failed, Finished, Noted, Stepped, Validated
from napari_unet.metrics.course import CORRECTED, Course
from napari_unet.metrics.diagnosis import Remedy, diagnose
from tests.metrics.courses import course_of, course_of_errors, learning, take_steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BY_HEART = (
    [0.5, 0.8, 0.85, 0.86, 0.86, 0.85, 0.84, 0.83, 0.82, 0.8],
    [1.0, 0.5, 0.3, 0.3, 0.32, 0.36, 0.4, 0.44, 0.5, 0.6],
)


def changed(remedy: Remedy | None, config: TrainConfig) -> TrainConfig:
    """Lay the changes of a remedy over the settings, as whoever presses the button does."""
    assert remedy is not None
    return TrainConfig.from_settings(config.model_dump(), dict(remedy.changes))


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        ([], "no validation yet"),
        ([0.5], "validation Dice 0.50 after the first epoch"),
        ([0.5, 0.6, 0.7], "validation Dice 0.70 and still rising"),
        ([0.0], "only background so far"),
        ([math.nan], "only background so far"),
        ([0.5, 0.6] + [0.0] * 5, "only background since epoch 3"),
        ([0.0] * 6, "only background from the beginning"),
        ([0.9] * 12, "no longer rising (best 0.90): it can be stopped"),
        ([0.5] * 12, "more labels would help"),
        ([0.9, 0.901, 0.9], "validation Dice 0.90, best 0.90"),
    ],
)
def test_the_trend_in_words(dice: list[float], words: str) -> None:
    assert words in diagnose(course_of(dice)).text


@pytest.mark.parametrize(
    ("errors", "losses", "words"),
    [
        ([40.0], None, "validation error 40 after the first epoch"),
        ([40.0, 30.0, 20.0], None, "validation error 20 and still falling"),
        ([20.0] * 5, None, "validation error 20, best 20"),
        ([20.0] * 12, None, "no longer falling (best 20): it can be stopped"),
        ([9.0] + [5.0] * 6 + [7.0] * 5, [1.0] + [0.3] * 6 + [0.6] * 5, "by heart"),
    ],
)
def test_the_trend_of_an_error_in_words(errors, losses, words: str) -> None:
    assert words in diagnose(course_of_errors(errors, losses)).text


def test_learning_by_heart_is_noticed_and_dated() -> None:
    found = diagnose(course_of(*BY_HEART))
    assert "validation loss rises since epoch 3" in found.text  # its lowest, the first of two
    assert "0.80 after 0.86" in found.text
    assert found.remedy == Remedy("Stop", "stop")


def test_what_was_scored_on_other_labels_does_not_count() -> None:
    course = course_of([0.5, 0.9, 0.9, 0.9, 0.9], [1.0, 0.2, 0.2, 0.2, 0.2])
    take_steps(course, np.full(200, 0.1))
    course.mark(CORRECTED)
    assert diagnose(course).text == "no validation yet since the correction"
    first = course.last_step + 1
    for k in range(6):
        scores = {"dice": 0.6, "recall": 0.6}
        course.take(Validated(first + k, 5 + k, 0.9, scores, {}, False))
    take_steps(course, np.full(200, 0.8))
    assert diagnose(course).text == "validation Dice 0.60, best 0.60"
    course.marks.clear()  # the same without a correction
    assert "rises" in diagnose(course).text


def test_a_loss_that_rises_while_dice_does_is_not_by_heart() -> None:
    dice = list(np.linspace(0.5, 0.9, 10))
    assert "still rising" in diagnose(course_of(dice, list(np.linspace(0.3, 0.9, 10)))).text


def test_of_what_has_ended_nothing_is_to_be_stopped() -> None:
    for course in (course_of([0.9] * 12), course_of(*BY_HEART)):
        assert diagnose(course).remedy == Remedy("Stop", "stop")
        course.take(Finished())
        assert diagnose(course).remedy is None
        assert "stop" not in diagnose(course).text


@pytest.mark.parametrize("budget", [{"minutes": 2.0}, {"epochs": 5}])
def test_what_still_rises_at_the_end_can_go_on(budget: Mapping[str, Any]) -> None:
    config = TrainConfig.from_recipe("quick", **budget)
    course = course_of([0.5, 0.6, 0.7])
    assert diagnose(course, config).remedy is None
    course.take(Finished())
    found = diagnose(course, config)
    assert "longer training would help" in found.text
    assert found.remedy is not None
    assert found.remedy.action == "resume"
    ((name, amount),) = budget.items()
    assert getattr(changed(found.remedy, config), name) == 2 * amount


def test_the_time_left_is_added() -> None:
    course = course_of([0.8, 0.87])
    course.take(Stepped(9, 1, 0.5, 0.1, 0.5, 40.2))
    assert diagnose(course).text.endswith("and still rising; 40 s left")


@pytest.mark.parametrize("config", [None, TrainConfig.from_recipe("quick")])
def test_a_loss_that_is_no_number_names_its_step_and_a_lower_rate(config) -> None:
    course = take_steps(course_of([0.5, 0.6]), learning(40, 0.1, 0), rate=0.003)
    course.take(Failed("U153", "the loss is nan at step 42 (rate 0.003)", "lower the rate"))
    found = diagnose(course, config)
    assert found.text.startswith("the loss is not finite at step 42: the learning rate is too")
    assert found.remedy == Remedy("Train anew at rate 0.0003", "train", found.remedy.changes)
    assert changed(found.remedy, TrainConfig.from_recipe("quick")).optimiser.rate == 0.0003


def test_another_failure_is_not_the_rate() -> None:
    course = course_of([0.5, 0.6])
    course.take(Failed("U161", "out of memory", "less"))
    assert "finite" not in diagnose(course).text


@pytest.mark.parametrize("step", [1, 30])
def test_the_first_step_without_a_number_is_named(step: int) -> None:
    losses = [1.0] * (step - 1) + [math.inf, math.nan]
    assert f"not finite at step {step}:" in diagnose(take_steps(Course(), losses)).text


def test_a_rate_that_is_too_high_is_said_before_any_score() -> None:
    losses = learning(400, 0.2, 1)
    losses[200:] *= np.linspace(1, 60, 200)
    found = diagnose(take_steps(course_of([0.5, 0.6, 0.7]), losses, rate=0.03))
    assert "training loss rises since step" in found.text
    assert "rate is too high" in found.text
    assert found.remedy is not None
    assert found.remedy.changes == {"optimiser": {"rate": 0.01}}
    jumped = take_steps(Course(), [0.7] * 3 + [900.0] * 30)
    assert "jumped at step 1 " in diagnose(jumped).text  # the first of four


def test_scores_that_swing_are_told_from_those_that_fall_once() -> None:
    found = diagnose(course_of([0.3, 0.7, 0.1, 0.8, 0.2, 0.75]))
    assert "swings between 0.10 and 0.80: the learning rate is too high" in found.text
    assert "swings" not in diagnose(course_of([0.3, 0.7, 0.8, 0.2, 0.75, 0.8])).text


def test_what_has_fallen_again_is_not_rising() -> None:
    assert diagnose(course_of([0.1, 0.79, 0.7, 0.6, 0.1])).text.endswith("best 0.79")


def test_only_background_proposes_what_was_not_yet_done() -> None:
    course = course_of([0.0] * 6)
    config = TrainConfig.from_recipe(
        "quick", weights={"balance_classes": False}, loss="cross_entropy"
    )
    assert diagnose(course).remedy is None  # what was done is not known
    labels = []
    while (remedy := diagnose(course, config).remedy) is not None:
        assert remedy.action == "train"
        labels.append(remedy.label)
        config = changed(remedy, config)
    assert config.weights.balance_classes
    assert config.oversample == 1
    assert config.loss == "cross_entropy_dice"
    assert len(labels) == 3


def test_a_class_that_is_never_found_is_named() -> None:
    seen = {"dice": 0.8, "recall": 0.8}
    rare = {"dice": 0.0, "recall": 0.0}
    each = [{"background": seen, "axon": seen, "myelin": seen}] * 2
    each += [{"background": seen, "axon": rare, "myelin": seen}] * 5
    course = course_of([0.4] * 7, classes=each)
    assert "class 'axon' is not found since epoch 3: " in diagnose(course).text
    absent = {"dice": math.nan, "recall": math.nan}
    each = [{"background": seen, "axon": absent, "myelin": seen}] * 7
    assert "axon" not in diagnose(course_of([0.4] * 7, classes=each)).text
    why = "class 'axon' is so rare (9 of 90,112 labelled pixels) that it may not be found"
    course.take(Noted(why, "rare"))
    assert why in diagnose(course).text


def test_doubts_about_the_images_are_told_before_there_is_a_score() -> None:
    course = Course()
    course.take(Noted("class 'x' is so rare that", "rare"))
    assert "so rare" in diagnose(course).text
    course.take(Noted("labels look shifted", "shift"))
    course.take(Validated(3, 0, 0.5, {"dice": 0.5, "recall": 0.5}, {}, False))
    assert (
        diagnose(course).text == "labels look shifted; validation Dice 0.50 after the first epoch"
    )
