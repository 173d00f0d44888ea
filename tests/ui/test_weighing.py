"""The weights that are shown follow the settings and what is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_unet.config import LabelConfig, WeightConfig
from napari_unet.targets.weights import weight_map
from napari_unet.ui.weighing import Weighing, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari
    from numpy.typing import NDArray
    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.viewer
LONG_MS = 120_000  # of patience; it is a busy machine that needs it
AS_DRAWN = LabelConfig(kind="instances", ridge=False)
PLAIN = WeightConfig(balance_classes=False)


@pytest.fixture
def weighing(cells: napari.Viewer, qtbot: QtBot) -> Iterator[Weighing]:
    """The weights of the labels in the window, shown."""
    parent = QWidget()
    weighing = Weighing(cells, parent)
    weighing.want(Wish((cells.layers["drawn"].unique_id,), "YX", 2, AS_DRAWN, PLAIN))
    assert len(cells.layers) == 2  # nothing is shown that was not asked for
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        weighing.show()
    yield weighing
    weighing.stop()
    parent.deleteLater()


def border(labels: NDArray[Any], config: WeightConfig = PLAIN) -> NDArray[np.float32]:
    return weight_map(labels, config.w0, config.sigma, config.where).border


def shown(viewer: napari.Viewer) -> NDArray[np.float32]:
    return np.asarray(viewer.layers["drawn: border term"].data)


def test_a_setting_that_changes_changes_the_layers(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    drawn = cells.layers["drawn"]
    np.testing.assert_array_equal(shown(cells), border(drawn.data))
    layers = list(cells.layers)
    for changed in (PLAIN.model_copy(update={"sigma": 9.0}), PLAIN.model_copy(update={"w0": 3.0})):
        with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
            weighing.want(Wish((drawn.unique_id,), "YX", 2, AS_DRAWN, changed))
        np.testing.assert_array_equal(shown(cells), border(drawn.data, changed))
    assert list(cells.layers) == layers


def test_strokes_are_followed_and_undone_ones_too(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    drawn = cells.layers["drawn"]
    before = shown(cells).copy()
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        drawn.selected_label = 77
        drawn.paint((50, 60), 77)
    np.testing.assert_array_equal(shown(cells), border(drawn.data))
    assert (shown(cells) != before).any()
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        drawn.undo()
    np.testing.assert_array_equal(shown(cells), before)
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        drawn.data = np.roll(drawn.data, 9)
    np.testing.assert_array_equal(shown(cells), border(drawn.data))


def test_the_newest_wish_is_shown_last(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    key = cells.layers["drawn"].unique_id
    wishes = [PLAIN.model_copy(update={"w0": float(k)}) for k in (1, 2, 7)]
    for wish in wishes:
        weighing.want(Wish((key,), "YX", 2, AS_DRAWN, wish))
        weighing.show()  # without waiting for the one before
    expected = border(cells.layers["drawn"].data, wishes[-1])
    qtbot.waitUntil(lambda: np.array_equal(shown(cells), expected), timeout=LONG_MS)


def test_the_ignored_area_comes_and_goes(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    wish = Wish((cells.layers["drawn"].unique_id,), "YX", 2, AS_DRAWN, PLAIN)
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        unlabelled = AS_DRAWN.model_copy(update={"zero": "unlabelled"})
        weighing.want(replace(wish, labels=unlabelled))
    drawn = np.asarray(cells.layers["drawn"].data)
    np.testing.assert_array_equal(cells.layers["drawn: ignored"].data, drawn == 0)
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        weighing.want(wish)
    assert "drawn: ignored" not in cells.layers


def test_a_map_that_is_deleted_ends_it(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    cells.layers.remove(cells.layers["drawn: total weight"])
    cells.layers["drawn"].paint((50, 60), 77)
    qtbot.waitUntil(lambda: not weighing.live, timeout=LONG_MS)
    assert "drawn: total weight" not in cells.layers
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        weighing.show()
    assert weighing.live
    assert "drawn: total weight" in cells.layers


def test_labels_that_cannot_be_weighed_are_told_and_weighed_once_they_can(
    qtbot: QtBot, weighing: Weighing, cells: napari.Viewer
) -> None:
    drawn = cells.layers["drawn"]
    whole = drawn.data.copy()
    with qtbot.waitSignal(weighing.failed, timeout=LONG_MS) as failed:
        drawn.data = np.zeros_like(whole)
    assert failed.args[0].code == "U105"
    with qtbot.waitSignal(weighing.weighed, timeout=LONG_MS):
        drawn.data = whole
    np.testing.assert_array_equal(shown(cells), border(whole))
