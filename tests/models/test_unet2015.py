"""The network of 2015 in both forms, parameter for parameter and pixel for pixel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build
from tests.models.conftest import count, on_paper

COUNTS = [  # variant, channels, classes, parameters: fact sheet, rows 1 to 3
    ("figure", 1, 2, 31_030_658),
    ("figure", 1, 1, 31_030_593),
    ("figure", 3, 1, 31_031_745),
    ("figure", 3, 2, 31_031_810),
    ("release", 1, 2, 31_100_354),
]
SIZES = [(572, 388), (188, 4), (204, 20), (588, 404), (444, 260), (892, 708)]


def paper(**settings: object) -> ModelConfig:
    return ModelConfig(architecture="unet2015", **settings)


@pytest.mark.parametrize(("variant", "channels", "classes", "parameters"), COUNTS)
def test_parameters(variant: str, channels: int, classes: int, parameters: int) -> None:
    config = paper(variant=variant, in_channels=channels, classes=classes)
    assert count(on_paper(config)) == parameters


@pytest.mark.parametrize("variant", ["figure", "release"])
@pytest.mark.parametrize(("size", "output"), SIZES)
def test_sizes_of_the_paper(variant: str, size: int, output: int) -> None:
    with torch.device("meta"):
        network = build(paper(variant=variant))
        assert network(torch.empty(1, 1, size, size)).shape == (1, 2, output, output)


@pytest.mark.parametrize("variant", ["figure", "release"])
def test_crops_of_the_paper(variant: str) -> None:
    """The skips of an image of 572 pixels, and what is kept of them, the finest first."""
    with torch.device("meta"):
        network, sizes = build(paper(variant=variant, base=1)), []
        for layer in (*network.encoder.stages[:-1], *reversed(network.up)):
            layer.register_forward_hook(lambda _m, _i, x: sizes.append(x.shape[-1]))
        network(torch.empty(1, 1, 572, 572))
    assert sizes == [568, 280, 136, 64, 56, 104, 200, 392]


def test_the_release_concatenates_192_channels_at_last() -> None:
    with torch.device("meta"):
        released = build(paper(variant="release"))
    widths = [stage[0].in_channels for stage in released.decoder]
    assert widths == [1024, 512, 256, 192]


def test_the_release_has_a_relu_after_every_up_convolution() -> None:
    figure, released = (build(paper(variant=v, base=2)) for v in ("figure", "release"))
    assert [type(up[1]) for up in released.up] == [nn.ReLU] * 4
    assert not any(isinstance(m, nn.ReLU) for m in figure.up.modules())


@pytest.mark.parametrize(("variant", "first"), [("figure", "skip"), ("release", "upsampled")])
def test_what_stands_first_in_the_concatenation(variant: str, first: str) -> None:
    torch.manual_seed(0)
    network = build(paper(variant=variant, base=4, depth=1)).eval()
    entries = {}
    network.up[0].register_forward_hook(lambda _m, _i, out: entries.update(upsampled=out))
    network.encoder.stages[0].register_forward_hook(lambda _m, _i, out: entries.update(skip=out))
    network.decoder[0].register_forward_pre_hook(lambda _m, i: entries.update(joined=i[0]))
    network(torch.randn(1, 1, 24, 24))
    up, skip = entries["upsampled"], entries["skip"]
    border = (skip.shape[-1] - up.shape[-1]) // 2
    parts = {"upsampled": up, "skip": skip[..., border:-border, border:-border]}
    assert torch.equal(entries["joined"][:, : parts[first].shape[1]], parts[first])


def test_an_axis_that_is_not_halved_loses_less() -> None:
    geometry = measure(paper(depth=2, halvings=(0, 2)))
    assert geometry.step == (1, 4)
    assert geometry.lost == (2 * 5, 20)  # two pixels per side in each of five stages
