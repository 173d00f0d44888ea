"""What labels are is found out and said; what classes are called and coloured is kept."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.events import Noted
from napari_unet.library.folders import read_card
from tests.ui.test_train_dock import LONG_MS, click, dock

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.train_dock import TrainDock

__all__ = ["dock"]  # the fixture
pytestmark = pytest.mark.viewer
COLOURS = {1: "#123456", 2: "#fedcba"}


@pytest.mark.parametrize(("kind", "classes"), [("instances", 2), ("classes", 3)])
def test_labels_are_read_as_what_they_look_like(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path, kind: str, classes: int
) -> None:
    drawn = cells.layers["drawn"]
    if kind == "classes":
        drawn.data = two_classes(drawn.data.shape)
    said: list[str] = []
    dock.engine.happened.connect(
        lambda _job, e: said.append(e.text if isinstance(e, Noted) else "")
    )
    assert dock.form.kind == "auto"
    assert "found out and said" in dock.form.meaning_words.text()
    dock.form.budget.amount.value = 0
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    card = read_card(home / "cells-unet")
    assert (card.kind, len(card.classes)) == (kind, classes)
    assert dock.watching.live.kind == kind
    assert any(kind in words for words in said), said


def test_a_tuned_model_predicts_in_the_names_and_colours_of_its_parent(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path, tmp_path: Path
) -> None:
    drawn = cells.layers["drawn"]
    drawn.data = two_classes(drawn.data.shape)
    dock.parent_model.choose(named_model(cells, tmp_path))
    dock.form.budget.amount.value = 0
    click(qtbot, dock.train_button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)

    _, predict = cells.window.add_plugin_dock_widget("napari-unet-lab", "Predict")
    predict.subject.model.choose(home / "cells-unet")
    assert "Fine-tuned from named (" in predict.subject.model.words.text()
    predict.outputs["probabilities"].setChecked(True)
    click(qtbot, predict.predict_button)
    with qtbot.waitSignal(predict.prediction.settled, timeout=LONG_MS):
        pass
    made = cells.layers["cells: classes"]
    assert list(made.features["class"]) == ["background", "nucleus", "debris"]
    for value, colour in COLOURS.items():
        wanted = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        np.testing.assert_allclose(made.get_color(value)[:3], wanted, atol=1 / 255)
    assert "cells: probability of debris" in cells.layers


def two_classes(shape: tuple[int, ...]) -> np.ndarray:
    """Draw squares of two kinds, in turns."""
    y, x = np.indices(shape) // 8
    return np.where((y % 2) & (x % 2), 1 + (y // 2 + x // 2) % 2, 0)


def named_model(viewer: napari.Viewer, folder: Path) -> Path:
    """Make a model by the command line whose classes have names and colours."""
    words = [sys.executable, "-m", "napari_unet", "train", "--out", str(folder / "named")]
    for name, flag in (("cells", "--image"), ("drawn", "--labels")):
        np.save(folder / f"{name}.npy", viewer.layers[name].data)
        words += [flag, str(folder / f"{name}.npy")]
    for value, name in ((1, "nucleus"), (2, "debris")):
        words += ["--class", f"{value}={name}:{COLOURS[value]}"]
    words += ["--set", "model.base=2", "--set", "model.depth=1", "--epochs", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "named"
