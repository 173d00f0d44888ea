"""Real clicks on Predict and Stop, with the real engine."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.predict_dock import PredictDock

pytestmark = pytest.mark.viewer
LONG_MS = 30_000


def edges(layer: Any) -> np.ndarray[Any, Any]:
    """Where a layer begins and ends, pixels included: napari counts from centre to centre."""
    return layer.extent.world + np.outer((-0.5, 0.5), layer.scale)


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def names(viewer: napari.Viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


@pytest.fixture
def dock(cells: napari.Viewer, model: Path) -> PredictDock:
    """The dock with a tiny model."""
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    dock.subject.model.choose(model)
    dock.form.field("threads").value = "1"
    return dock


@pytest.fixture
def slow(dock: PredictDock, cells: napari.Viewer) -> PredictDock:
    """A prediction of thousands of tiles."""
    cells.add_image(np.zeros((1200, 1200), np.float32), name="large", scale=(0.5, 0.5))
    dock.subject.image.key = cells.layers["large"].unique_id
    dock.form.field("tile").value = "8"
    return dock


def test_results_lie_on_the_image(qtbot: QtBot, dock: PredictDock, cells: napari.Viewer) -> None:
    for box in dock.outputs.values():
        box.setChecked(True)
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    image = cells.layers["cells"]
    made = [layer for layer in cells.layers if "napari-unet-lab" in layer.metadata]
    assert names(cells)[2:] == [
        "cells: attention gate1",
        "cells: probability of background",
        "cells: probability of object",
        "cells: classes",
    ]
    for layer in made:
        assert isinstance(layer.data, np.ndarray)
        assert layer.units == image.units
        np.testing.assert_allclose(edges(layer), edges(image))
    both = [cells.layers[f"cells: probability of {name}"].data for name in ("background", "object")]
    np.testing.assert_allclose(sum(both), 1, atol=1e-5)
    np.testing.assert_array_equal(cells.layers["cells: classes"].data, both[1] > both[0])


def test_a_stack_keeps_its_axes(qtbot: QtBot, dock: PredictDock, cells: napari.Viewer) -> None:
    stack = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    cells.add_image(stack, name="stack", scale=(4, 2, 2), axis_labels=("t", "y", "x"))
    dock.subject.image.key = cells.layers["stack"].unique_id
    assert dock.subject.axes.axes == "TYX"
    assert "3 tiles" in dock.cost.text()
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    classes = cells.layers["stack: classes"]
    assert classes.data.shape == stack.shape
    assert classes.axis_labels == ("t", "y", "x")
    np.testing.assert_array_equal(classes.scale, (4, 2, 2))


def test_stop_keeps_the_tiles_that_are_done(
    qtbot: QtBot, slow: PredictDock, cells: napari.Viewer
) -> None:
    click(qtbot, slow.predict_button)
    qtbot.waitUntil(lambda: slow.progress.bar.value() > 0, timeout=LONG_MS)
    assert "large: classes" in names(cells)
    with qtbot.waitSignal(slow.prediction.settled, timeout=LONG_MS):
        click(qtbot, slow.progress.stop_button)
    assert names(cells)[-1].startswith("large: classes (stopped at ")
    assert "kept" in slow.message.text()
    assert slow.predict_button.isEnabled()


def test_pause_holds_the_tiles(qtbot: QtBot, slow: PredictDock) -> None:
    click(qtbot, slow.predict_button)
    qtbot.waitUntil(lambda: slow.progress.bar.value() > 0, timeout=LONG_MS)
    slow.progress.pause_button.click()
    qtbot.wait(300)  # what was under way lands
    held = slow.progress.words.text()
    qtbot.wait(300)
    assert slow.progress.words.text() == held
    slow.progress.pause_button.click()
    qtbot.waitUntil(lambda: slow.progress.words.text() != held, timeout=LONG_MS)
    click(qtbot, slow.progress.stop_button)
    qtbot.waitUntil(lambda: not slow.job, timeout=LONG_MS)


def test_any_layer_may_be_deleted_meanwhile(
    qtbot: QtBot, slow: PredictDock, cells: napari.Viewer
) -> None:
    slow.outputs["probabilities"].setChecked(True)
    click(qtbot, slow.predict_button)
    qtbot.waitUntil(lambda: slow.progress.bar.value() > 0, timeout=LONG_MS)
    cells.layers.remove(cells.layers["large"])
    cells.layers.remove(cells.layers["large: classes"])
    qtbot.wait(400)  # the others are drawn
    cells.layers.clear()
    qtbot.wait(400)
    click(qtbot, slow.progress.stop_button)
    qtbot.waitUntil(lambda: not slow.job, timeout=LONG_MS)
    qtbot.wait(200)
    assert len(cells.layers) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_prediction_that_dies_leaves_no_layer(
    qtbot: QtBot, slow: PredictDock, cells: napari.Viewer
) -> None:
    click(qtbot, slow.predict_button)
    qtbot.waitUntil(lambda: slow.progress.bar.value() > 0, timeout=LONG_MS)
    os.kill(slow.engine.pid(slow.job), signal.SIGKILL)
    qtbot.waitUntil(lambda: not slow.job, timeout=2000)
    assert "killed" in slow.message.text()
    assert names(cells) == ["cells", "drawn", "large"]


def test_a_model_that_was_altered_fails_in_words(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer, model: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(model, tmp_path / "altered")
    weights = tmp_path / "altered" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    dock.subject.model.choose(tmp_path / "altered")
    click(qtbot, dock.predict_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.text().startswith("U141: ")
    assert names(cells) == ["cells", "drawn"]


def test_a_folder_that_is_no_model_is_refused(
    dock: PredictDock, model: Path, tmp_path: Path
) -> None:
    dock.subject.model.choose(tmp_path)
    assert dock.message.text().startswith("U140: ")
    assert dock.subject.model.folder == str(model)


def test_channels_that_do_not_fit_are_told_before_the_click(
    dock: PredictDock, cells: napari.Viewer
) -> None:
    cells.add_image(np.zeros((40, 50, 3), np.uint8), name="colour", rgb=True)
    dock.subject.image.key = cells.layers["colour"].unique_id
    assert not dock.predict_button.isEnabled()
    assert "wants 1 channel" in dock.predict_button.toolTip()


def test_closing_the_window_ends_the_prediction(qtbot: QtBot, slow: PredictDock) -> None:
    click(qtbot, slow.predict_button)
    qtbot.waitUntil(lambda: slow.progress.bar.value() > 0, timeout=LONG_MS)
    # `viewer` closes the window now and checks that nothing is left
