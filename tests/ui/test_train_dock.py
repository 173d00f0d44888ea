"""Real clicks on Train, Stop and Resume, with the real engine."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.library.folders import CARD, read_card

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.train_dock import TrainDock

pytestmark = pytest.mark.viewer
LONG_MS = 120_000  # of patience; it is a busy machine that needs it


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def dock(cells: napari.Viewer) -> TrainDock:
    """The dock with a tiny network that would train for very long."""
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Train")
    dock.form.network.field("base").value = 2
    dock.form.network.field("depth").value = 1
    dock.form.plain.field("patch").value = 32
    dock.form.plain.field("batch").value = 2
    dock.form.plain.field("steps_per_epoch").value = 5
    dock.form.plain.field("threads").value = 1
    dock.form.budget.unit.value = "epochs"
    dock.form.budget.amount.value = 100_000
    return dock


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_train_stop_resume_kill_resume_and_stop(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    click(qtbot, dock.train_button)
    assert not dock.train_button.isEnabled()
    qtbot.waitUntil(lambda: len(dock.training.history) >= 2, timeout=LONG_MS)
    cells.layers.clear()  # the training has its own copy
    click(qtbot, dock.progress.stop_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    folder = home / "cells-unet"
    assert read_card(folder).name == "cells-unet"
    assert "kept" in dock.message.text()
    assert dock.resume_button.isVisibleTo(dock)

    seen = len(dock.training.history)
    click(qtbot, dock.resume_button)
    qtbot.waitUntil(lambda: len(dock.training.history) > seen, timeout=LONG_MS)
    assert dock.training.history[-1].step > dock.training.history[0].step
    os.kill(dock.engine.pid(dock.job), signal.SIGKILL)
    qtbot.waitUntil(lambda: not dock.job, timeout=2000)
    assert "killed: probably out of memory" in dock.message.text()
    assert dock.message.kind == "error"

    reached = max(event.step for event in dock.training.history)
    seen = len(dock.training.history)
    click(qtbot, dock.resume_button)
    qtbot.waitUntil(lambda: len(dock.training.history) > seen, timeout=LONG_MS)
    assert dock.training.history[-1].step >= reached
    steps, _ = dock.training.course.validation_losses
    assert len(steps) == len(dock.training.history)
    click(qtbot, dock.progress.stop_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)


def test_a_training_that_ends_makes_a_model_for_the_other_docks(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    _, predict = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    assert not predict.predict_button.isEnabled()
    dock.form.budget.amount.value = 1
    dock.name.clear()
    qtbot.keyClicks(dock.name, "mine")
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert (home / "mine" / CARD).is_file()
    assert "mine is ready" in dock.message.text()
    assert not dock.resume_button.isVisibleTo(dock)
    assert predict.subject.model.folder == str(home / "mine")
    assert predict.predict_button.isEnabled()


def test_a_training_that_fails_says_so_and_loses_nothing(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    cells.layers["drawn"].data = np.zeros_like(cells.layers["drawn"].data)
    before = dock.form.value
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.text().startswith("U105: ")
    assert dock.message.kind == "error"
    assert dock.form.value == before
    assert dock.name.text() == "cells-unet"
    assert dock.train_button.isEnabled()
    assert len(cells.layers) == 2


def test_a_model_that_exists_is_not_written_over(qtbot: QtBot, dock: TrainDock, home: Path) -> None:
    (home / "cells-unet").mkdir(parents=True)
    dock.form.budget.amount.value = 0
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert (home / "cells-unet-2" / CARD).is_file()


def test_weights_are_shown_where_the_labels_are(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    click(qtbot, dock.weights_button)
    qtbot.waitUntil(lambda: len(cells.layers) == 5, timeout=LONG_MS)
    drawn = cells.layers["drawn"]
    total = cells.layers["drawn: total weight"]
    parts = [cells.layers[f"drawn: {name}"].data for name in ("class weights", "border term")]
    np.testing.assert_allclose(total.data, sum(parts), rtol=1e-6)
    np.testing.assert_array_equal(total.scale, drawn.scale)
    np.testing.assert_array_equal(total.translate, drawn.translate)
    assert total.units == drawn.units
    dock.form.weights.field("w0").value = 0.0
    click(qtbot, dock.weights_button)
    qtbot.waitUntil(lambda: not cells.layers["drawn: border term"].data.any(), timeout=LONG_MS)
    assert len(cells.layers) == 5  # the maps were replaced


def test_samples_are_shown_beside_the_image(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    click(qtbot, dock.samples_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    samples = cells.layers["samples: image"]
    assert samples.ndim == 2
    assert samples.units == cells.layers["cells"].units
    assert samples.extent.world[0][1] > cells.layers["cells"].extent.world[1][1]
    assert {"samples: weights", "samples: classes"} <= {layer.name for layer in cells.layers}


def test_what_does_not_match_is_said_before_the_start(
    dock: TrainDock, cells: napari.Viewer
) -> None:
    cells.layers["drawn"].scale = (1, 1)
    dock.reset_choices()
    assert "another scale" in dock.material.doubts.text()
    assert dock.train_button.isEnabled()
    cells.layers["drawn"].data = np.zeros((112, 96), int)
    dock.reset_choices()
    assert "U102" in dock.material.doubts.text()
    assert "transpose" in dock.material.doubts.text()
    assert not dock.train_button.isEnabled()
    assert "transpose" in dock.train_button.toolTip()


def test_pairs_are_added_and_taken_out(qtbot: QtBot, dock: TrainDock) -> None:
    click(qtbot, dock.material.pairs.add_button)
    assert len(dock.material.pairs.keys) == 2
    click(qtbot, dock.material.pairs.rows[1].remove_button)
    assert len(dock.material.pairs.keys) == 1


def test_closing_the_dock_ends_its_training(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: dock.going.isVisibleTo(dock), timeout=LONG_MS)
    cells.window.remove_dock_widget(dock)  # `viewer` checks that no process is left


def test_several_layers_are_the_channels_of_one_image(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    first = cells.layers["cells"]
    cells.add_image(first.data[::-1].copy(), name="stain", scale=first.scale)
    row = dock.material.pairs.rows[0]
    row.image.key = first.unique_id
    click(qtbot, row.image.more_button)
    assert dock.material.pairs.channels == [(first.unique_id, cells.layers["stain"].unique_id)]
    dock.form.budget.amount.value = 0
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert read_card(home / "cells-unet").model.in_channels == 2

    _, predict = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    predict.subject.model.choose(home / "cells-unet")
    predict.subject.image.key = first.unique_id
    assert "wants 2 channel(s)" in predict.predict_button.toolTip()
    click(qtbot, predict.subject.image.more_button)
    click(qtbot, predict.predict_button)
    with qtbot.waitSignal(predict.prediction.settled, timeout=LONG_MS):
        pass
    assert cells.layers["cells: classes"].data.shape == first.data.shape

    cells.layers["stain"].data = first.data[:-1]
    dock.reset_choices()
    assert "U102: channel" in dock.material.doubts.text()
    cells.layers.remove("stain")  # the box takes what is left
    assert dock.train_button.toolTip() == "Not now: choose another layer for each channel"
    assert "another layer for each channel" in predict.predict_button.toolTip()


def test_an_image_can_be_the_target(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    image = cells.layers["cells"]
    clean = np.asarray(image.data, np.float32) * 3 + 10
    cells.add_image(clean, name="clean", scale=image.scale, translate=image.translate)
    dock.form.meaning.field("kind").value = "regression"
    row = dock.material.pairs.rows[0]
    row.image.key, row.target.key = image.unique_id, cells.layers["clean"].unique_id
    assert dock.material.pairs.keys == [(image.unique_id, cells.layers["clean"].unique_id)]
    assert "every pixel counts the same" in dock.weights_button.toolTip()
    row.target.key = image.unique_id  # no image is its own target
    assert dock.material.pairs.keys == []
    assert not dock.train_button.isEnabled()
    row.target.key = cells.layers["clean"].unique_id
    dock.form.budget.amount.value = 1
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert read_card(home / "cells-unet").kind == "regression", dock.message.text()

    _, predict = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    predict.subject.model.choose(home / "cells-unet")
    predict.subject.image.key = image.unique_id
    assert predict.outputs["values"].isChecked()
    assert predict.outputs["classes"].isHidden()
    click(qtbot, predict.predict_button)
    with qtbot.waitSignal(predict.prediction.settled, timeout=LONG_MS):
        pass
    (made,) = [layer for layer in cells.layers if "values" in layer.name]
    assert made.data.shape == image.data.shape
    assert abs(float(made.data.mean()) - float(clean.mean())) < float(clean.std())
