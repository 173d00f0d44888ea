"""The paragraph for the paper says what was done."""

from __future__ import annotations

from typing import Any

import pytest

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.library.card import TargetCard, environment
from napari_unet.library.methods import methods_paragraph
from tests.library.test_card import card

BEST = {"dice": 0.8712, "jaccard": 0.77, "mse": 4.0, "mae": 1.25}
ALL_OF_IT = ("flip", "rotate_deg", "scale", "elastic_px", "brightness", "contrast", "noise")
TRAINING = {"images": 4, "held_out": 1, "steps": 10, "elapsed_s": 60.0, "best": BEST}


def paragraph(config: TrainConfig, **changes: Any) -> str:
    made = card(training=TRAINING, environment=environment(), **changes)
    text = methods_paragraph(made, config)
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    return text


def test_of_classes_it_gives_dice_and_weights() -> None:
    text = paragraph(TrainConfig.from_recipe("paper"))
    assert "Dice 0.871" in text
    assert "balance the classes, with a border term (w0 = 10, sigma = 5)" in text
    assert "MAE" not in text


def test_of_values_it_gives_errors_and_the_scale() -> None:
    config = TrainConfig.from_recipe("quick", labels={"kind": "regression"}, loss="huber")
    target = (TargetCard(name="value", mean=1000, spread=2),)
    text = paragraph(
        config, kind="regression", classes=(), target=target, model=ModelConfig(classes=1)
    )
    assert "The loss was huber on values normalised over the training images" in text
    assert "(mean 1000, spread 2)" in text
    assert "MAE 1.25" in text
    assert "Dice" not in text


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"w0": 0, "balance_classes": False}, "unweighted."),
        ({"formula": "falk2019", "w0": 50, "sigma": 6}, "Falk et al. 2019 (w0 = 50, sigma = 6,"),
    ],
)
def test_weights_in_words(weights: dict[str, Any], words: str) -> None:
    assert words in paragraph(TrainConfig.from_recipe("quick", weights=weights))


def test_what_was_planned_is_what_it_says() -> None:
    config = TrainConfig.from_recipe("robust")  # normalisation: auto
    assert "normalised per image (percentile)" in paragraph(config)


def test_of_held_out_images_without_foreground_it_says_what_decided() -> None:
    made = card(training={**TRAINING, "best": {"step": 3}}, environment=environment())
    text = methods_paragraph(made, TrainConfig.from_recipe("quick"))
    assert "The network with the smallest loss on 1 held-out image(s) was kept." in text


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ({}, "Patches were flipped, rotated by up to 180 degrees, zoomed by up to 10%, deformed"),
        ({"flip": False, "scale": 0.5}, "Patches were rotated by up to 180 degrees, zoomed by"),
        ({"contrast": 0, "noise": 0.1}, "per axis) and varied in noise."),
        (dict.fromkeys(ALL_OF_IT, 0), "Patches were not varied."),
    ],
)
def test_only_what_was_varied_is_named(augment: dict[str, Any], words: str) -> None:
    assert words in paragraph(TrainConfig.from_recipe("quick", augment=augment))


def test_signals_are_not_rotated() -> None:
    text = paragraph(TrainConfig.from_recipe("quick"), model=ModelConfig(ndim=1), axes="CX")
    assert "rotated" not in text


def test_without_held_out_images_it_says_so() -> None:
    made = card(training={**TRAINING, "held_out": 0}, environment=environment())
    assert "No image was held out" in methods_paragraph(made, TrainConfig.from_recipe("quick"))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, "with 4 levels below the first and 32 filters at the first was trained"),
        ({"architecture": "vnet", "variant": "release"}, "at the first (form 'release') was"),
        ({"ndim": 3, "halvings": (0, 4, 4)}, "(axes ZYX halved 0, 4, 4 times)"),
    ],
)
def test_the_network_is_the_one_on_the_card(model: dict[str, Any], words: str) -> None:
    config = ModelConfig(**model)
    axes = {2: "CYX", 3: "CZYX"}[config.ndim]
    assert words in paragraph(TrainConfig.from_recipe("quick"), model=config, axes=axes)


def test_it_gives_the_size_of_the_pixels_where_that_is_known() -> None:
    config = TrainConfig.from_recipe("quick")
    known = paragraph(config, spacing=(0.325, 0.325), unit="µm")
    assert "on 4 image(s) at a pixel size of 0.325 µm for 10 steps" in known
    assert "pixel size" not in paragraph(config, spacing=(0.325, 0.325))
