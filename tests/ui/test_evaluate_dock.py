"""The dock Evaluate: two layers, a click, a table, and the errors in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.arrays.samples import membranes
from napari_unet.ui.evaluation import COLOURS

if TYPE_CHECKING:
    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.evaluate_dock import EvaluateDock

pytestmark = pytest.mark.viewer
LONG_MS = 120_000  # of patience; it is a busy machine that needs it


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def evaluate(qtbot: QtBot, dock: EvaluateDock) -> None:
    click(qtbot, dock.evaluate_button)
    qtbot.waitUntil(lambda: dock.evaluate_button.text() == "Evaluate", timeout=LONG_MS)


@pytest.fixture
def dock(cells: napari.Viewer) -> EvaluateDock:
    """The dock, with a prediction that misses object 1 and invents another."""
    truth = cells.layers["drawn"]
    wrong = np.where(truth.data == 1, 0, truth.data)
    wrong[:6, :6] = np.where(truth.data[:6, :6] == 0, truth.data.max() + 1, wrong[:6, :6])
    place = {"scale": truth.scale, "translate": truth.translate, "units": truth.units}
    cells.add_labels(wrong, name="predicted", **place)
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Evaluate")
    return dock


def test_the_last_labels_are_held_against_those_before(
    dock: EvaluateDock, cells: napari.Viewer
) -> None:
    assert dock.find(dock.prediction.key).name == "predicted"
    assert dock.find(dock.truth.key).name == "drawn"
    assert dock.evaluate_button.isEnabled()


def test_layers_that_come_one_by_one_are_told_apart(viewer: napari.Viewer) -> None:
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Evaluate")
    for name, shape in (("truth", (9, 9)), ("other", (5, 5)), ("made", (9, 9))):
        viewer.add_labels(np.ones(shape, np.uint8), name=name)
    assert dock.find(dock.prediction.key).name == "made"
    assert dock.find(dock.truth.key).name == "truth"


def test_errors_lie_on_the_truth_in_their_colours(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    evaluate(qtbot, dock)
    truth, errors = cells.layers["drawn"], cells.layers["predicted: errors"]
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(errors, name), getattr(truth, name))
    assert errors.units == truth.units
    missed = errors.data[truth.data == 1]
    features = errors.features.set_index("index")
    assert features.status[missed[0]] == "missed"
    np.testing.assert_allclose(errors.get_color(int(missed[0])), COLOURS["missed"], atol=1e-6)
    assert sorted(features.status.unique()) == ["extra", "found", "missed"]
    told = dock.legend.text().replace("&nbsp;", " ")
    assert "1 missed" in told
    assert "1 extra" in told
    assert not dock.legend.isHidden()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_row_of_the_table_can_be_read(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer, theme: str
) -> None:
    cells.theme = theme
    evaluate(qtbot, dock)
    table = dock.scores.view
    picture = table.viewport().grab().toImage()
    middles = [
        table.rowViewportPosition(row) + table.rowHeight(row) // 2
        for row in range(table.model().rowCount())
    ]
    seen = [y for y in middles if y < picture.height()]
    assert len(seen) >= 2
    for y in seen:
        row = [picture.pixelColor(x, y).lightness() for x in range(table.columnWidth(0))]
        assert max(row) - min(row) > 100  # the digits stand out
        assert (np.median(row) < 128) == (theme == "dark")


def test_the_layers_of_the_user_stay_as_they_are(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    before = {layer.name: (layer.data.copy(), dict(layer.features)) for layer in cells.layers[1:]}
    evaluate(qtbot, dock)
    for name, (data, features) in before.items():
        np.testing.assert_array_equal(cells.layers[name].data, data)
        assert dict(cells.layers[name].features) == features


def test_a_later_run_replaces_the_errors_of_an_earlier_one(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    evaluate(qtbot, dock)
    first = dock.scores.table
    cells.layers["predicted"].data = cells.layers["drawn"].data
    evaluate(qtbot, dock)
    assert sum("errors" in layer.name for layer in cells.layers) == 1
    (row, *_), (before, *_) = dock.scores.table.rows, first.rows
    at = first.columns.index("f1")
    assert row[at] == 1 > before[at]


def test_a_click_on_an_object_goes_there(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    evaluate(qtbot, dock)
    dock.tabs.setCurrentIndex(1)
    table = dock.objects
    row = next(k for k, cells_ in enumerate(table.table.rows) if cells_[1] == "missed")
    cell = table.view.visualRect(table.view.model().index(row, 1)).center()
    qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    truth = cells.layers["drawn"]
    at = np.argwhere(truth.data == 1)
    middle = (at.min(axis=0) + at.max(axis=0)) / 2
    np.testing.assert_allclose(cells.scene.camera.center[-2:], truth.data_to_world(middle))


def test_a_stack_is_scored_plane_by_plane(qtbot: QtBot, viewer: napari.Viewer) -> None:
    truth = np.zeros((3, 24, 24), np.uint8)
    truth[:, 4:12, 4:12] = 1
    made = truth.copy()
    made[1] = 0
    viewer.add_labels(truth, name="truth")
    viewer.add_labels(made, name="made")
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Evaluate")
    evaluate(qtbot, dock)
    scores = {row[0]: dict(zip(dock.scores.table.columns, row, strict=True)) for row in
              dock.scores.table.rows}  # fmt: skip
    assert [scores[name]["fn"] for name in ("0", "1", "2", "all together")] == [0, 1, 0, 1]
    errors = viewer.layers["made: errors"]
    assert errors.data.shape == truth.shape
    assert list(errors.features.status) == ["found", "missed", "found"]
    qtbot.waitUntil(lambda: dock.objects.view.model().rowCount() == 3)
    dock.objects.picked.emit(1)
    assert viewer.dims.current_step[0] == 1


def test_images_are_compared_as_values(qtbot: QtBot, viewer: napari.Viewer) -> None:
    clean = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    viewer.add_image(clean, name="clean")
    viewer.add_image(clean + 0.5, name="restored")
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Evaluate")
    assert not dock.evaluate_button.isEnabled()  # there are no labels
    dock.form.field("kind").value = "regression"
    assert not dock.form.field("threshold").widget.isEnabled()
    evaluate(qtbot, dock)
    scores = {row[0]: row[1] for row in dock.scores.table.rows}
    assert scores["mae"] == pytest.approx(0.5)
    assert len(viewer.layers) == 2
    assert dock.legend.isHidden()


def test_boundaries_take_probabilities(qtbot: QtBot, viewer: napari.Viewer) -> None:
    _, inside = membranes((48, 48), seed=2)
    viewer.add_labels(inside, name="truth")
    viewer.add_image(0.8 * inside + 0.1, name="probability")
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Evaluate")
    dock.form.field("kind").value = "isbi"
    dock.prediction.key = viewer.layers["probability"].unique_id
    evaluate(qtbot, dock)
    scores = {row[0]: row[1] for row in dock.scores.table.rows}
    assert scores["pixel_error"] == 0
    assert scores["v_rand"] == pytest.approx(1)


def test_what_cannot_be_compared_is_told_in_words(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    cells.add_labels(np.zeros((5, 7), int), name="small")
    dock.prediction.key = cells.layers["small"].unique_id
    assert "5x7 does not match" in dock.evaluate_button.toolTip()
    dock.prediction.key = dock.truth.key
    assert "two different layers" in dock.evaluate_button.toolTip()
    dock.prediction.key = cells.layers["predicted"].unique_id
    dock.form.field("ndim").value = 3
    evaluate(qtbot, dock)
    assert dock.message.text().startswith("U113: ")
    assert dock.message.kind == "error"


def test_layers_in_other_places_are_compared_with_a_doubt(
    qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer
) -> None:
    cells.layers["predicted"].scale = (1, 1)
    evaluate(qtbot, dock)
    assert dock.message.kind == "warning"
    assert "differ in scale" in dock.message.text()
    click(qtbot, dock.evaluate_button)
    click(qtbot, dock.evaluate_button)
    assert (dock.message.text(), dock.message.kind) == ("stopped", "news")


def test_a_run_can_be_stopped(qtbot: QtBot, dock: EvaluateDock, cells: napari.Viewer) -> None:
    before = len(cells.layers)
    click(qtbot, dock.evaluate_button)
    assert dock.evaluate_button.text() == "Stop"
    click(qtbot, dock.evaluate_button)
    assert dock.message.text() == "stopped"
    evaluate(qtbot, dock)
    assert len(cells.layers) == before + 1
