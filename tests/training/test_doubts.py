"""Doubts about the images are told before the first step, and taken up by the diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import InputError, TrainConfig
from napari_unet.events import Failed, Noted, Stepped
from napari_unet.metrics.course import Course
from napari_unet.metrics.diagnosis import diagnose
from napari_unet.training.data import load_data
from napari_unet.training.doubts import find_doubts
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "model": {"base": 4, "depth": 2}, "patch": 32, "batch": 4, "steps_per_epoch": 10, "threads": 1,
}  # fmt: skip
Pair = tuple[np.ndarray, np.ndarray]


def settings(**changes: object) -> TrainConfig:
    return TrainConfig.from_recipe("quick", **{**SMALL, "epochs": 5, **changes})


def cells(n: int = 2) -> list[Pair]:
    return [touching_cells((96, 96), seed=seed) for seed in range(n)]


def doubts(pairs: list[Pair], **changes: object) -> dict[str, str]:
    found = find_doubts(load_data(settings(**changes), pairs))
    return {note.topic: note.text for note in found}


def follow(config: TrainConfig, pairs: list[Pair], folder: Path) -> Course:
    """Train, and listen as the window does."""
    course = Course()
    try:
        for event in train(config, pairs, folder):
            course.take(event)
    except InputError as error:  # the engine makes an event of it
        course.take(Failed(error.code, error.what, error.remedy))
    return course


def test_nothing_is_doubtful_about_good_images() -> None:
    assert doubts(cells()) == {}


def test_moved_labels_are_told_with_their_shift_and_their_count() -> None:
    large = [touching_cells((192, 192), seed=seed) for seed in range(4)]
    moved = [(image[:-6], labels[6:]) for image, labels in large[:3]]
    assert "(-6, +0) px in 3 of 4 images" in doubts([*moved, large[3]])["shift"]


def test_a_rare_class_is_told_with_its_counts() -> None:
    image, labels = touching_cells((96, 96), seed=0)
    classes = (labels > 0).astype(int)
    classes[3, 5:8] = 2
    text = doubts([(image, classes)], labels={"kind": "classes"}, validation=0)["rare"]
    assert "class 'class 2' is so rare (3 of 9,216 labelled pixels)" in text


def test_of_values_nothing_is_said() -> None:
    pairs = [(image, image[::-1].copy()) for image, _ in cells()]
    assert doubts(pairs, labels={"kind": "regression"}, loss="mse") == {}


def test_doubts_come_before_the_first_step(tmp_path: Path) -> None:
    moved = [(image[:-6], labels[6:]) for image, labels in cells()]
    events = list(train(settings(epochs=1), moved, tmp_path / "m"))
    (said,) = [k for k, e in enumerate(events) if isinstance(e, Noted) and e.topic == "shift"]
    assert said < next(k for k, event in enumerate(events) if isinstance(event, Stepped))
    course = Course()
    for event in events:
        course.take(event)
    assert diagnose(course).text.startswith("labels look shifted")


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_real_training_at_a_rate_of_ten_is_told_so(name: str, tmp_path: Path) -> None:
    config = settings(optimiser={"name": name, "rate": 10.0, "schedule": "constant"})
    found = diagnose(follow(config, cells(), tmp_path / "m"), config)
    assert "the learning rate is too high" in found.text
    assert found.remedy is not None
    assert found.remedy.changes == {"optimiser": {"rate": 1.0}}


def test_a_real_training_that_goes_well_is_told_nothing_else(tmp_path: Path) -> None:
    text = diagnose(follow(settings(epochs=8), cells(), tmp_path / "m")).text
    assert text.startswith("validation Dice 0."), text


def test_a_real_training_on_a_few_pixels_finds_only_background(tmp_path: Path) -> None:
    image, labels = touching_cells((96, 96), seed=0)
    sparse = np.zeros_like(labels)
    sparse[10:12, 10:12], sparse[10:12, 90:92] = 1, 2
    config = settings(
        weights={"balance_classes": False, "w0": 0}, oversample=0, validation=0, seed=1
    )
    found = diagnose(follow(config, [(image, sparse)], tmp_path / "m"), config)
    assert "predicts only background" in found.text
    assert found.remedy is not None
    assert found.remedy.changes == {"weights": {"balance_classes": True}}
