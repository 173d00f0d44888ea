"""What happens in a network is written down as it happens, in layers and between them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_unet.models.tracing import Step, trace


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
