"""A training answers between two steps, also in a pause; and the engine steps back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from napari_unet.config import ModelConfig
from napari_unet.engine.jobs import (
    Ask,
    Cancel,
    Correct,
    DescribeJob,
    Focus,
    Pause,
    Resume,
)
from napari_unet.engine.server import NICENESS
from napari_unet.events import Corrected, Doubted, Noted, Previewed, Stepped, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.engine.jobs import ArrayRef, TrainJob
    from tests.engine.client import Client

    Training = Callable[..., TrainJob]
    Pairs = tuple[tuple[ArrayRef, ArrayRef], ...]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")
SMALL = ModelConfig(base=1, depth=1)
LONG = {"epochs": 1000, "steps": 1000}


def test_the_window_comes_first(shared: Client) -> None:
    shared.run(DescribeJob(job="awake", config=SMALL))
    own, engine = psutil.Process(), psutil.Process(shared.process.pid)
    if sys.platform == "win32":
        assert engine.nice() == psutil.BELOW_NORMAL_PRIORITY_CLASS
    else:
        assert engine.nice() == min(own.nice() + NICENESS, 19)


def test_a_paused_training_answers_and_takes_no_step(
    shared: Client, training: Training, pairs: Pairs, tmp_path: Path
) -> None:
    image, labels = pairs[0]
    shared.send(training("asked", tmp_path / "m", **LONG))
    shared.wait_for(Stepped, job="asked")
    shared.send(
        Pause(job="asked"),
        Focus(job="asked", point=(20, 20)),  # of no image: nothing to show
        Focus(job="asked", point=(20, 20), image=image, out=str(tmp_path)),
        Ask(job="asked", about="loss", out=str(tmp_path)),
        Ask(job="asked", about="doubt"),
        Correct(job="asked", pairs=tuple((image, labels) for image, _ in pairs)),
        Correct(job="asked", pairs=((image, labels), pairs[1])),
    )
    told = [shared.wait_for(kind, job="asked") for kind in (Previewed, Previewed, Doubted)]
    assert [told[0].about, told[1].about] == ["view", "loss"]
    assert len(told[2].places) == len(told[2].doubts) > 0
    step = told[0].step
    assert shared.wait_for(Noted, Corrected, job="asked")
    assert shared.wait_for(Noted, Corrected, job="asked").step == step
    shared.send(Resume(job="asked"))
    assert shared.wait_for(Stepped, job="asked").step == step + 1
    shared.send(Cancel(job="asked"))
    assert isinstance(shared.finish("asked")[-1], Stopped)
