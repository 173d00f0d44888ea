"""Gates, weights, plans and the grid, with real clicks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.inspect_dock import InspectDock

pytestmark = pytest.mark.viewer
LONG_MS = 120_000  # of patience; it is a busy machine that needs it


def edges(layer: Any) -> np.ndarray[Any, Any]:
    """Where a layer begins and ends, pixels included: napari counts from centre to centre."""
    return layer.extent.world + np.outer((-0.5, 0.5), layer.scale)


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def dock(cells: napari.Viewer, model: Path) -> InspectDock:
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Inspect")
    dock.subject.model.choose(model)
    return dock


def test_gates_lie_on_the_image_in_the_chosen_colours(
    qtbot: QtBot, dock: InspectDock, cells: napari.Viewer
) -> None:
    dock.colormap.value = "magma"
    with qtbot.waitSignal(dock.prediction.settled, timeout=LONG_MS):
        click(qtbot, dock.gates_button)
    gates = [layer for layer in cells.layers if "attention" in layer.name]
    assert gates
    for gate in gates:
        assert gate.colormap.name == "magma"
        assert gate.units == cells.layers["cells"].units
        np.testing.assert_allclose(edges(gate), edges(cells.layers["cells"]))
        assert 0 <= gate.data.min() <= gate.data.max() <= 1
    dock.opacity.value = 0.25
    assert all(gate.opacity == 0.25 for gate in gates)


def test_weight_maps_follow_the_sliders(
    qtbot: QtBot, dock: InspectDock, cells: napari.Viewer
) -> None:
    dock.live.click()
    qtbot.waitUntil(lambda: "drawn: border term" in cells.layers, timeout=LONG_MS)
    border = cells.layers["drawn: border term"]
    before = border.data.sum()
    dock.sigma.value = 12
    qtbot.waitUntil(lambda: border.data.sum() > before, timeout=LONG_MS)
    assert sum("border term" in layer.name for layer in cells.layers) == 1
    before = border.data.copy()
    cells.layers["drawn"].paint((50, 60), 77)
    qtbot.waitUntil(lambda: not np.array_equal(border.data, before), timeout=LONG_MS)
    cells.layers.remove(cells.layers["drawn"])
    assert dock.labels.key is None
    assert dock.message.text() == "choose labels to weigh"


def test_a_map_that_is_deleted_ends_the_weighing(
    qtbot: QtBot, dock: InspectDock, cells: napari.Viewer
) -> None:
    dock.live.click()
    qtbot.waitUntil(lambda: "drawn: total weight" in cells.layers, timeout=LONG_MS)
    cells.layers.remove("drawn: total weight")
    dock.w0.value = 3
    qtbot.waitUntil(lambda: not dock.live.isChecked(), timeout=LONG_MS)
    assert "drawn: total weight" not in cells.layers


def test_the_plan_is_drawn_once(qtbot: QtBot, dock: InspectDock, cells: napari.Viewer) -> None:
    dock.tile.value = 64
    click(qtbot, dock.plan_button)
    dock.tile.value = 32
    click(qtbot, dock.plan_button)
    (plan,) = [layer for layer in cells.layers if "tiles" in layer.name]
    assert plan.nshapes == 3 * 4 + 1
    assert "orange" in dock.message.text()


def test_side_by_side_shows_what_was_hidden(
    qtbot: QtBot, dock: InspectDock, cells: napari.Viewer
) -> None:
    dock.live.click()
    qtbot.waitUntil(lambda: "drawn: border term" in cells.layers, timeout=LONG_MS)
    dock.live.click()
    before = [layer.visible for layer in cells.layers]
    assert not all(before)
    dock.grid.setChecked(True)
    assert cells.canvas.grid.enabled
    assert all(layer.visible for layer in cells.layers)
    dock.grid.setChecked(False)
    assert not cells.canvas.grid.enabled
    assert [layer.visible for layer in cells.layers] == before
