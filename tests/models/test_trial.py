"""A device that does not compute what the CPU computes is not used, and is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_unet.config import InputError, PredictConfig, TrainConfig
from napari_unet.events import Noted
from napari_unet.inference.predict import predict
from napari_unet.models import device, trial
from napari_unet.models.device import Device, exact
from napari_unet.models.trial import GRADIENT, OUTPUT, Trial, trust, try_out
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn

STAND_IN = "cpu:0"  # to torch another device than "cpu"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Try devices out anew: nothing of what a test finds is kept."""
    try_out.cache_clear()
    yield
    try_out.cache_clear()


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have these devices, and the CPU."""

    def have(*names: str) -> None:
        there = [Device(name, name, 1.0) for name in (*names, "cpu")]
        for room in (device, trial):
            monkeypatch.setattr(room, "list_devices", lambda: there)

    return have


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch, listed: Callable[..., None]) -> None:
    """Have a device on which the first convolution is one percent too large."""
    listed(STAND_IN)
    right = trial.place

    def place(network: nn.Module, where: torch.device, ndim: int) -> nn.Module:
        right(network, where, ndim)
        if where == torch.device(STAND_IN):
            with torch.no_grad():
                next(network.parameters()).mul_(1.01)
        return network

    monkeypatch.setattr(trial, "place", place)


def test_a_device_that_computes_alike_is_trusted(listed: Callable[..., None]) -> None:
    listed(STAND_IN)
    assert trust("auto") == (torch.device(STAND_IN), ())
    assert trust(STAND_IN) == (torch.device(STAND_IN), ())
    found = try_out(STAND_IN)
    assert (found.output, found.gradient) < (OUTPUT / 10, GRADIENT / 10)
    assert found.agreement == 1


def test_a_device_is_tried_out_once_and_the_cpu_never(listed: Callable[..., None]) -> None:
    listed(STAND_IN)
    for _ in range(3):
        trust("auto")
    assert try_out.cache_info().misses == 1
    trust("cpu")
    assert try_out.cache_info().currsize == 1


def test_a_trial_leaves_randomness_and_precision_alone() -> None:
    before = torch.get_rng_state(), torch.backends.cudnn.allow_tf32
    try_out(STAND_IN)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.backends.cudnn.allow_tf32
    with exact():
        assert not torch.backends.cudnn.allow_tf32
    assert before[1] == torch.backends.cudnn.allow_tf32


@pytest.mark.usefixtures("wrong")
def test_a_device_with_wrong_numbers_is_passed_over_and_told_with_them() -> None:
    found, notes = trust("auto")
    assert found == torch.device("cpu")
    assert notes[0].startswith(f"device {STAND_IN} gives wrong numbers")
    assert f"{try_out(STAND_IN).output:.2g} (at most 0.001)" in notes[0]
    assert notes[-1] == "computing on cpu instead"


@pytest.mark.usefixtures("wrong")
def test_a_device_that_was_asked_for_is_never_silently_another_one() -> None:
    with pytest.raises(InputError, match="gives wrong numbers") as caught:
        trust(STAND_IN)
    assert caught.value.code == "U163"


def test_a_device_that_does_not_compute_at_all_says_why(listed: Callable[..., None]) -> None:
    listed("meta")
    found, notes = trust("auto")
    assert found == torch.device("cpu")
    assert "cannot compute: Cannot copy out of meta tensor" in notes[0]


@pytest.mark.parametrize(
    "numbers", [(np.nan, 0.0, 1.0), (0.0, np.nan, 1.0), (0.01, 0, 1), (0, 0.1, 1), (0, 0, 0.99)]
)
def test_each_number_counts_and_nan_is_never_near(numbers: tuple[float, float, float]) -> None:
    assert Trial("x", *numbers).fault
    assert not Trial("x", OUTPUT, GRADIENT, 1.0).fault


@pytest.mark.usefixtures("wrong")
def test_training_and_prediction_fall_back_and_say_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(24, 24)).astype(np.float32)
    config = TrainConfig.from_recipe("quick", epochs=0, model={"base": 2, "depth": 1})
    events = list(train(config, [(image, (image > 0).astype(np.uint8))], tmp_path / "m"))
    events += list(predict(tmp_path / "m", image, {}, PredictConfig()))
    told = [e.text for e in events if isinstance(e, Noted) and STAND_IN in e.text]
    assert len(told) == 2
    with pytest.raises(InputError, match="U163"):
        list(predict(tmp_path / "m", image, {}, PredictConfig(device=STAND_IN)))
