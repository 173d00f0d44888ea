"""The docks open fast, know no torch, and go without a trace."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QScrollBar,
    QTabBar,
    QTableView,
    QWidget,
)
from superqt import QCollapsible

if TYPE_CHECKING:
    import napari
    from pytestqt.qtbot import QtBot

DOCKS = ("Train", "Predict", "Inspect", "Evaluate", "Compare", "Signals")
SAMPLES = ("cells", "nuclei", "membranes", "signals")
PLUGIN = "napari-unet-lab"
OPEN = """
import sys, napari, numpy
viewer = napari.Viewer(show=False)
viewer.add_image(numpy.zeros((64, 64)))
viewer.add_labels(numpy.zeros((64, 64), int))
for name in sys.argv[1:]:
    viewer.window.add_plugin_dock_widget("napari-unet-lab", name)
assert "torch" not in sys.modules
viewer.close()
"""


def test_the_room_imports_neither_torch_nor_qt() -> None:
    words = "import sys, napari_unet.ui; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "napari", "qtpy", "PyQt6", "PySide6"}


@pytest.mark.viewer
def test_docks_open_without_torch() -> None:
    words = [sys.executable, "-c", OPEN, *DOCKS]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "QThread" not in done.stderr
    assert "QProcess" not in done.stderr


@pytest.mark.viewer
@pytest.mark.parametrize("name", DOCKS)
def test_a_dock_goes_without_a_trace(cells: napari.Viewer, qtbot: QtBot, name: str) -> None:
    dock, widget = cells.window.add_plugin_dock_widget(PLUGIN, name)
    assert widget.minimumSizeHint().width() <= 420
    cells.layers[0].name = "renamed"
    dock.destroyOnClose()
    cells.layers.clear()  # nothing listens any more, or nothing breaks
    qtbot.wait(10)


@pytest.mark.viewer
def test_docks_offer_the_devices_that_the_engine_found(viewer: napari.Viewer, qtbot: QtBot) -> None:
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    qtbot.waitUntil(lambda: bool(train.engine.devices), timeout=30_000)
    forms = {"Train": lambda dock: dock.form.plain, "Predict": lambda dock: dock.form}
    for name, form in forms.items():
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, name)
        box = form(dock).field("device").widget
        words = [box.itemText(i) for i in range(box.count())]
        assert {word.split(": ")[0] for word in words} == {"auto", *train.engine.devices}
        assert any(word.startswith("cpu: ") and "cores" in word for word in words)


@pytest.mark.viewer
def test_docks_say_why_nothing_can_be_done(viewer: napari.Viewer) -> None:
    buttons = {
        "Train": "train", "Predict": "predict", "Inspect": "gates", "Evaluate": "evaluate",
        "Compare": "run",
    }  # fmt: skip
    for name, button in buttons.items():
        _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
        box = getattr(widget, f"{button}_button")
        assert not box.isEnabled()
        assert box.toolTip().startswith("Not now: ")


@pytest.mark.viewer
@pytest.mark.parametrize("name", DOCKS)
def test_every_field_explains_itself(cells: napari.Viewer, name: str) -> None:
    _, dock = cells.window.add_plugin_dock_widget(PLUGIN, name)
    kinds = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QListWidget)
    fields = [part for kind in kinds for part in dock.findChildren(kind) if not is_inner(part)]
    assert fields
    silent = [field for field in fields if not explained(field, dock)]
    assert not [(type(field).__name__, type(field.parent()).__name__) for field in silent]


def is_inner(part: QWidget) -> bool:
    """Whether it is a scroll bar, the arrow of a fold, or what Qt itself puts in a window."""
    return isinstance(part, QScrollBar) or isinstance(
        part.parent(), QCollapsible | QTableView | QTabBar
    )


def explained(part: QWidget, dock: QWidget) -> bool:
    """Whether a part, or what it is a part of, has a tooltip."""
    return part is not dock and (bool(part.toolTip()) or explained(part.parentWidget(), dock))


def test_the_manifest_names_what_exists() -> None:
    manifest = PluginManifest.from_distribution(PLUGIN)
    manifest.validate_imports()
    found = manifest.contributions
    assert [widget.display_name for widget in found.widgets] == list(DOCKS)
    assert {sample.key for sample in found.sample_data} == set(SAMPLES)
    from napari._app_model.constants._menus import MenuId  # there is no public list

    assert set(found.menus) <= {str(menu) for menu in MenuId.contributables()}


@pytest.mark.viewer
@pytest.mark.parametrize("key", SAMPLES)
def test_samples_open_as_image_and_labels(viewer: napari.Viewer, key: str) -> None:
    image, labels, unseen = viewer.open_sample(PLUGIN, key)
    assert unseen.data.shape == image.data.shape
    assert not np.array_equal(unseen.data, image.data)
    assert type(image).__name__ == "Image"
    assert type(labels).__name__ == "Labels"
    assert image.data.shape == labels.data.shape
    assert image.units == labels.units
    assert (image.scale == labels.scale).all()
