"""A run is trained for longer: the same one, not another that begins with its parameters."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.config import InputError
from napari_unet.events import Stepped
from napari_unet.library.continuing import longer
from napari_unet.library.folders import read_card
from napari_unet.library.lineage import lineage
from napari_unet.training.loop import train
from tests.training.test_loop import disks, last, settings, weights

if TYPE_CHECKING:
    from pathlib import Path

CONSTANT = {"optimiser": {"schedule": "constant"}}  # the rate does not depend on the budget


@pytest.mark.parametrize("first", [1, 3])
def test_a_finished_run_goes_on_to_the_same_bits(tmp_path: Path, first: int) -> None:
    list(train(settings(4, **CONSTANT), disks(), tmp_path / "whole"))
    list(train(settings(first, **CONSTANT), disks(), tmp_path / "parts"))
    config = longer(tmp_path / "parts", epochs=4 - first)
    events = list(train(config, disks(), tmp_path / "parts", resume=True))
    steps = [event.step for event in events if isinstance(event, Stepped)]
    assert steps == list(range(3 * first + 1, 13))
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert last(tmp_path / "parts") == last(tmp_path / "whole")


def test_an_epoch_that_has_begun_is_finished_as_well(tmp_path: Path) -> None:
    stream = train(settings(9), disks(), tmp_path / "m")
    next(event for event in stream if isinstance(event, Stepped) and event.step == 4)
    stream.close()
    assert longer(tmp_path / "m", epochs=2).epochs == 4  # of 3 steps each: 1 and a begun one


def test_minutes_count_from_what_was_spent(tmp_path: Path) -> None:
    list(train(settings(1), disks(), tmp_path / "m"))
    spent_s = read_card(tmp_path / "m").training["elapsed_s"]
    config = longer(tmp_path / "m", minutes=0.5)
    assert config.epochs is None
    assert 60 * config.minutes == pytest.approx(spent_s + 30, abs=1e-2)


def test_without_a_checkpoint_there_is_no_going_on(tmp_path: Path) -> None:
    list(train(settings(1), disks(), tmp_path / "m"))
    shutil.rmtree(tmp_path / "m" / "checkpoints")
    with pytest.raises(InputError, match="U132"):
        longer(tmp_path / "m", epochs=1)


def test_a_run_that_goes_on_knows_what_it_came_from(tmp_path: Path) -> None:
    names = {"labels": {"kind": "classes", "names": ["1=cell:#123456", "2=other:#654321"]}}
    three = [(image, np.minimum(labels, 2)) for image, labels in disks()]
    list(train(settings(1, **names), three, tmp_path / "first"))
    config = settings(1, labels={"kind": "classes"})
    list(train(config, three, tmp_path / "second", parent=tmp_path / "first"))
    list(train(config, three, tmp_path / "third", parent=tmp_path / "second"))
    before = read_card(tmp_path / "third")
    list(train(longer(tmp_path / "third", epochs=1), three, tmp_path / "third", resume=True))
    after = read_card(tmp_path / "third")
    assert (after.parent, after.classes) == (before.parent, before.classes)
    assert [(c.name, c.colour) for c in after.classes[1:]] == [
        ("cell", "#123456"),
        ("other", "#654321"),
    ]
    words = lineage(after)
    assert words.index("Fine-tuned from second (") < words.index("from first (")
    assert words.endswith("Resumed at step 3.")
    assert not lineage(read_card(tmp_path / "first"))
