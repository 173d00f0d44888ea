"""A form is its config: what goes in comes out, and what is wrong is said."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    RECIPES,
    REGRESSION,
    AugmentConfig,
    Config,
    InputError,
    LabelConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    PredictConfig,
    TrainConfig,
    WeightConfig,
)
from napari_unet.ui.form import Form, decimals, from_text, to_text, validate
from napari_unet.ui.train_form import TrainForm

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

CONFIGS = (
    ModelConfig(),
    ModelConfig(architecture="unet2015", ndim=3, in_channels=7, classes=5, dropout=0.125),
    ModelConfig(ndim=3, depth=3, kernel=5, halvings=(1, 3, 3), flat=(2, 0, 0)),
    *(
        ModelConfig(architecture=name, variant=variant)
        for name, architecture in ARCHITECTURES.items()
        for variant in architecture.variants
    ),
    LossConfig(squares=True, over="image", alpha=0.4, gamma=0.5, delta=0.1),
    LabelConfig(),
    LabelConfig(kind="regression", ignore=-1),
    LabelConfig(kind="classes", zero="unlabelled", ignore=255, ridge=False),
    WeightConfig(),
    WeightConfig(balance_classes=False, w0=0.0, sigma=0.1, spacing=(0.5, 0.2, 0.2)),
    WeightConfig(spacing=(0.25,)),
    WeightConfig(formula="falk2019", w0=3.0, sigma=2.0, ratio=0.3, sigma_near=7.0),
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
@pytest.mark.parametrize(
    "config",
    [
        TrainConfig.from_recipe("lecture", labels={"kind": "regression"}, loss="huber"),
        TrainConfig.from_recipe("quick", model={"architecture": "attention", "variant": "release"}),
        TrainConfig.from_recipe("robust", model={"ndim": 3, "halvings": (2, 4, 4)}, loss="focal"),
        TrainConfig.from_recipe("quick", weights={"formula": "falk2019", "w0": 7.0}, epochs=3),
    ],
    ids=lambda config: config.recipe,
)
def test_the_form_of_a_training_gives_back_what_it_is_given(config: TrainConfig) -> None:
    assert TrainForm(config).value == config.model_copy(update={"recipe": config.recipe})
    form = TrainForm(TrainConfig.from_recipe("paper"))
    form.recipe.value = config.recipe
    form.value = config
    assert form.value == config


@pytest.mark.usefixtures("qtbot")
def test_a_recipe_leaves_alone_what_was_said_about_the_labels() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.meaning.field("zero").value = "unlabelled"
    form.network.field("ndim").value = 3
    form.recipe.value = "paper"
    assert form.value.labels.zero == "unlabelled"
    assert form.value.model.ndim == 3
    assert "not labelled" in form.meaning_words.text()
    form.labels.field("ignore").value = "x"  # no number
    form.plain.field("seed").value = 7
    form.recipe.value = "robust"
    assert "ignore = 'x'" in form.labels.error_text
    form.labels.field("ignore").value = 255
    assert (form.value.labels.ignore, form.value.seed) == (255, 7)
    assert form.value.optimiser == TrainConfig.from_recipe("robust").optimiser


@pytest.mark.usefixtures("qtbot")
def test_another_architecture_brings_the_options_of_its_paper() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.network.field("architecture").value = "unet2015"
    assert form.value.model.upsampling == "transposed"
    assert form.value.model.base == TrainConfig.from_recipe("quick").model.base


def shown(form: Form) -> set[str]:
    """Name the fields that are not hidden."""
    return {name for name in form.settings if not form.field(name).widget.isHidden()}


@pytest.mark.usefixtures("qtbot")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_shows_the_settings_it_has(name: str) -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.network.field("architecture").value = next(n for n in ARCHITECTURES if n != name)
    form.network.field("architecture").value = name
    architecture = ARCHITECTURES[name]
    assert shown(form.layers) == set(architecture.options)
    assert ("variant" in shown(form.network)) == (len(architecture.variants) > 1)
    for variant in architecture.variants:
        form.network.field("variant").value = variant
        model = form.value.model
        assert (model.architecture, model.variant) == (name, variant)
        paper = ModelConfig(architecture=name, variant=variant)
        assert all(getattr(model, o) == getattr(paper, o) for o in architecture.options)
        assert not form.network.error_text
        assert not form.layers.error_text
    form.network.field("ndim").value = 3
    assert shown(form.layers) == {*architecture.options, "halvings", "flat"}


@pytest.mark.usefixtures("qtbot")
def test_what_was_said_of_axes_ends_with_them() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.network.field("ndim").value = 3
    form.layers.field("halvings").value = (1, 3, 3)
    assert form.value.model.halvings == (1, 3, 3)
    form.network.field("architecture").value = "residual"
    assert form.value.model.halvings == (1, 3, 3)
    form.network.field("ndim").value = 2
    assert form.value.model.halvings is None


@pytest.mark.usefixtures("qtbot")
def test_regression_has_its_own_losses_and_no_border_weights() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.meaning.field("kind").value = "regression"
    assert form.value.loss in REGRESSION
    assert form.value.labels.kind == "regression"
    assert "target" in form.meaning_words.text()
    assert not form.weights.isEnabled()
    assert not form.weights_words.isHidden()
    assert not form.loss.error_text
    with pytest.raises(ValueError, match="choice"):
        form.loss.field("loss").value = "dice"
    form.recipe.value = "robust"
    assert form.value.loss in REGRESSION
    form.meaning.field("kind").value = "classes"
    assert form.value.loss == RECIPES["robust"]["loss"]
    assert form.weights.isEnabled()


@pytest.mark.usefixtures("qtbot")
@pytest.mark.parametrize("loss", [name for name in LOSSES if name not in REGRESSION])
def test_a_loss_shows_the_terms_it_has(loss: str) -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.loss.field("loss").value = loss
    assert form.value.loss == loss
    assert not form.loss.error_text
    assert ("alpha" in shown(form.terms)) == (loss == "tversky")
    assert ("gamma" in shown(form.terms)) == (loss == "focal")
    assert ("squares" in shown(form.terms)) == ("dice" in loss)


@pytest.mark.usefixtures("qtbot")
def test_a_formula_brings_the_numbers_of_its_paper_which_can_be_changed() -> None:
    form = TrainForm(TrainConfig.from_recipe("quick"))
    form.weights.field("formula").value = "falk2019"
    weights = form.value.weights
    assert (weights.w0, weights.sigma, weights.ratio, weights.sigma_near) == (50, 6, 0.1, 10)
    form.weights.field("w0").value = 20.0
    assert form.value.weights.w0 == 20
    assert {"ratio", "sigma_near"} < shown(form.weights)
    form.weights.field("formula").value = "ronneberger2015"
    assert (form.value.weights.w0, form.value.weights.sigma) == (10, 5)
    assert "ratio" not in shown(form.weights)


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


def test_a_refusal_keeps_nothing_alive() -> None:
    class Window:
        """What was at work when a setting was refused."""

    def provoke() -> weakref.ref[Window]:
        window = Window()
        code = ""
        try:
            validate(ModelConfig, {"architecture": "unet", "blocks": 3})
        except InputError as error:
            code = error.code
        assert code == "U151"
        return weakref.ref(window)

    kept = provoke()
    gc.collect()
    assert kept() is None


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


def test_devices_are_offered_and_what_was_chosen_stays(qtbot: QtBot) -> None:
    form = Form(PredictConfig(device="cuda:7"))
    qtbot.addWidget(form)
    field = form.field("device")
    box = field.widget
    assert {box.itemText(i) for i in range(box.count())} == {"auto", "cpu", "cuda:7"}
    field.offer(["auto", "cuda:0", "cpu"], {"cuda:0": "a card", "cpu": "two cores"})
    words = {box.itemText(i) for i in range(box.count())}
    assert words == {"auto", "cuda:0: a card", "cpu: two cores", "cuda:7"}
    assert form.value.device == "cuda:7"
    field.value = "cuda:0"
    field.offer(["auto", "cuda:0", "cpu"], {"cuda:0": "a card", "cpu": "two cores"})
    assert form.value.device == "cuda:0"
    assert box.count() == 3
