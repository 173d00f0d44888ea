"""Real clicks on Compare and Stop, with the real engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_unet.config import ARCHITECTURES, TrainConfig
from napari_unet.library.folders import CARD, read_card
from napari_unet.ui.network_list import NetworkList

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.compare_dock import CompareDock

pytestmark = [pytest.mark.viewer, pytest.mark.timeout(900)]
LONG_MS = 400_000  # only of a hang: the engine yields to all else on a busy machine


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def dock(cells: napari.Viewer) -> CompareDock:
    """The dock with tiny networks that train for an epoch."""
    _, dock = cells.window.add_plugin_dock_widget("napari-unet-lab", "Compare")
    dock.network.field("base").value = 2
    dock.network.field("depth").value = 1
    dock.plain.field("threads").value = 1
    dock.budget.unit.value = "epochs"
    dock.budget.amount.value = 1
    return dock


def test_networks_are_ticked_by_name(qtbot: QtBot) -> None:
    networks = NetworkList(["unet", "attention:release"])
    qtbot.addWidget(networks)
    assert networks.names == ["unet", "attention:release"]
    assert networks.count() == sum(len(a.variants) for a in ARCHITECTURES.values())
    with qtbot.waitSignal(networks.chosen):
        networks.item(0).setCheckState(Qt.CheckState.Checked)
    assert networks.names == ["unet2015", "unet", "attention:release"]


def test_rows_come_one_by_one_and_models_go_to_the_other_docks(
    qtbot: QtBot, dock: CompareDock, cells: napari.Viewer, home: Path
) -> None:
    _, predict = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    dock.networks.names = ["unet", "residual"]
    click(qtbot, dock.run_button)
    assert not dock.run_button.isEnabled()
    qtbot.waitUntil(lambda: len(dock.rows) == 1, timeout=LONG_MS)
    assert dock.table.isVisibleTo(dock)
    assert len(dock.table.table.rows) == 1
    cells.layers.clear()  # the comparison has its own copy
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    folder = home / "cells-comparison"
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    table = dock.table.table
    assert table.columns[:2] == ("network", "dice")
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row.pop("network") for row in shown] == ["unet", "residual, identity"]
    names = {"model", "architecture", "variant"}
    assert shown == [{k: v for k, v in row.items() if k not in names} for row in rows]
    assert "best dice: " in dock.message.text()
    assert str(folder) in dock.message.text()
    assert [read_card(folder / row["model"]).model.base for row in rows] == [2, 2]
    assert predict.subject.model.folder == str(folder / "residual")


def test_a_comparison_that_is_stopped_keeps_its_rows(
    qtbot: QtBot, dock: CompareDock, home: Path
) -> None:
    dock.networks.names = list(ARCHITECTURES)  # however slow the window is: most are left to do
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: bool(dock.rows), timeout=LONG_MS)
    click(qtbot, dock.progress.stop_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.text().startswith("stopped; best dice: ")
    assert 1 <= len(dock.rows) < len(ARCHITECTURES)
    assert len(dock.table.table.rows) == len(dock.rows)
    folder = home / "cells-comparison"
    assert json.loads((folder / "comparison.json").read_text())["rows"] == dock.rows
    assert all((folder / row["model"] / CARD).is_file() for row in dock.rows)
    assert dock.run_button.isEnabled()


def test_values_are_compared_by_their_error(
    qtbot: QtBot, dock: CompareDock, cells: napari.Viewer
) -> None:
    dock.meaning.field("kind").value = "regression"
    dock.networks.names = ["unet"]
    cells.add_image(cells.layers["cells"].data * 2.0, name="brighter", scale=(0.5, 0.5))
    row = dock.material.pairs.rows[0]
    row.image.key = cells.layers["cells"].unique_id
    row.target.key = cells.layers["brighter"].unique_id
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.table.table.columns[:4] == ("network", "mse", "rmse", "mae")
    assert "best mae: unet, " in dock.message.text()


def test_what_cannot_be_compared_is_told(
    qtbot: QtBot, dock: CompareDock, cells: napari.Viewer
) -> None:
    dock.networks.names = []
    assert dock.run_button.toolTip() == "Not now: tick at least one network"
    dock.networks.names = ["unet"]
    assert dock.run_button.isEnabled()
    cells.layers["drawn"].data = 0 * cells.layers["drawn"].data
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.text().startswith("U105: ")
    assert not dock.table.isVisibleTo(dock)
    cells.layers.remove("cells")
    assert dock.run_button.toolTip().startswith("Not now: open an image")


def test_settings_are_those_of_the_recipe_and_the_fields(dock: CompareDock) -> None:
    dock.recipe.value = "robust"
    plain = TrainConfig.from_recipe("robust")
    assert dock.config.model.base == plain.model.base
    assert dock.config.minutes == plain.minutes
    dock.network.field("base").value = 4
    dock.budget.amount.value = 3
    assert (dock.config.model.base, dock.config.minutes) == (4, 3.0)
    assert dock.config.optimiser == plain.optimiser
    assert "2 networks: 6 min" in dock.cost.text()
