"""What happens in a network is written down as it happens, in layers and between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from napari_unet.models.cells import SAME, Blend, Gather, Spread
from napari_unet.models.geometry import measure
from napari_unet.models.tracing import Step, trace
from tests.models.conftest import on_paper

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.models.conftest import Small


class Crossed(nn.Module):
    """A layer that runs twice, a shortcut, a crop and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.pad = nn.ZeroPad1d(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Return four channels of what is left."""
        x = x + self.act(self.conv(x))
        y = self.conv(x)
        return torch.cat([self.pad(y), x.narrow(2, 2, x.shape[2] - 4)], dim=1)


@pytest.fixture
def steps() -> list[Step]:
    """The steps of `Crossed` on 16 pixels."""
    return trace(Crossed().eval(), torch.zeros(1, 2, 16), (1,))


def test_steps_come_in_order_with_their_inputs(steps: list[Step]) -> None:
    assert [step.kind for step in steps] == [
        "Conv1d", "ReLU", "add", "Conv1d", "ZeroPad1d", "narrow", "cat",
    ]  # fmt: skip
    assert [step.inputs for step in steps] == [(-1,), (0,), (-1, 1), (2,), (3,), (2,), (4, 5)]
    assert [step.name for step in steps if step.name] == ["conv", "act", "conv", "pad"]


def test_what_runs_again_is_counted_once(steps: list[Step]) -> None:
    assert [step.parameters for step in steps if step.name == "conv"] == [14, 0]
    assert sum(step.macs for step in steps) == 2 * 12 * 16


def test_what_is_changed_in_place_or_cut_is_not_new(steps: list[Step]) -> None:
    assert [step.kind for step in steps if not step.fresh] == ["ReLU", "narrow"]


def test_crops_move_what_is_seen(steps: list[Step]) -> None:
    assert steps[-1].shape == (4, 12)
    assert steps[4].field == (5,)
    assert steps[-1].field == (5,)  # the crop keeps both in line


class Applied(nn.Module):
    """A function of a map, as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return what the function returns."""
        return self.function(x)


@pytest.mark.parametrize(
    ("network", "rules"),
    [
        (nn.Conv2d(2, 2, (3, 5), padding=(1, 0)), (Gather(3, 1, 1, 1), Gather(5))),
        (nn.Conv2d(2, 2, (3, 1), stride=(2, 1), padding=(1, 0)), (Gather(3, 2, 1, 1), SAME)),
        (nn.MaxPool2d((1, 2)), (SAME, Gather(2, 2))),
        (nn.ConvTranspose2d(2, 2, (3, 1), stride=(2, 1)), (Spread(3, 2), Spread(1, 1))),
        (nn.Upsample(scale_factor=(1.0, 2.0)), (Spread(1, 1), Spread(2, 2))),
        (nn.Upsample(scale_factor=(1.0, 2.0), mode="bilinear"), (Spread(1, 1), Blend(2))),
        (nn.ZeroPad2d((-1, -2, -3, -4)), (Gather(1, 1, -3, -4), Gather(1, 1, -1, -2))),
        (Applied(lambda x: x.narrow(2, 3, 4)), (Gather(1, 1, -3, -1), SAME)),
        (Applied(lambda x: x.narrow(-1, 3, 4)), (SAME, Gather(1, 1, -3, -1))),
        (Applied(lambda x: x[..., 2:-1]), (Gather(), Gather(1, 1, -2, -1))),
        (Applied(lambda x: x[..., -5:]), (Gather(), Gather(1, 1, -3, 0))),
        (Applied(lambda x: x[:, -1:, :5]), (Gather(1, 1, 0, -3), Gather())),
    ],
    ids=lambda value: "" if isinstance(value, nn.Module) else str(value),
)
def test_the_rules_of_every_axis(network: nn.Module, rules: tuple[object, ...]) -> None:
    (step,) = trace(nn.Sequential(network).eval(), torch.zeros(1, 2, 8, 8), (4, 4))
    assert step.rules == rules


def test_a_crop_takes_channels() -> None:
    (step,) = trace(Applied(lambda x: x[:, -2:]), torch.zeros(1, 3, 8), (1,))
    assert (step.part, step.shape) == ((-2, None), (2, 8))


@pytest.mark.parametrize("ndim", [1, 2])
def test_rules_tell_the_size_of_every_map(first: Small, ndim: int) -> None:
    """For every size that the network takes, not for the traced one alone."""
    config = first(ndim=ndim, base=1)
    geometry, network = measure(config), on_paper(config)
    for pixels in (1, 3 * geometry.step[0]):
        size = [geometry.input_size(axis, pixels) for axis in range(ndim)]
        image = torch.empty(1, 1, *size, device="meta")
        shapes = {-1: tuple(size)}
        for i, step in enumerate(trace(network, image, geometry.step)):
            shapes[i] = step.shape[1:]
            for source in step.inputs:
                sizes = zip(step.rules, shapes[source], strict=True)
                assert shapes[i] == tuple(rule.size(n) for rule, n in sizes)


@pytest.mark.parametrize(
    "network",
    [
        Applied(lambda x: x[..., ::2]),
        nn.ConvTranspose1d(1, 1, 4, stride=2, padding=1),
        nn.Conv1d(1, 1, 3, dilation=2),
    ],
    ids=["every second", "padded up", "dilated"],
)
def test_what_the_rules_do_not_tell_is_refused(network: nn.Module) -> None:
    """Better than to be told something wrong: a window would be computed from other cells."""
    image = torch.zeros(1, 1, 12)
    with pytest.raises(NotImplementedError, match="not known here"):
        trace(nn.Sequential(network), image, (2,))


def test_an_unknown_change_of_size_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="0 changes the size"):
        trace(nn.Sequential(nn.AvgPool1d(2)), torch.zeros(1, 1, 8), (2,))


def test_the_network_is_left_as_it_was() -> None:
    network = Crossed().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trace(network, torch.zeros(1, 2, 16), (1,))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
