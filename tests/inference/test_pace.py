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

MACS = 1e7


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[Flow]:
    """What is computed for a measurement, of which little is enough here."""
    monkeypatch.setattr(pace, "ENOUGH", MACS)
    monkeypatch.setattr(pace, "LONGEST_S", 1e9)  # on a slow machine, too
    run, seen = pace._run, []

    def spy(runner: FlowRunner, flow: Flow) -> float:
        seen.append(flow)
        return run(runner, flow)

    monkeypatch.setattr(pace, "_run", spy)
    return seen


def runner_of(model: Model, **mode: bool) -> FlowRunner:
    shape = (50,) * model.card.model.ndim
    settings = Mode(torch.device("cpu"), rows=32, **mode)
    return FlowRunner(model.network, model.card.model, model.geometry, shape, settings)


@pytest.mark.parametrize("form", ["unet", "unet2015", "attention"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_enough_is_computed_and_not_much_more(
    models: Models, flows: list[Flow], form: str, ndim: int
) -> None:
    """Each size twice: the first time kernels are chosen and memory is taken."""
    runner = runner_of(models(form, ndim=ndim))
    assert measure_pace(runner) > 0
    counts = [count_macs(flow.graph, flow.boxes) for flow in flows]
    assert counts[::2] == counts[1::2]
    assert MACS <= counts[-1] < 2 ** (ndim + 1) * MACS or len(counts) == 2
    assert all(flow.schedule.have[0] == flow.box[0][1] for flow in flows)  # all of it


def test_gates_that_are_wanted_do_no_harm(models: Models, flows: list[Flow]) -> None:
    assert measure_pace(runner_of(models("attention"), gates=True)) > 0
    assert flows


def test_the_size_of_the_image_does_not_matter(models: Models, flows: list[Flow]) -> None:
    model, sizes = models(), []
    for shape in ((3, 3), (10**6, 10**6)):
        mode = Mode(torch.device("cpu"), rows=32)
        geometry = model.geometry
        measure_pace(FlowRunner(model.network, model.card.model, geometry, shape, mode))
        sizes.append([flow.sizes[0] for flow in flows])
        flows.clear()
    assert sizes[0] == sizes[1]


def test_it_ends_on_a_slow_machine(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is too long: then the first size that tells has to do."""
    monkeypatch.setattr(pace, "ENOUGH", MACS)
    times = []

    def slow(_runner: FlowRunner, _flow: Flow) -> float:
        times.append(pace.LONGEST_S)
        return pace.LONGEST_S

    monkeypatch.setattr(pace, "_run", slow)
    measure_pace(runner_of(models()))
    assert len(times) == 2
