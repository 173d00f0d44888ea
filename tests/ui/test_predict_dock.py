"""Real clicks on Predict, Stop, Resume and Check tiles, with the real engine."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt

from napari_unet.arrays.files import open_picture
from napari_unet.events import TileDone
from napari_unet.inference.model import open_model
from napari_unet.ui import filling

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.predict_dock import PredictDock

pytestmark = pytest.mark.viewer
LONG_MS = 60_000  # of patience; it is a busy machine that needs it


def edges(layer: Any) -> np.ndarray[Any, Any]:
    """Where a layer begins and ends, pixels included: napari counts from centre to centre."""
    return layer.extent.world + np.outer((-0.5, 0.5), layer.scale)


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run_until_under_way(qtbot: QtBot, dock: PredictDock) -> None:
    qtbot.waitUntil(lambda: dock.progress.bar.value() > 0, timeout=LONG_MS)


def stop(qtbot: QtBot, dock: PredictDock) -> None:
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        click(qtbot, dock.progress.stop_button)


def look_at(viewer: napari.Viewer, point: tuple[float, float]) -> None:
    scene = getattr(viewer, "scene", viewer)  # the camera moved there in napari 0.9
    scene.camera.center = point


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
    image = np.random.default_rng(0).random((1200, 1200)).astype(np.float32)
    cells.add_image(image, name="large", scale=(0.5, 0.5))
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
        "cells: uncertainty",
        "cells: loss",
        "cells: probability of background",
        "cells: probability of object",
        "cells: classes",
        "cells: instances",
    ]
    for layer in made:
        assert isinstance(layer.data, np.ndarray)
        assert layer.units == image.units
        np.testing.assert_allclose(edges(layer), edges(image))
    assert not cells.layers["cells: classes"].visible
    objects = cells.layers["cells: instances"].data
    np.testing.assert_array_equal(objects > 0, cells.layers["cells: classes"].data > 0)
    both = [cells.layers[f"cells: probability of {name}"].data for name in ("background", "object")]
    np.testing.assert_allclose(sum(both), 1, atol=1e-5)
    np.testing.assert_array_equal(cells.layers["cells: classes"].data, both[1] > both[0])


def test_a_check_that_is_called_off_leaves_the_prediction_alone(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer
) -> None:
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        click(qtbot, dock.predict_button)
    before = names(cells)
    assert "cells: classes" in before
    asked: list[object] = []
    dock.tile_check.submitted.connect(asked.append)
    dock.check_button.click()
    dock.progress.stop_button.click()  # while the image is still being copied
    assert not dock.job
    assert names(cells) == before
    qtbot.waitUntil(lambda: not dock.tile_check._copying.busy)
    assert not asked


def test_a_stack_keeps_its_axes(qtbot: QtBot, dock: PredictDock, cells: napari.Viewer) -> None:
    stack = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    cells.add_image(stack, name="stack", scale=(4, 2, 2), axis_labels=("t", "y", "x"))
    dock.subject.image.key = cells.layers["stack"].unique_id
    assert dock.subject.axes.axes == "TYX"
    assert "measuring" in dock.cost.text()
    qtbot.waitUntil(lambda: dock.cost.text().startswith("3 tiles"), timeout=LONG_MS)
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    classes = cells.layers["stack: classes"]
    assert classes.data.shape == stack.shape
    assert classes.axis_labels == ("t", "y", "x")
    np.testing.assert_array_equal(classes.scale, (4, 2, 2))


def test_what_was_stopped_goes_on_in_the_same_layers(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer
) -> None:
    dock.form.field("tile").value = "8"
    click(qtbot, dock.predict_button)
    run_until_under_way(qtbot, dock)
    stop(qtbot, dock)
    name = names(cells)[-1]
    assert re.fullmatch(r"cells: classes \(incomplete \d+ %\)", name)
    assert "kept" in dock.message.text()
    layer = cells.layers[name]
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        click(qtbot, dock.resume_button)
    assert cells.layers["cells: classes"] == layer
    total, computed = (int(n) for n in re.findall(r"(\d+) (?:tiles|of them)", dock.message.text()))
    assert 0 < computed < total == 12 * 14
    assert not dock.prediction.unfinished
    kept = zarr.open_group(dock.prediction.job.out, mode="r")
    assert kept.attrs["complete"] is True
    np.testing.assert_array_equal(layer.data, kept["classes"][:])


def test_pause_holds_the_tiles(qtbot: QtBot, slow: PredictDock) -> None:
    click(qtbot, slow.predict_button)
    run_until_under_way(qtbot, slow)
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
    run_until_under_way(qtbot, slow)
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
def test_a_prediction_that_dies_keeps_its_tiles(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer
) -> None:
    dock.form.field("tile").value = "8"
    click(qtbot, dock.predict_button)
    run_until_under_way(qtbot, dock)
    os.kill(dock.engine.pid(dock.job), signal.SIGKILL)
    qtbot.waitUntil(lambda: not dock.job, timeout=5000)
    assert "killed" in dock.message.text()
    assert "Resume" in dock.message.text()
    assert "incomplete" in names(cells)[-1]
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        click(qtbot, dock.resume_button)
    assert names(cells) == ["cells", "drawn", "cells: classes"]


@pytest.mark.parametrize("name", ["kept.zarr", "kept.ome.zarr", "kept.tif"])
def test_a_result_that_is_kept_goes_on_another_day(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer, tmp_path: Path, name: str
) -> None:
    dock.keep.line.setText(str(tmp_path / name))
    dock.form.field("tile").value = "8"
    click(qtbot, dock.predict_button)
    run_until_under_way(qtbot, dock)
    stop(qtbot, dock)
    cells.layers.remove(cells.layers[-1])
    assert not dock.prediction.unfinished
    dock.keep.line.clear()
    unfinished = next(path for path in tmp_path.iterdir() if path.name.endswith(f"{name}.zarr")
                      or path.name == name)  # fmt: skip
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        dock.resume_from(unfinished)
    assert "of them computed now" in dock.message.text()
    shown = cells.layers["cells: classes"].data
    assert isinstance(shown, np.ndarray)
    whole = open_model(dock.subject.model.folder).predict(cells.layers["cells"].data)["classes"]
    np.testing.assert_array_equal(shown, whole)
    if name.endswith(".tif"):
        np.testing.assert_array_equal(open_picture(tmp_path / name, ndim=2).data[:], whole)


@pytest.mark.parametrize("name", ["kept.ome.zarr", "kept.tif", "kept.zarr"])
def test_a_large_result_shows_what_lies_on_disk(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer, tmp_path: Path, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(filling, "SMALL_BYTES", 0)
    dock.keep.line.setText(str(tmp_path / name))
    dock.form.field("tile").value = "16"
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    layer = cells.layers["cells: classes"]
    assert layer.multiscale
    whole = open_model(dock.subject.model.folder).predict(cells.layers["cells"].data)["classes"]
    np.testing.assert_array_equal(layer.data[0][:, :], whole)
    for level in layer.data[1:]:
        assert level.shape == (24, 28)
        np.testing.assert_array_equal(level, whole[2::4, 2::4])
    np.testing.assert_allclose(edges(layer), edges(cells.layers["cells"]))


@pytest.mark.parametrize("kind", ["this slice", "from to"])
def test_a_part_of_a_stack_lies_where_it_belongs(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer, kind: str
) -> None:
    stack = np.random.default_rng(0).random((5, 40, 48)).astype(np.float32)
    cells.add_image(stack, name="stack", scale=(4, 2, 2), translate=(100, 3, 4))
    dock.subject.image.key = cells.layers["stack"].unique_id
    cells.dims.set_point(0, 100 + 4 * 3)
    if kind == "from to":
        dock.region.ranges["T"].first.setValue(3)
        dock.region.ranges["T"].last.setValue(3)
    else:
        dock.region.kind.setCurrentText(kind)
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    layer = cells.layers["stack: classes"]
    assert layer.data.shape == (1, 40, 48)
    np.testing.assert_array_equal(layer.translate, (100 + 4 * 3, 3, 4))
    whole = open_model(dock.subject.model.folder).predict(stack[3])["classes"]
    np.testing.assert_array_equal(layer.data[0], whole)


def test_a_shape_is_filled_and_nothing_else(
    qtbot: QtBot, dock: PredictDock, cells: napari.Viewer
) -> None:
    for name in ("attention", "probabilities", "uncertainty"):
        dock.outputs[name].setChecked(True)
    image = cells.layers["cells"]
    triangle = np.array([[20.0, 30.0], [20.0, 90.0], [70.0, 30.0]])
    cells.add_shapes([triangle], shape_type="polygon", scale=image.scale, translate=image.translate)
    dock.region.kind.setCurrentText("a shape")
    click(qtbot, dock.predict_button)
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        pass
    probable = cells.layers["cells: probability of object"]
    assert probable.data.shape == (51, 61)
    np.testing.assert_allclose(probable.translate, image.translate + image.scale * (20, 30))
    whole = open_model(dock.subject.model.folder).predict(image.data)["probabilities"][1]
    inside = probable.data > 0
    np.testing.assert_allclose(probable.data[inside], whole[20:71, 30:91][inside], atol=1e-5)
    assert 0.45 < inside.mean() < 0.55
    doubt = cells.layers["cells: uncertainty"].data
    np.testing.assert_array_equal(np.isfinite(doubt), inside)
    gate = cells.layers["cells: attention gate1"]
    assert ((edges(gate)[0] <= edges(probable)[0]) & (edges(gate)[1] >= edges(probable)[1])).all()


def test_tiles_come_first_where_one_looks(
    qtbot: QtBot, slow: PredictDock, cells: napari.Viewer
) -> None:
    done = []
    slow.outputs["probabilities"].setChecked(True)
    slow.engine.happened.connect(lambda _, e: done.append(e) if isinstance(e, TileDone) else None)
    look_at(cells, (100.0, 100.0))
    click(qtbot, slow.predict_button)
    run_until_under_way(qtbot, slow)
    near = np.array([tile.start for tile in done])
    assert np.abs(near - 200).max() < 200  # in pixels, of half a micrometre
    look_at(cells, (500.0, 520.0))
    n = len(done)
    qtbot.waitUntil(lambda: len(done) > n + 100, timeout=LONG_MS)
    last = np.array([tile.start for tile in done[-20:]])
    np.testing.assert_allclose(last.mean(axis=0), (1000, 1040), atol=60)
    layer = cells.layers["large: probability of object"]
    qtbot.waitUntil(lambda: layer.data[1000:1008, 1040:1048].all(), timeout=LONG_MS)
    stop(qtbot, slow)


def test_tiles_are_compared_with_one_piece(qtbot: QtBot, dock: PredictDock) -> None:
    dock.form.field("tile").value = "16"
    click(qtbot, dock.check_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.kind == "news", dock.message.text()
    assert "differ by at most" in dock.message.text()
    assert re.search(r"\(looked at 0 to 95, 0 to 111\)", dock.message.text())


def test_what_cannot_be_is_told_before_the_click(
    qtbot: QtBot, dock: PredictDock, tmp_path: Path
) -> None:
    dock.region.kind.setCurrentText("a shape")
    assert "no shape" in dock.predict_button.toolTip()
    assert "no shape" in dock.cost.text()
    dock.region.kind.setCurrentText("all")
    dock.keep.line.setText(str(tmp_path / "result.doc"))
    assert "names no format" in dock.predict_button.toolTip()
    dock.keep.line.clear()
    assert dock.predict_button.isEnabled()
    dock.resume_from(tmp_path)
    assert dock.message.text().startswith("U151: ")


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


def test_closing_the_dock_keeps_what_is_done(
    qtbot: QtBot, slow: PredictDock, cells: napari.Viewer
) -> None:
    click(qtbot, slow.predict_button)
    run_until_under_way(qtbot, slow)
    engine = slow.engine
    slow.parent().destroyOnClose()
    assert not engine.jobs
    assert "incomplete" in names(cells)[-1]
    look_at(cells, (10.0, 10.0))  # nobody listens any more
    qtbot.wait(300)


def test_closing_the_window_ends_the_prediction(qtbot: QtBot, slow: PredictDock) -> None:
    click(qtbot, slow.predict_button)
    run_until_under_way(qtbot, slow)
    # `viewer` closes the window now and checks that nothing is left
