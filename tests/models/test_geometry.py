"""Geometry is measured; the table of published numbers comes out of it."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import gate_strides, measure, measure_line
from napari_unet.tiling import Geometry

TABLE = [  # architecture, options, step, margin, lost, smallest
    ("unet", {"depth": 2}, 4, 24, 0, 4),
    ("unet", {"depth": 3}, 8, 48, 0, 8),
    ("unet", {}, 16, 96, 0, 16),
    ("unet", {"depth": 5}, 32, 192, 0, 32),
    ("unet", {"upsampling": "transposed"}, 16, 96, 0, 16),
    ("unet", {"upsampling": "linear"}, 16, 112, 0, 16),
    ("unet", {"upsampling": "linear", "depth": 3}, 8, 56, 0, 8),
    ("unet2015", {}, 16, 96, 92, 188),
    ("unet2015", {"upsampling": "nearest"}, 16, 96, 92, 188),
    ("attention", {}, 16, 96, 0, 16),
    ("attention", {"upsampling": "transposed"}, 16, 96, 0, 16),
    ("attention", {"upsampling": "linear"}, 16, 112, 0, 16),
]


@pytest.mark.parametrize(("name", "options", "step", "margin", "lost", "smallest"), TABLE)
@pytest.mark.parametrize("ndim", [1, 3])
def test_published_geometry(
    name: str,
    options: dict[str, object],
    step: int,
    margin: int,
    lost: int,
    smallest: int,
    ndim: int,
) -> None:
    geometry = measure(ModelConfig(architecture=name, ndim=ndim, **options))
    assert geometry == Geometry(*((n,) * ndim for n in (step, margin, lost, smallest)))


def test_the_paper_s_sizes_are_legal() -> None:
    geometry = measure(ModelConfig(architecture="unet2015"))
    legal = {geometry.legal(0, size) for size in range(188, 700)}
    assert {188, 204, 572, 588} <= legal
    assert all(size % 16 == 12 for size in legal)


def test_width_channels_and_dropout_change_nothing() -> None:
    wide = ModelConfig(architecture="unet2015", base=512, in_channels=9, classes=7, dropout=0.9)
    assert measure(wide) == measure(ModelConfig(architecture="unet2015", base=1))


def test_measuring_is_fast_at_any_width() -> None:
    start = time.process_time()
    measure(ModelConfig(architecture="unet2015", base=1024, depth=6, norm="batch"))
    assert time.process_time() - start < 1


def test_measuring_leaves_random_numbers_and_modes_alone() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    with torch.inference_mode():
        measure(ModelConfig(architecture="attention", depth=3, norm="none"))
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_gate_strides_follow_the_levels() -> None:
    config = ModelConfig(architecture="attention")
    assert gate_strides(config) == {"gate3": 16, "gate2": 8, "gate1": 4}
    assert gate_strides(ModelConfig(architecture="unet")) == {}


class Residual(nn.Module):
    """One strided convolution of 3 pixels, asymmetric, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(1, 1, 3, stride=2, padding=1)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


class Centred(nn.Module):
    """Subtracts the mean over space, as instance norm does."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(-1, keepdim=True)


def test_the_farther_side_counts() -> None:
    assert measure_line(Residual()) == Geometry((2,), (2,), (0,), (2,))


def test_one_pixel_wide_networks_need_no_margin() -> None:
    assert measure_line(nn.Conv1d(1, 1, 1)) == Geometry((1,), (0,), (0,), (1,))


def test_a_network_that_sees_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="no bounded stretch"):
        measure_line(Centred())


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 1, 1), nn.Conv1d(1, 1, 2)])
def test_irregular_networks_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"no two legal sizes|does not lose the same"):
        measure_line(layer)
