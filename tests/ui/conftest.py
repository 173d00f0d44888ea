"""A viewer that must leave nothing behind, a library of its own, and a tiny model."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.ui.engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.engine import Engine


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of models for this test alone."""
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture(scope="session")
def engine_of_all(qapp: object) -> Iterator[Engine]:
    """The engine of the program, with a process that stays warm from test to test."""
    from qtpy.QtWidgets import QWidget

    user = QWidget()
    engine = engine_for(user)
    yield engine
    engine.leave(user)


@pytest.fixture
def nothing_left(
    qtbot: QtBot, request: pytest.FixtureRequest, engine_of_all: Engine
) -> Iterator[None]:
    """After the viewer is closed: no widget, job, running timer or busy thread."""
    from qtpy.QtCore import QEvent, QProcess, QThreadPool, QTimer
    from qtpy.QtWidgets import QApplication

    application = QApplication.instance()
    before = set(application.topLevelWidgets())
    gc.freeze()  # what is older than the test need not be searched after it
    yield
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0)
    request.node.funcargs.clear()  # what pytest itself still holds
    for _ in range(2):  # what one deletes, the other can collect
        application.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        gc.collect()
    gc.unfreeze()
    left = set(application.topLevelWidgets()) - before
    assert not [w for w in left if type(w).__name__ != "CanvasBackendDesktop"]  # vispy's own
    assert not engine_of_all.jobs
    qtbot.waitUntil(lambda: len(application.findChildren(QProcess)) <= 1)  # some end just now
    assert not [timer for timer in application.findChildren(QTimer) if timer.isActive()]


@pytest.fixture
def viewer(nothing_left: None, make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    """A real window."""
    return make_napari_viewer()


@pytest.fixture
def cells(viewer: napari.Viewer) -> napari.Viewer:
    """A window with a small image of cells and its labels, in micrometres."""
    image, labels = touching_cells((96, 112), seed=3)
    space = {"scale": (0.5, 0.5), "units": ("um", "um"), "translate": (3.0, 4.0)}
    viewer.add_image(image, name="cells", **space)
    viewer.add_labels(labels, name="drawn", **space)
    return viewer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with attention gates, made by the command line."""
    folder = tmp_path_factory.mktemp("models")
    image, labels = touching_cells((64, 64), seed=1)
    np.save(folder / "image.npy", image)
    np.save(folder / "labels.npy", labels)
    words = [sys.executable, "-m", "napari_unet", "train", "--architecture", "attention"]
    words += ["--image", str(folder / "image.npy"), "--labels", str(folder / "labels.npy")]
    words += ["--set", "model.base=2", "--set", "model.depth=2", "--epochs", "0"]
    words += ["--out", str(folder / "tiny")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "tiny"
