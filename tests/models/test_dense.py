"""FC-DenseNet counts, concatenates and sees what its paper says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.models.dense import Ascent, DenseBlock
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build
from tests.models.conftest import count, on_paper


def dense(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"architecture": "dense", **settings})


@pytest.mark.parametrize(
    ("variant", "grey", "colour", "stored"),
    [  # fact sheet, rows 28 to 30; stored: running statistics of the norms included
        ("56", 1_374_001, 1_376_795, 1_397_963),
        ("67", 3_459_489, 3_463_243, 3_502_923),
        ("103", 9_318_657, 9_322_091, 9_425_163),
    ],
)
def test_parameters(variant: str, grey: int, colour: int, stored: int) -> None:
    assert count(on_paper(dense(variant=variant, classes=1))) == grey
    camvid = on_paper(dense(variant=variant, in_channels=3, classes=11))
    assert count(camvid) == colour
    statistics = sum(b.numel() for b in camvid.buffers() if b.ndim)  # but not how many batches
    assert colour + statistics == stored


@pytest.mark.parametrize("variant", ["56", "67", "103"])
def test_a_variant_is_called_after_its_convolutions(variant: str) -> None:
    layers = (nn.Conv2d, nn.ConvTranspose2d)
    assert sum(isinstance(m, layers) for m in on_paper(dense(variant=variant)).modules()) == int(
        variant
    )


@pytest.mark.parametrize(("variant", "channels"), [("56", 192), ("67", 288), ("103", 256)])
def test_the_last_block_gives_all_it_has_to_the_head(variant: str, channels: int) -> None:
    assert on_paper(dense(variant=variant)).head.in_channels == channels


def test_channels_of_the_blocks_of_103() -> None:
    """Table 2 of the paper as its authors corrected it, from the bottom on."""
    network, widths = on_paper(dense(variant="103", in_channels=3)), []
    for block in (network.bottom, *network.decoder):
        block.register_forward_hook(lambda _m, _i, output: widths.append(output.shape[1]))
    network(torch.empty(1, 3, 32, 32, device="meta"))
    assert widths == [896, 1088, 816, 576, 384, 256]


@pytest.mark.parametrize(("variant", "margin"), [("56", 416), ("67", 512), ("103", 1152)])
def test_how_far_it_sees(variant: str, margin: int) -> None:
    """Fact sheet, section k."""
    geometry = measure(dense(variant=variant, ndim=1))
    assert (geometry.step, geometry.margin, geometry.lost) == ((32,), (margin,), (0,))


@pytest.mark.parametrize("variant", ["56", "67", "103"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_as_large_as_the_image(variant: str, ndim: int) -> None:
    network = build(dense(variant=variant, ndim=ndim, base=6, depth=2, classes=3))
    assert network(torch.randn(2, 1, *[12] * ndim)).shape == (2, 3, *[12] * ndim)


def test_thick_slices_are_left_alone_at_first() -> None:
    axes = {"ndim": 3, "depth": 2, "halvings": (1, 2, 2), "flat": (1, 0, 0)}
    network = build(dense(base=6, **axes))
    assert network(torch.randn(1, 1, 6, 8, 12)).shape == (1, 2, 6, 8, 12)
    assert [up.conv.kernel_size for up in network.up] == [(3, 3, 3), (1, 3, 3)]


def test_sizes_that_tiles_could_not_tell_are_refused() -> None:
    network = build(dense(ndim=1, base=6, depth=2))
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        network(torch.randn(1, 1, 14))


@pytest.mark.parametrize(("base", "growth"), [(48, 12), (24, 6), (4, 1), (1, 1)])
def test_growth_follows_the_width(base: int, growth: int) -> None:
    block = DenseBlock(dense(base=base), 0, base)
    assert block.fresh == 4 * growth
    assert [layer[2].out_channels for layer in block.layers] == [growth] * 4


def test_a_block_keeps_what_it_was_given() -> None:
    x = torch.randn(1, 5, 8, 8)
    y = DenseBlock(dense(base=8), 0, 5)(x)
    assert torch.equal(y[:, :5], x)
    assert y.shape[1] == 5 + 4 * 2


def test_other_depths_have_the_layers_of_the_table_s_levels() -> None:
    shallow = on_paper(dense(variant="103", depth=2))
    assert [len(block.layers) for block in (*shallow.encoder, shallow.bottom)] == [4, 5, 7]
    deep = on_paper(dense(variant="103", depth=6))
    assert [len(block.layers) for block in deep.decoder] == [15, 12, 10, 7, 5, 4]


def test_ways_up_keep_the_phase() -> None:
    """Pixels 2i and 2i + 1 are made of pixel i, and 2i of the one before as well."""
    up = Ascent(dense(ndim=1), 0, 1)
    nn.init.ones_(up.conv.weight)
    nn.init.zeros_(up.conv.bias)
    line = torch.tensor([[[1.0, 10.0, 100.0]]])
    assert up(line).flatten().tolist() == [1, 1, 11, 10, 110, 100]


def test_dropout_hits_pixels_not_channels() -> None:
    torch.manual_seed(0)
    block = DenseBlock(dense(base=48, dropout=0.5), 0, 48)
    fresh = block(torch.randn(1, 48, 16, 16))[:, 48:]
    share = (fresh == 0).flatten(2).float().mean(dim=2)
    assert ((share > 0.3) & (share < 0.7)).all()
