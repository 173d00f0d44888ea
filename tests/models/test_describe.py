"""Published sizes, rows and receptive fields; what a layer sees, against its gradient."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.models.describe import describe
from napari_unet.models.geometry import _ones, _probing, _simplify, measure
from napari_unet.models.registry import build
from napari_unet.models.tracing import is_layer, trace
from tests.models.conftest import FORMS

if TYPE_CHECKING:
    from torch import Tensor, nn

LECTURE = [  # parameters of the 23 convolutions of the 2015 network, 1 -> 2
    640, 36_928, 73_856, 147_584, 295_168, 590_080, 1_180_160, 2_359_808, 4_719_616, 9_438_208,
    2_097_664, 4_719_104, 2_359_808, 524_544, 1_179_904, 590_080, 131_200, 295_040, 147_584,
    32_832, 73_792, 36_928, 130,
]  # fmt: skip


def test_the_paper_s_figure() -> None:
    card = describe(ModelConfig(architecture="unet2015"))
    assert card["input"] == [1, 572, 572]
    assert card["geometry"] == {"step": [16, 16], "margin": [96, 96], "lost": [92, 92]}
    convolutions = [row for row in card["layers"] if row["kind"].startswith("Conv")]
    assert len(convolutions) == 23
    sizes = [row["shape"][1] for row in convolutions]
    down = [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    assert sizes == [*down, 56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388]
    assert [row["parameters"] for row in convolutions] == LECTURE


def test_the_lecture_s_total_is_that_of_ways_up_that_do_not_halve() -> None:
    """Fact sheet, section 2: all other rows of its table are those above, or slips of the pen."""
    widths = [1024, 512, 256, 128]
    halved = sum(4 * n * n // 2 + n // 2 for n in widths)
    assert sum(LECTURE) - halved + sum(4 * n * n + n for n in widths) == 33_816_898


def test_the_gates_of_the_paper() -> None:
    card = describe(ModelConfig(architecture="attention"))
    gates = {
        gate: sum(row["parameters"] for row in card["layers"] if f".{gate}." in row["name"])
        for gate in ("gate1", "gate2", "gate3")
    }
    assert gates == {"gate1": 28_993, "gate2": 115_329, "gate3": 460_033}  # 7 C^2 + 5 C + 1


def test_a_volume_is_described_without_computing_it() -> None:
    before = torch.random.get_rng_state()
    card = describe(ModelConfig(architecture="attention", ndim=3, depth=5), size=2048)
    assert card["layers"][-1]["shape"] == [2, 2048, 2048, 2048]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_description_is_json_and_holds_the_settings() -> None:
    config = ModelConfig(architecture="attention", ndim=1, base=4, depth=2)
    card = json.loads(json.dumps(describe(config)))
    assert ModelConfig(**card["config"]) == config
    assert card["name"] == "attention"


FIELDS = [  # architecture, settings, pixels that one pixel of the result sees at most
    ("unet", {"depth": 2}, 44),
    ("unet", {"depth": 3}, 100),
    ("unet", {"depth": 4}, 204),
    ("unet", {"depth": 5}, 412),
    ("unet", {"upsampling": "linear"}, 236),
    ("unet2015", {}, 204),
    ("attention", {}, 204),
    ("residual", {"variant": "zhang2018"}, 79),
    ("improved", {}, 300),
    ("improved", {"blocks": 2}, 582),
    ("vnet", {"variant": "figure"}, 548),
    ("vnet", {"variant": "release"}, 492),
    ("dense", {"variant": "56"}, 826),
    ("dense", {"variant": "67"}, 1016),
    ("dense", {"variant": "103"}, 2294),
]


@pytest.mark.parametrize(("name", "settings", "pixels"), FIELDS)
def test_measured_receptive_fields(name: str, settings: dict[str, Any], pixels: int) -> None:
    config = ModelConfig(architecture=name, **settings)
    geometry = measure(config)
    shape = (geometry.input_size(axis, 64) for axis in range(2))
    with torch.device("meta"):
        *_, last = trace(build(config).eval(), torch.empty(1, 1, *shape), geometry.step)
    assert last.field == (pixels, pixels)


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_every_layer_sees_what_its_gradient_reaches(name: str, variant: str) -> None:
    config = ModelConfig(architecture=name, variant=variant, ndim=1, base=2, depth=2, classes=1)
    geometry = measure(config)
    size = geometry.input_size(0, 4 * geometry.context[0] + 4 * geometry.step[0])
    with _probing():
        torch.manual_seed(0)
        network = build(config).eval()
        steps = trace(network, torch.ones(1, 1, size), geometry.step)
        _simplify(network)
        told = [step.field[0] for step in steps if step.name]
        assert told == [widest(x, line, geometry.step[0]) for x, line in maps(network, size)]


def maps(network: nn.Module, size: int) -> list[tuple[Tensor, Tensor]]:
    """Return the feature map of every layer, in order, with the line it was made from."""
    line = _ones(size).requires_grad_()
    made: list[Tensor] = []
    for layer in network.modules():
        if is_layer(layer):
            layer.inplace = False
            layer.register_forward_hook(lambda _layer, _inputs, x: made.append(x))
    network(line)
    return [(x, line) for x in made]


def widest(x: Tensor, line: Tensor, step: int) -> int:
    """Return the most pixels that a cell in the middle of `x` sees."""
    cells = max(1, round(step * x.shape[-1] / line.shape[-1]))
    first = x.shape[-1] // 2
    spans = []
    for cell in range(first, first + cells):
        (gradient,) = torch.autograd.grad(x[..., cell].sum(), line, retain_graph=True)
        seen = gradient[0, 0].nonzero().flatten()
        spans.append(int(seen[-1] - seen[0]) + 1)
    return max(spans)


def test_an_axis_that_is_left_alone_is_seen_less() -> None:
    config = ModelConfig(ndim=3, base=2, depth=3, halvings=(1, 3, 3), flat=(2, 0, 0))
    field = describe(config, size=32)["layers"][-1]["field"]
    assert field[0] < field[1] == field[2] == 100


def test_multiply_adds() -> None:
    lecture = describe(ModelConfig(classes=1), size=256)["macs"]
    assert round(lecture / 1e9, 2) == 13.91
    narrow = describe(ModelConfig(classes=1, upsampling="transposed"), size=256)["macs"]
    assert round(narrow / 1e9, 2) == 12.03
    classic = describe(ModelConfig(base=64, upsampling="transposed"), size=256)
    assert classic["parameters"] == 31_030_658
    assert round(classic["macs"] / 1e9, 1) == 48.1


def test_layers_name_their_kernels() -> None:
    card = describe(ModelConfig(architecture="unet2015"))
    kernels = [row["kernel"] for row in card["layers"] if row["kind"].startswith("Conv")]
    assert kernels.count([3, 3]) == 18
    assert kernels.count([2, 2]) == 4
    assert kernels[-1] == [1, 1]
    assert {str(row["kernel"]) for row in card["layers"] if row["kind"] == "ReLU"} == {"None"}
