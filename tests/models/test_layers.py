"""Blocks: shapes, and the spread of what they are drawn from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.layers import (
    Encoder,
    conv3,
    crop_like,
    double_conv,
    fan_in,
    initialise,
    trim,
    up_conv,
    upsample,
)


def test_cropping_keeps_the_centre() -> None:
    x = torch.arange(10.0).expand(1, 1, 10)
    assert crop_like(x, torch.empty(1, 1, 4)).flatten().tolist() == [3, 4, 5, 6]


def test_cropping_without_a_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot centre 4 pixels in 9 along axis 2"):
        crop_like(torch.empty(1, 1, 9), torch.empty(1, 1, 4))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("pad", "lost"), [(0, 4), (1, 0)])
def test_double_convolution_loses_what_it_does_not_pad(ndim: int, pad: int, lost: int) -> None:
    block = double_conv(ModelConfig(ndim=ndim, norm="batch"), 2, 3, pad=pad)
    assert block(torch.zeros(2, 2, *[9] * ndim)).shape == (2, 3, *[9 - lost] * ndim)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsampling_doubles_and_trimming_cuts_two(ndim: int, mode: str) -> None:
    config = ModelConfig(ndim=ndim, upsampling=mode)
    doubled = upsample(config)(torch.zeros(1, 2, *[5] * ndim))
    assert doubled.shape == (1, 2, *[10] * ndim)
    assert trim(config)(doubled).shape == (1, 2, *[8] * ndim)


def test_interpolation_never_depends_on_the_size() -> None:
    line = torch.arange(8.0)[None, None]
    up = upsample(ModelConfig(ndim=1, upsampling="linear"))
    assert torch.equal(up(line)[..., :10], up(line[..., :6])[..., :10])


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_fan_in_counts_what_is_summed(ndim: int) -> None:
    config = ModelConfig(ndim=ndim)
    for layer in (conv3(config, 8, 4, pad=1), up_conv(config, 8, 4)):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        middle = layer(torch.ones(1, 8, *[3] * ndim))[(0, 0, *[1] * ndim)]
        assert middle.item() == fan_in(layer)


def test_parameters_are_drawn_as_in_the_paper() -> None:
    torch.manual_seed(0)
    config = ModelConfig()
    block = nn.Sequential(conv3(config, 64, 256, pad=1), up_conv(config, 1024, 64))
    initialise(block)
    three, up = block
    assert three.weight.std().item() == pytest.approx(math.sqrt(2 / 576), rel=0.02)  # 0.0589
    assert up.weight.std().item() == pytest.approx(math.sqrt(2 / 1024), rel=0.02)  # 0.0442
    assert not three.bias.any()
    assert not up.bias.any()


def test_dropout_hits_the_last_two_levels_only() -> None:
    torch.manual_seed(0)
    encoder = Encoder(ModelConfig(ndim=1, base=4, depth=3, dropout=0.5), pad=1)
    line = torch.randn(1, 1, 64)
    encoder.eval()
    quiet = encoder(line)
    encoder.train()
    same = [torch.equal(a, b) for a, b in zip(quiet, encoder(line), strict=True)]
    assert same == [True, True, False, False]
