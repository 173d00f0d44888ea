"""Blocks: shapes, and the spread of what they are drawn from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.layers import (
    Encoder,
    cell,
    conv,
    conv1,
    crop_like,
    double_conv,
    down_conv,
    fan_in,
    initialise,
    pool,
    repeat,
    trim,
    up_conv,
    upsample,
)

THICK = ModelConfig(ndim=3, depth=3, flat=(1, 0, 0), halvings=(1, 3, 2))


def test_cropping_keeps_the_centre() -> None:
    x = torch.arange(10.0).expand(1, 1, 10)
    assert crop_like(x, torch.empty(1, 1, 4)).flatten().tolist() == [3, 4, 5, 6]


def test_cropping_without_a_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot centre 4 pixels in 9 along axis 2"):
        crop_like(torch.empty(1, 1, 9), torch.empty(1, 1, 4))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("pad", [True, False])
def test_double_convolution_loses_what_it_does_not_pad(ndim: int, kernel: int, pad: bool) -> None:
    block = double_conv(ModelConfig(ndim=ndim, norm="batch", kernel=kernel), 0, 2, 3, pad=pad)
    size = 9 if pad else 9 - 2 * (kernel - 1)
    assert block(torch.zeros(2, 2, *[9] * ndim)).shape == (2, 3, *[size] * ndim)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsampling_doubles_and_trimming_cuts_two(ndim: int, mode: str) -> None:
    config = ModelConfig(ndim=ndim, upsampling=mode)
    doubled = upsample(config, 0)(torch.zeros(1, 2, *[5] * ndim))
    assert doubled.shape == (1, 2, *[10] * ndim)
    assert trim(config, 0)(doubled).shape == (1, 2, *[8] * ndim)


STRIDES = [(1, 2, 2), (2, 2, 2), (1, 2, 1)]  # of THICK, level by level


@pytest.mark.parametrize(("level", "stride"), enumerate(STRIDES))
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_step_between_levels_changes_only_the_axes_it_halves(
    level: int, stride: tuple[int, ...], mode: str
) -> None:
    config = THICK.model_copy(update={"upsampling": mode})
    fine, coarse = torch.randn(1, 2, 8, 8, 8), [8 // n for n in stride]
    for down in (
        pool(config, level),
        down_conv(config, level, 2, 2),
        down_conv(config, level, 2, 2, kernel=3),
    ):
        assert [*down(fine).shape[2:]] == coarse
    for up in (upsample(config, level), up_conv(config, level, 2, 2)):
        assert up(torch.randn(1, 2, *coarse)).shape == fine.shape
    trimmed = trim(config, level)(fine)
    assert [*trimmed.shape[2:]] == [8 if n == 1 else 6 for n in stride]


def test_an_axis_that_is_flat_is_not_convolved() -> None:
    assert [conv(THICK, level, 1, 1).kernel_size for level in range(4)] == [(1, 3, 3)] + [
        (3, 3, 3)
    ] * 3
    assert conv(THICK, 0, 1, 1, kernel=5).kernel_size == (1, 5, 5)
    assert down_conv(THICK, 0, 1, 1).kernel_size == (1, 2, 2)
    assert down_conv(THICK, 0, 1, 1, kernel=3).kernel_size == (1, 3, 3)
    assert down_conv(THICK, 2, 1, 1, kernel=3).kernel_size == (3, 3, 3)
    image = torch.randn(1, 1, 4, 6, 6)
    assert conv(THICK, 0, 1, 1)(image).shape == image.shape


def test_a_cell_covers_the_pixels_of_all_steps_above_it() -> None:
    assert [cell(THICK, level) for level in range(4)] == [
        (1, 1, 1),
        (1, 2, 2),
        (2, 4, 4),
        (2, 8, 4),
    ]
    coarse = torch.randn(1, 2, 3, 2, 4)
    fine = repeat(THICK, 3, 0)(coarse)
    assert fine.shape == (1, 2, 6, 16, 16)
    assert torch.equal(fine[..., ::2, ::8, ::4], coarse)
    assert torch.equal(fine[..., 1::2, 7::8, 3::4], coarse)


def test_interpolation_leaves_axes_alone_that_are_not_halved() -> None:
    config = THICK.model_copy(update={"upsampling": "linear"})
    volume = torch.randn(1, 1, 3, 4, 4, dtype=torch.float64)
    slices = [upsample(config, 0)(volume[:, :, z : z + 1]) for z in range(3)]
    assert torch.equal(upsample(config, 0)(volume), torch.cat(slices, dim=2))


def test_interpolation_never_depends_on_the_size() -> None:
    line = torch.arange(8.0)[None, None]
    up = upsample(ModelConfig(ndim=1, upsampling="linear"), 0)
    assert torch.equal(up(line)[..., :10], up(line[..., :6])[..., :10])


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_fan_in_counts_what_is_summed(ndim: int) -> None:
    config = ModelConfig(ndim=ndim)
    layers = (
        conv(config, 0, 8, 4),
        conv(config, 0, 8, 8, kernel=5, groups=8),
        conv1(config, 8, 4),
        down_conv(config, 0, 8, 4),
        up_conv(config, 0, 8, 4),
    )
    for layer in layers:
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        outputs = layer(torch.ones(1, 8, *[8] * ndim))[0, 0]
        assert outputs[(2,) * ndim].item() == fan_in(layer)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_fan_in_of_overlapping_blocks_is_a_mean(ndim: int) -> None:
    layer = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[ndim - 1](
        4, 2, 3, stride=2
    )
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    outputs = layer(torch.ones(1, 4, *[8] * ndim))[0, 0]
    period = outputs[(slice(4, 6),) * ndim]  # every phase once
    assert period.mean().item() == fan_in(layer) == 4 * 1.5**ndim


def test_parameters_are_drawn_as_in_the_paper() -> None:
    torch.manual_seed(0)
    config = ModelConfig()
    block = nn.Sequential(conv(config, 0, 64, 256), up_conv(config, 0, 1024, 64))
    initialise(block)
    three, up = block
    assert three.weight.std().item() == pytest.approx(math.sqrt(2 / 576), rel=0.02)  # 0.0589
    assert up.weight.std().item() == pytest.approx(math.sqrt(2 / 1024), rel=0.02)  # 0.0442
    assert not three.bias.any()
    assert not up.bias.any()


def test_dropout_hits_the_last_two_levels_only() -> None:
    torch.manual_seed(0)
    encoder = Encoder(ModelConfig(ndim=1, base=4, depth=3, dropout=0.5), pad=True)
    line = torch.randn(1, 1, 64)
    encoder.eval()
    quiet = encoder(line)
    encoder.train()
    same = [torch.equal(a, b) for a, b in zip(quiet, encoder(line), strict=True)]
    assert same == [True, True, False, False]
