"""The sentence under the curves says what the numbers say."""

from __future__ import annotations

import math

import pytest

from napari_unet.events import Validated
from napari_unet.ui.diagnosis import diagnose, duration


def history(
    dice: list[float], losses: list[float] | None = None, recall: float | None = None
) -> list[Validated]:
    losses = losses or [1.0] * len(dice)
    return [
        Validated(k, k, loss, {"dice": d, "recall": d if recall is None else recall}, {}, False)
        for k, (d, loss) in enumerate(zip(dice, losses, strict=True))
    ]


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        ([], "no validation yet"),
        ([0.5], "validation Dice 0.50 after the first epoch"),
        ([0.5, 0.6, 0.7], "validation Dice 0.70 and still rising"),
        ([0.0], "only background so far"),
        ([math.nan], "only background so far"),
        ([0.5, 0.6] + [0.0] * 5, "only background since epoch 2"),
        ([0.0] * 6, "only background since epoch 0"),
        ([0.9] * 12, "no longer rising (best 0.90): it can be stopped"),
        ([0.5] * 12, "more labels would help"),
        ([0.9, 0.901, 0.9], "validation Dice 0.90, best 0.90"),
    ],
)
def test_the_trend_in_words(dice: list[float], words: str) -> None:
    assert words in diagnose(history(dice))


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
    losses = losses or [1.0] * len(errors)
    events = [
        Validated(k, k, loss, {"mse": e**2, "rmse": e, "mae": e}, {}, False)
        for k, (e, loss) in enumerate(zip(errors, losses, strict=True))
    ]
    assert words in diagnose(events)


def test_learning_by_heart_is_noticed() -> None:
    dice = [0.5, 0.8, 0.85, 0.86, 0.86, 0.85, 0.84, 0.83, 0.82, 0.8]
    losses = [1.0, 0.5, 0.3, 0.3, 0.32, 0.36, 0.4, 0.44, 0.5, 0.6]
    assert "by heart" in diagnose(history(dice, losses))


def test_the_time_left_is_added() -> None:
    assert diagnose(history([0.8, 0.87]), 40.2).endswith("and still rising; 40 s left")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "under 1 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (1500, "25 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_time_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
