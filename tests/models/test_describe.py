"""Published parameter counts and sizes."""

from __future__ import annotations

import json

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.models.describe import describe

PUBLISHED = [  # architecture, channels in, classes, options, parameters
    ("unet2015", 1, 2, {}, 31_030_658),
    ("unet2015", 1, 1, {}, 31_030_593),
    ("unet2015", 3, 1, {}, 31_031_745),
    ("unet2015", 3, 2, {}, 31_031_810),
    ("unet", 1, 1, {}, 7_846_081),
    ("unet", 1, 2, {}, 7_846_114),
    ("unet", 3, 1, {}, 7_846_657),
    ("unet", 1, 1, {"depth": 3}, 1_946_305),
    ("unet", 1, 1, {"depth": 5}, 31_442_113),
    ("unet", 1, 1, {"base": 64}, 31_377_793),
    ("unet", 1, 1, {"norm": "batch"}, 7_851_969),
    ("unet", 1, 1, {"ndim": 1}, 2_617_345),
    ("unet", 1, 1, {"ndim": 3}, 23_532_289),
    ("unet", 1, 1, {"ndim": 1, "base": 16}, 655_105),
    ("unet", 1, 1, {"upsampling": "transposed"}, 7_759_521),
    ("unet", 1, 1, {"upsampling": "linear"}, 7_846_081),
    ("attention", 1, 1, {}, 8_720_004),
    ("attention", 1, 1, {"upsampling": "transposed"}, 8_633_444),
]


@pytest.mark.parametrize(("name", "channels", "classes", "options", "parameters"), PUBLISHED)
def test_published_parameters(
    name: str, channels: int, classes: int, options: dict[str, object], parameters: int
) -> None:
    card = describe(
        ModelConfig(architecture=name, in_channels=channels, classes=classes, **options)
    )
    assert card["parameters"] == parameters
    assert sum(layer["parameters"] for layer in card["layers"]) == parameters


def test_the_paper_s_figure() -> None:
    card = describe(ModelConfig(architecture="unet2015"))
    assert card["input"] == [1, 572, 572]
    assert card["geometry"] == {"step": [16, 16], "margin": [96, 96], "lost": [92, 92]}
    convolutions = [row for row in card["layers"] if row["kind"].startswith("Conv")]
    assert len(convolutions) == 23
    sizes = [row["shape"][1] for row in convolutions]
    down = [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    assert sizes == [*down, 56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388]
    assert [row["parameters"] for row in convolutions if "Transpose" in row["kind"]] == [
        2_097_664,
        524_544,
        131_200,
        32_832,
    ]


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
