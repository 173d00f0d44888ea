"""A training is watched, paused, corrected and goes on: real clicks, the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.config import LabelConfig
from napari_unet.ui.correcting import Grid, take_over
from napari_unet.ui.results import MARK
from napari_unet.ui.showing import find_marked
from tests.ui.test_train_dock import LONG_MS, click, dock

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.train_dock import TrainDock

__all__ = ["dock"]  # the fixture
pytestmark = pytest.mark.viewer
LIVE = {"live": "view"}


def live(viewer: napari.Viewer) -> Layer | None:
    """Return the live view once there is an answer in it."""
    layer = find_marked(viewer, LIVE)
    return layer if layer is not None and layer.data.size > 1 else None


def pause(qtbot: QtBot, dock: TrainDock) -> int:
    """Hold the training; return the step at which it rests."""
    steps: list[int] = []
    dock.engine.happened.connect(lambda _job, e: steps.append(getattr(e, "step", 0)))
    click(qtbot, dock.progress.pause_button)
    quiet = [-1]

    def rests() -> bool:
        before, quiet[0] = quiet[0], len(steps)
        return before == quiet[0]

    qtbot.waitUntil(rests, timeout=LONG_MS)
    return max(steps, default=0)


@pytest.fixture
def training(qtbot: QtBot, dock: TrainDock, cells: napari.Viewer) -> TrainDock:
    """The dock while its training runs, with the live view on the screen."""
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: live(cells) is not None, timeout=LONG_MS)
    yield dock
    if dock.job:
        click(qtbot, dock.progress.stop_button)
        qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)


def test_the_live_view_lies_on_the_image_and_goes_with_the_training(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer
) -> None:
    image = cells.layers["cells"]
    shown = live(cells)
    np.testing.assert_array_equal(shown.extent.world, image.extent.world)  # it is small
    assert set(np.unique(shown.data)) <= {0, 1}
    training.watching.view.setChecked(False)
    assert live(cells) is None
    training.watching.view.setChecked(True)
    qtbot.waitUntil(lambda: live(cells) is not None, timeout=LONG_MS)
    click(qtbot, training.progress.stop_button)
    qtbot.waitUntil(lambda: not training.job, timeout=LONG_MS)
    assert live(cells) is None
    assert not training.watching.isVisibleTo(training)


def test_the_live_view_becomes_a_layer_with_the_click(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    click(qtbot, dock.train_button)
    layer = find_marked(cells, LIVE)
    assert not layer.data.any()
    qtbot.waitUntil(lambda: live(cells) is not None, timeout=LONG_MS)
    assert live(cells) is layer
    click(qtbot, dock.progress.stop_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert find_marked(cells, LIVE) is None


def test_labels_that_are_painted_in_a_pause_are_learned(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer
) -> None:
    pause(qtbot, training)
    before = training.training.order.pairs
    cells.layers["drawn"].paint((40, 40), 77)
    click(qtbot, training.progress.pause_button)
    qtbot.waitUntil(lambda: "corrected pixels" in training.message.text(), timeout=LONG_MS)
    (image, labels), (old_image, old_labels) = training.training.order.pairs[0], before[0]
    assert image == old_image
    assert labels != old_labels
    seen = len(training.training.history)
    qtbot.waitUntil(lambda: len(training.training.history) > seen, timeout=LONG_MS)


def test_what_is_painted_over_the_live_view_becomes_a_label(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer
) -> None:
    pause(qtbot, training)
    drawn, shown = cells.layers["drawn"], live(cells)
    before, largest = drawn.data.copy(), int(drawn.data.max())
    spot = np.zeros(shown.data.shape, bool)
    spot[5:9, 5:9] = True
    shown.data_setitem(np.nonzero(spot), 1 - shown.data[spot])
    changed = shown.data.copy()
    click(qtbot, training.progress.pause_button)
    qtbot.waitUntil(lambda: "corrected pixels" in training.message.text(), timeout=LONG_MS)
    np.testing.assert_array_equal(drawn.data[~spot], before[~spot])
    np.testing.assert_array_equal(drawn.data[spot] > largest, changed[spot] > 0)
    drawn.undo()
    np.testing.assert_array_equal(drawn.data, before)


@pytest.mark.parametrize("way", ["stop", "switch off"])
def test_what_is_painted_over_a_live_view_that_goes_stays_in_the_labels(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer, way: str
) -> None:
    pause(qtbot, training)
    drawn, shown = cells.layers["drawn"], live(cells)
    before, spot = drawn.data.copy(), np.zeros(shown.data.shape, bool)
    spot[5:9, 5:9] = True
    shown.data_setitem(np.nonzero(spot), 1 - shown.data[spot])
    changed = shown.data.copy()
    if way == "stop":
        click(qtbot, training.progress.stop_button)
        qtbot.waitUntil(lambda: not training.job, timeout=LONG_MS)
    else:
        training.watching.view.setChecked(False)
    assert live(cells) is None
    np.testing.assert_array_equal(drawn.data[~spot], before[~spot])
    np.testing.assert_array_equal(drawn.data[spot] > before.max(), changed[spot] > 0)


def test_a_pause_without_painting_corrects_nothing(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer
) -> None:
    pause(qtbot, training)
    order = training.training.order
    click(qtbot, training.progress.pause_button)
    seen = len(training.training.history)
    qtbot.waitUntil(lambda: len(training.training.history) > seen, timeout=LONG_MS)
    assert training.training.order == order


def test_a_training_goes_on_where_corrected_labels_cannot_be_handed_over(
    qtbot: QtBot, training: TrainDock
) -> None:
    pause(qtbot, training)
    job, seen = training.job, len(training.training.history)
    training.training.refused.emit(OSError("no space left on device"))
    assert training.message.kind == "error"
    qtbot.waitUntil(lambda: len(training.training.history) > seen, timeout=LONG_MS)
    assert training.job == job


def test_loss_and_places_of_doubt_are_shown_also_in_a_pause(
    qtbot: QtBot, training: TrainDock, cells: napari.Viewer
) -> None:
    pause(qtbot, training)
    marked = cells.layers["cells"].extent.world
    click(qtbot, training.watching.loss_button)
    qtbot.waitUntil(lambda: _of(cells, "loss") != [], timeout=LONG_MS)
    (loss, *_) = _of(cells, "loss")
    assert np.isfinite(loss.data).any()
    assert (loss.extent.world[0] >= marked[0]).all()
    assert (loss.extent.world[1] <= marked[1]).all()
    click(qtbot, training.watching.next_button)
    qtbot.waitUntil(lambda: _of(cells, "next") != [], timeout=LONG_MS)
    (points,) = _of(cells, "next")
    assert len(points.data) == len(points.features["doubt"])
    first = points.data_to_world(points.data[0])
    np.testing.assert_allclose(cells.scene.camera.center[-2:], first[-2:])
    click(qtbot, training.watching.next_button)
    if len(points.data) > 1:
        second = points.data_to_world(points.data[1])
        np.testing.assert_allclose(cells.scene.camera.center[-2:], second[-2:])
    for _ in points.data[2:]:
        click(qtbot, training.watching.next_button)
    points.features = points.features.assign(doubt=-1.0)
    click(qtbot, training.watching.next_button)  # there is no next one: they are looked for anew
    qtbot.waitUntil(lambda: (points.features["doubt"] >= 0).all(), timeout=LONG_MS)
    assert _of(cells, "next") == [points]


def _of(viewer: napari.Viewer, what: str) -> list[Any]:
    marks = [(layer, layer.metadata.get(MARK, {})) for layer in viewer.layers]
    return [layer for layer, mark in marks if mark.get("live") == what]


@pytest.mark.parametrize("stride", [(1.0, 1.0), (2.0, 3.0), (1.7, 0.4), (0.3, 0.6)])
@pytest.mark.parametrize("start", [(10.0, 20.0), (10.4, 20.9)])
def test_each_pixel_of_the_labels_takes_what_is_painted_on_its_centre(
    cells: napari.Viewer, stride: tuple[float, float], start: tuple[float, float]
) -> None:
    labels = cells.layers["drawn"]
    before = labels.data.copy()
    shown = np.full((9, 11), 2)
    painted = shown.copy()
    painted[2:4, 3:8] = 3
    painted[6, 1] = 0
    grid, config = Grid(start, stride), LabelConfig(kind="classes")
    n = take_over(labels, painted, shown, grid, config)
    found = labels.data.copy()
    for y, x in np.ndindex(before.shape):
        k = [int((p + 0.5 - a) // s) for p, a, s in zip((y, x), start, stride, strict=True)]
        inside = 0 <= k[0] < 9 and 0 <= k[1] < 11
        if inside and (painted[*k] != shown[*k] or min(stride) >= 1):
            assert found[y, x] == (painted[*k] if painted[*k] != 2 else before[y, x])
    for k in zip(*np.nonzero(painted != shown), strict=True):  # nothing painted is lost
        y, x = (int(a + (i + 0.5) * s) for i, a, s in zip(k, start, stride, strict=True))
        assert found[y, x] in {3, 0}
    assert n >= (found != before).sum() > 0
    assert take_over(labels, painted, painted, grid, config) == 0
    labels.undo()
    np.testing.assert_array_equal(labels.data, before)


def test_what_is_painted_at_the_edge_stays_in_the_labels(cells: napari.Viewer) -> None:
    labels = cells.layers["drawn"]
    shown = np.zeros((48, 56), int)
    grid = Grid((0.0, 0.0), (2.0, 2.0))
    assert take_over(labels, shown + 5, shown, grid, LabelConfig(kind="classes")) == 96 * 112
    assert (labels.data == 5).all()


def test_what_is_painted_over_a_coarser_live_view_becomes_a_label(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer
) -> None:
    dock.form.plain.field("spacing").value = (1.0, 1.0)  # twice the pixels of the image
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: live(cells) is not None, timeout=LONG_MS)
    pause(qtbot, dock)
    drawn, shown = cells.layers["drawn"], live(cells)
    assert shown.data.shape == (48, 56)
    before = drawn.data.copy()
    shown.data_setitem(tuple(map(np.ravel, np.mgrid[5:9, 5:9])), 1 - shown.data[5:9, 5:9].ravel())
    painted = shown.data.copy()
    click(qtbot, dock.progress.pause_button)
    qtbot.waitUntil(lambda: "corrected pixels" in dock.message.text(), timeout=LONG_MS)
    spot = np.zeros(before.shape, bool)
    spot[10:18, 10:18] = True
    np.testing.assert_array_equal(drawn.data[~spot], before[~spot])
    finer = painted.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(drawn.data[spot] > before.max(), finer[spot] > 0)
    click(qtbot, dock.progress.stop_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
