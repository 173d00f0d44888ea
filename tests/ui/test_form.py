"""A form is its config: what goes in comes out, and what is wrong is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_unet.config import (
    RECIPES,
    AugmentConfig,
    Config,
    InputError,
    LabelConfig,
    ModelConfig,
    OptimiserConfig,
    PredictConfig,
    TrainConfig,
    WeightConfig,
)
from napari_unet.ui.form import Form, decimals, from_text, to_text
from napari_unet.ui.train_form import TrainForm

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

CONFIGS = (
    ModelConfig(),
    ModelConfig(architecture="unet2015", ndim=3, in_channels=7, classes=5, dropout=0.125),
    LabelConfig(),
    LabelConfig(kind="classes", zero="unlabelled", ignore=255, ridge=False),
    WeightConfig(),
    WeightConfig(balance_classes=False, w0=0.0, sigma=0.1, spacing=(0.5, 0.2, 0.2)),
    WeightConfig(spacing=(0.25,)),
    AugmentConfig(flip=False, noise=0.0),
    OptimiserConfig(rate=1e-6, decay=0.00012, schedule="exponential", clip=1e5),
    PredictConfig(outputs=("classes", "attention"), tile=96, device="cuda:1", threads=3),
    PredictConfig(),
    *(TrainConfig.from_recipe(name) for name in RECIPES),
)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_a_form_gives_back_the_config_it_was_made_from(qtbot: QtBot, config: Config) -> None:
    form = Form(config)
    qtbot.addWidget(form)
    assert form.value == config


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_a_form_shows_any_other_config_of_its_kind(qtbot: QtBot, config: Config) -> None:
    form = Form(type(config)())
    qtbot.addWidget(form)
    form.value = config
    assert form.value == config


@pytest.mark.usefixtures("qtbot")
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_form_of_a_training_gives_back_every_recipe(recipe: str) -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.recipe.value = recipe
    assert form.value == TrainConfig.from_recipe(recipe)


@pytest.mark.usefixtures("qtbot")
def test_a_recipe_leaves_alone_what_was_said_about_the_labels() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.meaning.field("zero").value = "unlabelled"
    form.network.field("ndim").value = 3
    form.recipe.value = "paper"
    assert form.value.labels.zero == "unlabelled"
    assert form.value.model.ndim == 3
    assert "not labelled" in form.meaning_words.text()


@pytest.mark.usefixtures("qtbot")
def test_another_architecture_brings_the_options_of_its_paper() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.network.field("architecture").value = "unet2015"
    assert form.value.model.upsampling == "transposed"
    assert form.value.model.base == TrainConfig.from_recipe("quick").model.base


def test_every_field_explains_itself(qtbot: QtBot) -> None:
    for config in CONFIGS:
        form = Form(config)
        qtbot.addWidget(form)
        for name in form.settings:
            words = type(config).model_fields[name].description
            assert words
            assert words in form.field(name).widget.toolTip()


def test_what_is_out_of_range_is_said_below_the_form(qtbot: QtBot) -> None:
    form = Form(WeightConfig())
    qtbot.addWidget(form)
    form.field("sigma").value = 0.0  # the box allows it, the config wants more than 0
    with pytest.raises(InputError) as raised:
        _ = form.value
    assert raised.value.code == "U150"
    assert "sigma" in form.error_text
    form.field("sigma").value = 1.0
    assert not form.error_text


@given(st.integers(0, 99_999), st.integers(-8, 2))
def test_a_number_that_can_be_typed_is_shown_exactly(digits: int, exponent: int) -> None:
    value = float(f"{digits}e{exponent}")
    assert float(f"{value:.{decimals(value)}f}") == value


@given(
    st.none()
    | st.integers(-(10**6), 10**6)
    | st.floats(1e-6, 1e6)
    | st.sampled_from(["auto", "cpu", "cuda:1"])
    | st.lists(st.floats(0.1, 10), min_size=1, max_size=3).map(tuple)
)
def test_text_reads_back(value: object) -> None:
    assert from_text(to_text(value)) == value


def test_the_wheel_scrolls_the_dock_and_not_the_value(qtbot: QtBot) -> None:
    form = Form(WeightConfig())
    qtbot.addWidget(form)
    turned = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(0, 120), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(form.field("w0").widget, turned)
    assert form.value == WeightConfig()
