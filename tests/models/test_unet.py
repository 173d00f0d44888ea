"""The padded U-Net, parameter for parameter (fact sheet, rows 6 to 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.models.geometry import measure
from napari_unet.models.registry import build
from napari_unet.tiling import plan_tiles
from tests.models.conftest import count, on_paper
from tests.models.test_contract import whole_and_tiled

if TYPE_CHECKING:
    from tests.models.conftest import Grown

COUNTS = [  # settings that differ from the lecture's net 1 -> 1, parameters
    ({}, 7_846_081),
    ({"classes": 2}, 7_846_114),
    ({"in_channels": 3}, 7_846_657),
    ({"depth": 3}, 1_946_305),
    ({"depth": 5}, 31_442_113),
    ({"base": 64}, 31_377_793),
    ({"norm": "batch"}, 7_851_969),
    ({"ndim": 1}, 2_617_345),
    ({"ndim": 3}, 23_532_289),
    ({"ndim": 1, "kernel": 9}, 7_846_081),
    ({"ndim": 1, "base": 16}, 655_105),
    ({"upsampling": "transposed"}, 7_759_521),
    ({"upsampling": "linear"}, 7_846_081),
]


@pytest.mark.parametrize(("settings", "parameters"), COUNTS, ids=str)
def test_parameters(settings: dict[str, object], parameters: int) -> None:
    assert count(on_paper(ModelConfig(**{"classes": 1, **settings}))) == parameters


def test_parameters_of_every_stage() -> None:
    network = on_paper(ModelConfig(classes=1))
    stages = [*network.encoder.stages, *network.decoder, network.head]
    assert [count(stage) for stage in stages] == [
        9_568, 55_424, 221_440, 885_248, 3_539_968, 2_359_808, 590_080, 147_584, 36_928, 33,
    ]  # fmt: skip


def test_flat_slices_are_convolved_one_by_one() -> None:
    torch.manual_seed(0)
    settings = {"base": 2, "depth": 2, "classes": 1}
    volume = build(ModelConfig(ndim=3, flat=(2, 0, 0), halvings=(0, 2, 2), **settings)).eval()
    with torch.no_grad():  # and the bottom, which is never flat here, sees the middle slice alone
        for layer in volume.encoder.stages[2]:
            if isinstance(layer, torch.nn.Conv3d):
                layer.weight[:, :, [0, 2]] = 0
    plane = build(ModelConfig(ndim=2, **settings)).eval()
    middle = {
        name: values if values.ndim < 5 else values[:, :, values.shape[2] // 2]
        for name, values in volume.state_dict().items()
    }
    plane.load_state_dict(middle)
    image = torch.randn(1, 1, 3, 8, 12)
    for z in range(3):
        torch.testing.assert_close(volume(image)[:, :, z], plane(image[:, :, z]))


def test_a_deep_network_tiles_a_stack_of_five_slices_exactly(grown: Grown) -> None:
    config = ModelConfig(ndim=3, base=1, depth=3, halvings=(2, 3, 3), flat=(1, 0, 0))
    geometry = measure(config)
    assert (geometry.step, geometry.margin) == ((4, 8, 8), (24, 48, 48))
    tiles = plan_tiles((5, 11, 6), (4, 8, 8), geometry)
    assert len(tiles) == 4
    whole, tiled = whole_and_tiled(grown(config), config, (5, 11, 6), (4, 8, 8))
    assert abs(tiled - whole).max() <= 1e-12
