"""Signals in the window: the row that was clicked, and the labels of its samples below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QLabel

from napari_unet.ui.signal_plot import LINES, Curve, SignalPlot, Strip

if TYPE_CHECKING:
    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.signals_dock import SignalsDock


def curves(plot: SignalPlot) -> list[np.ndarray]:
    """The values that are drawn as curves."""
    return [item.yData for item in plot.curves.getPlotItem().listDataItems()]


def strips(plot: SignalPlot) -> np.ndarray:
    """The colours of the strips: (n, X, 4)."""
    return plot._picture.image[::LINES]


@pytest.fixture
def dock(viewer: napari.Viewer, qtbot: QtBot) -> SignalsDock:
    viewer.open_sample("napari-unet-lab", "signals")
    viewer.layers[0].name, viewer.layers[1].name = "signals", "truth"
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Signals")
    dock.image.key = viewer.layers["signals"].unique_id
    qtbot.waitUntil(lambda: bool(curves(dock.plot)))
    return dock


@pytest.mark.viewer
def test_a_row_is_drawn_above_its_labels(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    image, truth = viewer.layers["signals"], viewer.layers["truth"]
    dock.row.value = 7
    qtbot.waitUntil(lambda: np.array_equal(curves(dock.plot)[0], image.data[7].astype(float)))
    expected = (255 * truth.colormap.map(truth.data[7])).astype(np.uint8)
    np.testing.assert_array_equal(strips(dock.plot)[0], expected)


@pytest.mark.viewer
def test_another_image_has_rows_of_its_own(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    dock.row.value = 40
    few = viewer.add_image(np.arange(60.0).reshape(3, 20), name="few")
    dock.image.key = few.unique_id
    assert (dock.row.value, dock.row.max) == (2, 2)
    qtbot.waitUntil(lambda: np.array_equal(curves(dock.plot)[0], few.data[2]))


@pytest.mark.viewer
def test_only_what_is_visible_is_drawn(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    assert len(curves(dock.plot)) == 1  # the other image of the sample is hidden
    viewer.add_image(viewer.layers["signals"].data / 2, name="smoothed")
    viewer.add_labels(viewer.layers["truth"].data, name="predicted")
    qtbot.waitUntil(lambda: len(curves(dock.plot)) == 2 and len(strips(dock.plot)) == 2)
    viewer.layers["truth"].visible = False
    qtbot.waitUntil(lambda: len(strips(dock.plot)) == 1)
    viewer.layers["predicted"].visible = False
    qtbot.waitUntil(lambda: not dock.plot.strips.isVisible())


@pytest.mark.viewer
def test_maps_of_ours_are_no_signals_but_values_are(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    data = viewer.layers["signals"].data
    for mark in ({"map": "border term"}, {"output": "probabilities/1"}, {"output": "values"}):
        viewer.add_image(data * 2, name=str(mark), metadata={"napari-unet-lab": mark})
    offered = [dock.image.itemText(k) for k in range(dock.image.count())]
    assert offered == ["signals", "signals, another image", "{'output': 'values'}"]
    qtbot.waitUntil(lambda: len(curves(dock.plot)) == 2)


@pytest.mark.viewer
def test_a_click_in_the_window_chooses_the_row(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    image, canvas = viewer.layers["signals"], viewer.window._qt_viewer.canvas.native
    with qtbot.waitExposed(viewer.window._qt_window):
        viewer.window._qt_window.show()
    viewer.scene.camera.zoom = 4
    for clicked, row in ((21, 21), (500, 21), (40, 40)):  # there are 64
        viewer.scene.camera.center = image.data_to_world((clicked, 900))
        qtbot.wait(100)  # the canvas takes over the camera when it draws
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
        assert dock.row.value == row


@pytest.mark.viewer
def test_painting_is_seen_at_once(qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer) -> None:
    truth = viewer.layers["truth"]
    before = strips(dock.plot)[0].copy()
    value = 1 + int(truth.data[0, 100] == 1)
    truth.data_setitem((np.array([0]), np.array([100])), value)
    qtbot.waitUntil(lambda: not np.array_equal(strips(dock.plot)[0], before))
    changed = np.flatnonzero((strips(dock.plot)[0] != before).any(axis=1))
    assert list(changed) == [100]


@pytest.mark.viewer
def test_it_goes_below_the_image_and_the_window_stays(
    qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer
) -> None:
    window = viewer.window._qt_window
    window.resize(1200, 900)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.waitUntil(
        lambda: window.dockWidgetArea(dock.parent()) == Qt.DockWidgetArea.BottomDockWidgetArea
    )
    qtbot.waitUntil(dock.plot.strips.isVisible)
    assert window.height() == 900


@pytest.mark.viewer
def test_it_lets_go_of_the_viewer(qtbot: QtBot, dock: SignalsDock, viewer: napari.Viewer) -> None:
    before = len(viewer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: len(viewer.mouse_drag_callbacks) == before - 1)
    offered = dock.image.count()
    viewer.add_image(np.zeros((3, 4)))
    assert dock.image.count() == offered
    viewer.layers["signals"].data = viewer.layers["signals"].data + 1
    qtbot.wait(100)  # nothing listens any more, or nothing breaks


@pytest.mark.viewer
def test_without_signals_nothing_is_drawn(qtbot: QtBot, viewer: napari.Viewer) -> None:
    viewer.add_image(np.zeros((3, 20, 30)))
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-lab", "Signals")
    assert dock.image.key is None
    qtbot.wait(100)
    assert not curves(dock.plot)


@pytest.fixture
def plot(qtbot: QtBot) -> SignalPlot:
    plot = SignalPlot()
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    plot.show()
    return plot


def test_strips_begin_and_end_with_the_curve(plot: SignalPlot) -> None:
    colours = np.zeros((50, 4), np.uint8)
    plot.draw([Curve("a", np.arange(50.0))], [Strip("k", colours)], start=10.0, step=0.5)
    (item,) = plot.curves.getPlotItem().listDataItems()
    assert (item.xData[0], item.xData[-1]) == (10.0, 34.5)
    box = plot._picture.mapRectToView(plot._picture.boundingRect())
    assert (box.left(), box.right()) == (9.75, 34.75)


def test_a_name_is_no_markup(plot: SignalPlot) -> None:
    plot.draw([Curve("a <b> & c", np.arange(50.0))], [], 0.0, 1.0)
    shown = QTextDocument()
    shown.setHtml(plot.findChild(QLabel).text())
    assert shown.toPlainText() == "a <b> & c"


def test_zoom_is_shared_and_survives_another_row(qtbot: QtBot, plot: SignalPlot) -> None:
    colours = np.zeros((500, 4), np.uint8)
    plot.draw([Curve("a", np.arange(500.0))], [Strip("k", colours)], 0.0, 1.0)
    plot.curves.setXRange(100, 200, padding=0)
    plot.draw([Curve("a", np.arange(500.0)[::-1])], [Strip("k", colours)], 0.0, 1.0)
    for part in (plot.curves, plot.strips):
        low, high = part.getPlotItem().viewRange()[0]
        assert (low, high) == pytest.approx((100, 200), abs=5)
    plot.draw([Curve("a", np.arange(900.0))], [], 0.0, 1.0)
    item = plot.curves.getPlotItem()
    qtbot.waitUntil(lambda: item.viewRange()[0][0] <= 0 < 899 <= item.viewRange()[0][1])
