"""Geometry is measured; the table of published numbers comes out of it."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from napari_unet.config import InputError, ModelConfig
from napari_unet.models.geometry import (
    _ones,
    _probing,
    _simplify,
    gate_strides,
    measure,
    measure_line,
)
from napari_unet.models.registry import build
from napari_unet.tiling import Geometry
from tests.models.conftest import FORMS

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
    ("unet2015", {"variant": "release"}, 16, 96, 92, 188),
    ("attention", {}, 16, 96, 0, 16),
    ("attention", {"upsampling": "transposed"}, 16, 96, 0, 16),
    ("attention", {"upsampling": "linear"}, 16, 112, 0, 16),
    ("attention", {"gates": "all"}, 16, 96, 0, 16),
    ("attention", {"supervision": True}, 16, 96, 0, 16),
    ("attention", {"variant": "release"}, 16, 96, 0, 16),
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


# Fact sheet, section k: how far a pixel sees to its left and right at most, how many pixels it
# sees by the phase of the poolings, how far an aligned block sees. What is not in the sheet: the
# right side of blocks of "dense", the two sides of the valid network (its blocks begin 92 pixels
# into the image, out of phase), "identity", and that "release" sees what "paper" and "figure" do.
VIEWS = [
    ("unet", "standard", {"depth": 2}, (23, 23), [44], (22, 22)),
    ("unet", "standard", {"depth": 3}, (51, 51), [92, 100], (46, 46)),
    ("unet", "standard", {}, (107, 107), [188, 204], (94, 94)),
    ("unet", "standard", {"depth": 5}, (219, 219), [380, 412], (190, 190)),
    ("unet", "standard", {"upsampling": "transposed"}, (107, 107), [188, 204], (94, 94)),
    ("unet", "standard", {"upsampling": "linear"}, (122, 122), [220, 236], (110, 110)),
    ("unet2015", "figure", {}, (107, 107), [188, 204], (92, 96)),
    ("unet2015", "release", {}, (107, 107), [188, 204], (92, 96)),
    ("attention", "paper", {}, (107, 107), [188, 204], (94, 94)),
    ("attention", "release", {}, (107, 107), [188, 204], (94, 94)),
    ("residual", "identity", {}, (108, 108), [190, 206], (95, 95)),
    ("residual", "zhang2018", {}, (44, 37), [71, 79], (39, 32)),
    ("vnet", "figure", {}, (275, 275), [532, 548], (274, 274)),
    ("vnet", "release", {}, (253, 253), [492], (246, 246)),
    ("improved", "standard", {}, (154, 154), [284, 300], (142, 142)),
    ("improved", "standard", {"blocks": 2}, (292, 292), [566, 582], (283, 283)),
    ("dense", "56", {}, (439, 408), [794, 826], (413, 381)),
    ("dense", "67", {}, (533, 502), [984, 1016], (508, 476)),
    ("dense", "103", {}, (1171, 1140), [2262, 2294], (1147, 1115)),
]


def look(config: ModelConfig) -> list[tuple[int, int]]:
    """Return the first and last pixel that each pixel of one step of outputs sees.

    Counted from the first of the step, on a line so long that none sees its ends.
    """
    geometry = measure(config)
    (step,), (margin,), (lost,) = geometry.step, geometry.margin, geometry.lost
    with _probing():
        network = build(config)
        _simplify(network)
        line = _ones(geometry.input_size(0, 2 * margin + 3 * step)).requires_grad_()
        logits: Tensor = network(line)
        start = logits.shape[-1] // (2 * step) * step
        spans = []
        for pixel in range(start, start + step):
            (gradient,) = torch.autograd.grad(logits[..., pixel], line, retain_graph=True)
            seen = gradient.flatten().nonzero().flatten() - lost - start
            spans.append((int(seen[0]), int(seen[-1])))
    return spans


@pytest.mark.parametrize(("name", "variant", "settings", "beyond", "fields", "block"), VIEWS)
def test_published_views(
    name: str,
    variant: str,
    settings: dict[str, object],
    beyond: tuple[int, int],
    fields: list[int],
    block: tuple[int, int],
) -> None:
    narrow = {"ndim": 1, "base": 1, "classes": 1, **settings}
    config = ModelConfig(architecture=name, variant=variant, **narrow)
    spans, (margin,) = look(config), measure(config).margin
    firsts, lasts = zip(*spans, strict=True)
    assert beyond == tuple(
        max(reach)
        for reach in zip(*((i - a, b - i) for i, (a, b) in enumerate(spans)), strict=True)
    )
    assert sorted({last - first + 1 for first, last in spans}) == fields
    assert (-min(firsts), max(lasts) - len(spans) + 1) == block
    assert margin - len(spans) < max(block) <= margin


def test_every_form_of_every_network_has_a_published_view() -> None:
    assert {(name, variant) for name, variant, *_ in VIEWS} == {*FORMS}


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_closed_forms_of_two_convolutions_per_level(depth: int) -> None:
    """Fact sheet, below the table of section k, for the padded U-Net."""
    spans = look(ModelConfig(ndim=1, base=1, classes=1, depth=depth))
    assert max(i - first for i, (first, _) in enumerate(spans)) == 7 * 2**depth - 5
    assert -min(first for first, _ in spans) == 6 * 2**depth - 2
    linear = look(ModelConfig(ndim=1, base=1, classes=1, depth=depth, upsampling="linear"))
    assert -min(first for first, _ in linear) == 7 * 2**depth - 2


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
    assert gate_strides(config) == {"gate3": (16, 16), "gate2": (8, 8), "gate1": (4, 4)}
    every = gate_strides(config.model_copy(update={"gates": "all"}))
    assert every == {**gate_strides(config), "gate0": (2, 2)}
    assert gate_strides(ModelConfig(architecture="unet")) == {}


def test_gate_strides_are_told_per_axis() -> None:
    thick = ModelConfig(architecture="attention", ndim=3, halvings=(1, 4, 3), flat=(2, 0, 0))
    assert gate_strides(thick) == {"gate3": (2, 16, 8), "gate2": (2, 8, 8), "gate1": (1, 4, 4)}


def seen(config: ModelConfig, level: int, low: int, high: int) -> tuple[int, int]:
    """Follow pixels low..high of a level of the 1-D padded U-Net back to where it begins."""
    reach = 2 * (config.taps(level)[0] // 2)  # of two convolutions
    low, high = low - reach, high + reach
    if level == config.depth:
        return low, high
    (stride,) = config.stride(level)
    first, last = seen(config, level + 1, low // stride, high // stride)
    low, high = min(low, stride * first), max(high, stride * last + stride - 1)  # skip, pool
    return low - reach, high + reach


@pytest.mark.parametrize("kernel", [3, 5, 9])
@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
@pytest.mark.parametrize("flat", [0, 1, 3])
def test_measured_is_what_one_follows_by_hand(kernel: int, halvings: int, flat: int) -> None:
    axis = {"halvings": (halvings,), "flat": (flat,)}
    config = ModelConfig(ndim=1, depth=halvings + flat + 1, kernel=kernel, **axis)
    step = 2**halvings
    low, high = seen(config, 0, 0, step - 1)
    margin = -(-max(-low, high - step + 1) // step) * step
    assert measure(config) == Geometry((step,), (margin,), (0,), (step,))


def test_every_axis_is_measured_for_itself() -> None:
    config = ModelConfig(ndim=3, halvings=(2, 3, 0), flat=(1, 0, 0))
    lines = [
        measure(ModelConfig(ndim=1, halvings=(halvings,), flat=(flat,)))
        for halvings, flat in ((2, 1), (3, 0), (0, 0))
    ]
    geometry = measure(config)
    assert geometry.step == (4, 8, 1)
    for name in ("step", "margin", "lost", "smallest"):
        assert getattr(geometry, name) == sum((getattr(line, name) for line in lines), ())


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


def test_activations_norms_and_depthwise_convolutions_hide_nothing() -> None:
    norm = nn.BatchNorm1d(4)
    nn.init.constant_(norm.weight, -1.0)
    nn.init.constant_(norm.bias, -9.0)
    wide = nn.Conv1d(4, 4, 7, padding=3, groups=4)
    first = nn.Conv1d(1, 4, 3, padding=1)
    network = nn.Sequential(
        first, nn.PReLU(4), norm, nn.ReLU(), wide, nn.GELU(), nn.Conv1d(4, 1, 1)
    )
    assert measure_line(network) == Geometry((1,), (4,), (0,), (1,))


def test_a_network_that_sees_everything_is_refused() -> None:
    with pytest.raises(InputError, match=r"U151.*no bounded stretch.*choose less depth"):
        measure_line(Centred())


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 1, 1), nn.Conv1d(1, 1, 2)])
def test_irregular_networks_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"no two legal sizes|does not lose the same"):
        measure_line(layer)
