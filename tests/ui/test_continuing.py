"""A model is trained for longer, or another one is tuned from it: real clicks, the real engine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import WEIGHTS, read_card
from napari_unet.metrics.diagnosis import Remedy
from napari_unet.ui.continuing import amount
from tests.ui.test_train_dock import LONG_MS, click, dock

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot
    from qtpy.QtWidgets import QPushButton

    from napari_unet.ui.train_dock import TrainDock

__all__ = ["dock"]  # the fixture
pytestmark = pytest.mark.viewer


def train(qtbot: QtBot, dock: TrainDock, button: QPushButton, epochs: int) -> None:
    """Press a button that trains, and wait for the end."""
    dock.form.optimiser.field("schedule").value = "constant"
    dock.form.budget.amount.value = epochs
    click(qtbot, button)
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert dock.message.kind != "error", dock.message.text()


def test_a_model_that_is_continued_is_that_of_a_run_without_a_break(
    qtbot: QtBot, dock: TrainDock, home: Path
) -> None:
    assert not dock.continuing.button.isVisibleTo(dock)  # there is no model yet
    train(qtbot, dock, dock.train_button, 3)
    whole = home / "cells-unet"
    train(qtbot, dock, dock.train_button, 1)
    parts = home / "cells-unet-2"
    assert dock.continuing.model.folder == str(parts)
    dock.form.budget.amount.value = 2
    assert dock.continuing.button.text() == "Continue for 2 epochs more"
    assert "same state of the optimiser" in dock.continuing.button.toolTip()
    train(qtbot, dock, dock.continuing.button, 2)
    assert "cells-unet-2 is ready" in dock.message.text()
    assert dock.training.history[-1].epoch == 2
    assert [mark.text for mark in dock.training.course.marks] == ["continued"]
    arrays, state = load_checkpoint(parts)
    assert (state["step"], state["epoch"]) == (15, 3)
    assert float(arrays["optimiser.0.step"]) == 15
    assert (parts / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert read_card(parts).training["split"] == read_card(whole).training["split"]
    assert dock.continuing.model.words.text() == "Resumed at step 5."
    assert not (home / "cells-unet-3").exists()


def test_labels_that_changed_meanwhile_are_told_as_a_correction(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    train(qtbot, dock, dock.train_button, 1)
    cells.layers["drawn"].paint((40, 40), 77)
    train(qtbot, dock, dock.continuing.button, 1)
    words = "Resumed at step 5. Corrected once, labels of 1 image at step 5."
    assert dock.continuing.model.words.text() == words
    marks = dock.training.course.marks
    assert [(mark.step, mark.text) for mark in marks] == [(5, "continued"), (5, "corrected")]
    assert [event.step for event in dock.training.course.alike] == [10]


def test_a_model_of_another_day_is_continued_where_it_can_be(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    train(qtbot, dock, dock.train_button, 1)
    cells.window.remove_dock_widget(dock)
    _, later = cells.window.add_plugin_dock_widget("napari-unet-lab", "Train")
    later.form.budget.unit.value = "epochs"
    button = later.continuing.button
    train(qtbot, later, button, 1)
    assert read_card(home / "cells-unet").training["steps"] == 10
    later.form.network.field("ndim").value = 3
    assert "is 2-D" in button.toolTip()
    later.form.network.field("ndim").value = 2
    later.form.meaning.field("kind").value = "regression"
    assert not button.isEnabled()
    later.form.meaning.field("kind").value = "auto"
    assert button.isEnabled()
    shutil.rmtree(home / "cells-unet" / "checkpoints")
    later.reset_choices()
    assert "no checkpoint to go on from: fine-tune it" in button.toolTip()


def test_a_model_that_was_deleted_since_it_was_offered_is_refused(
    qtbot: QtBot, dock: TrainDock, model: Path, home: Path
) -> None:
    for name in ("here", "gone"):
        shutil.copytree(model, home / name)
    dock.offer_model("")
    box = dock.continuing.model.box
    box.setCurrentIndex(box.findData(str(home / "here")))
    assert dock.continuing.button.isVisibleTo(dock)
    shutil.rmtree(home / "gone")
    box.setCurrentIndex(box.findData(str(home / "gone")))
    assert dock.message.kind == "error"
    assert not dock.continuing.button.isVisibleTo(dock)


def test_a_tuned_model_is_another_one_and_tells_its_parent(
    qtbot: QtBot, dock: TrainDock, home: Path
) -> None:
    train(qtbot, dock, dock.train_button, 1)
    before = (home / "cells-unet" / WEIGHTS).read_bytes()
    dock.parent_model.choose(home / "cells-unet")
    assert dock.parent_model.words.isHidden()  # it began anew
    train(qtbot, dock, dock.train_button, 1)
    assert dock.continuing.model.folder == str(home / "cells-unet-2")
    assert dock.continuing.model.words.text().startswith("Fine-tuned from cells-unet (")
    assert (home / "cells-unet" / WEIGHTS).read_bytes() == before


def test_the_remedy_of_a_run_that_was_too_short_goes_on_with_it(
    qtbot: QtBot, dock: TrainDock, cells: napari.Viewer, home: Path
) -> None:
    train(qtbot, dock, dock.train_button, 1)
    cells.layers.clear()  # the training has its own copy
    dock.going.wanted.emit(Remedy("Go on for 1 epoch more", "resume", {"epochs": 2}))
    qtbot.waitUntil(lambda: not dock.job, timeout=LONG_MS)
    assert read_card(home / "cells-unet").training["steps"] == 10
    assert dock.form.budget.settings["epochs"] == 1  # as it was typed


@pytest.mark.parametrize(
    ("minutes", "epochs", "words"),
    [(2.0, None, "2 min"), (0.5, None, "0.5 min"), (None, 1, "1 epoch"), (None, 20, "20 epochs")],
)
def test_a_budget_is_said_in_words(minutes: float | None, epochs: int | None, words: str) -> None:
    assert amount({"minutes": minutes, "epochs": epochs}) == words
