"""How fast a network is: a short measurement of the right work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_unet.inference import pace
from napari_unet.inference.pace import measure_pace
from napari_unet.models.schedule import count_macs
from napari_unet.models.strips import FlowRunner, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.inference.model import Model
    from napari_unet.models.flow import Flow

    Models = Callable[..., Model]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[Flow]]:
    """A machine that takes so many seconds for a multiply-add, and what was computed on it."""

    def make(seconds: float) -> list[Flow]:
        seen: list[Flow] = []

        def spy(_runner: FlowRunner, flow: Flow) -> float:
            seen.append(flow)
            return seconds * count_macs(flow.graph, flow.boxes)

        monkeypatch.setattr(pace, "_run", spy)
        return seen

    return make


def runner_of(model: Model, **mode: bool) -> FlowRunner:
    shape = (50,) * model.card.model.ndim
    settings = Mode(torch.device("cpu"), rows=32, **mode)
    return FlowRunner(model.network, model.card.model, model.geometry, shape, settings)


@pytest.mark.parametrize("form", ["unet", "unet2015", "attention"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_pace_of_a_machine_is_found(
    models: Models, machine: Callable[[float], list[Flow]], form: str, ndim: int
) -> None:
    """On sizes that grow until the time is enough, and no further."""
    flows = machine(1e-7)
    assert measure_pace(runner_of(models(form, ndim=ndim))) == pytest.approx(1e-7)
    counts = [1e-7 * count_macs(flow.graph, flow.boxes) for flow in flows]
    assert all(seconds < pace.ENOUGH_S <= counts[-1] for seconds in counts[:-1])
    assert counts == sorted(counts)


def test_a_slow_machine_computes_once(
    models: Models, machine: Callable[[float], list[Flow]]
) -> None:
    flows = machine(1.0)
    assert measure_pace(runner_of(models())) == pytest.approx(1.0)
    assert len(flows) == 1


def test_it_ends_on_a_machine_that_takes_no_time(
    models: Models, machine: Callable[[float], list[Flow]]
) -> None:
    flows = machine(0.0)
    assert measure_pace(runner_of(models())) == 0
    assert flows[-1].sizes[0][0] >= pace.LARGEST


def test_it_is_measured_in_earnest(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "ENOUGH_S", 1e-3)
    assert measure_pace(runner_of(models("attention"), gates=True)) > 0


def test_the_size_of_the_image_does_not_matter(
    models: Models, machine: Callable[[float], list[Flow]]
) -> None:
    model, sizes = models(), []
    for shape in ((3, 3), (10**6, 10**6)):
        flows, mode = machine(1e-7), Mode(torch.device("cpu"), rows=32)
        measure_pace(FlowRunner(model.network, model.card.model, model.geometry, shape, mode))
        sizes.append([flow.sizes[0] for flow in flows])
    assert sizes[0] == sizes[1]
