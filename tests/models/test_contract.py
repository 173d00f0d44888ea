"""What every architecture in the table must obey."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from napari_unet.arrays.intensity import Intensity
from napari_unet.models.attention import watch_gates
from napari_unet.models.describe import describe
from napari_unet.models.geometry import gate_strides, measure
from napari_unet.models.registry import build
from napari_unet.models.tiles import gate_tile, run_tile
from napari_unet.tiling import Tile, cut, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.config import ModelConfig

    Small = Callable[..., ModelConfig]
    Grown = Callable[..., nn.Module]

AS_IT_IS = Intensity(offset=(0.0,), scale=(1.0,), fill=(0.0,))
CPU = torch.device("cpu")
OPTIONS = [
    {"norm": "none", "upsampling": "nearest"},
    {"norm": "batch", "upsampling": "linear"},
    {"norm": "batch", "upsampling": "transposed"},
]
CASES = [  # shape of the image, edge of the tiles
    ((1,), 4),
    ((2,), 1),
    ((61,), 1),
    ((61,), 12),
    ((1, 1), 4),
    ((1, 30), 8),
    ((41, 26), 8),
    ((41, 26), 20),
    ((5, 1, 9), 4),
    ((3, 11, 6), 6),
]


def noise(shape: Sequence[int]) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)


def assemble(network: nn.Module, image: NDArray[Any], tiles: list[Tile]) -> NDArray[Any]:
    blocks = [run_tile(network, image, AS_IT_IS, tile, CPU) for tile in tiles]
    result = np.full((len(blocks[0]), *image.shape[1:]), np.nan)
    for tile, block in zip(tiles, blocks, strict=True):
        result[(slice(None), *tile.write)] = block
    return result


def whole_and_tiled(
    network: nn.Module, config: ModelConfig, shape: Sequence[int], size: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    geometry, image = measure(config), noise(shape)
    whole = assemble(network, image, plan_tiles(shape, max(shape) + geometry.step[0], geometry))
    return whole, assemble(network, image, plan_tiles(shape, size, geometry))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS)
def test_one_logit_per_class_and_pixel(small: Small, ndim: int, options: dict[str, str]) -> None:
    config = small(ndim=ndim, in_channels=2, **options)
    geometry = measure(config)
    size = geometry.smallest[0] + geometry.step[0]
    logits = build(config)(torch.zeros(2, 2, *[size] * ndim))
    assert logits.shape == (2, 3, *[size - 2 * geometry.lost[0]] * ndim)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_parameter_learns(
    small: Small, grown: Grown, ndim: int, options: dict[str, str], depth: int
) -> None:
    config = small(ndim=ndim, depth=depth, **options)
    network = grown(config).float()
    size = measure(config).input_size(0, 4)
    network(torch.randn(1, 1, *[size] * ndim)).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_seed_decides_the_parameters(small: Small) -> None:
    first, again, other = (save(seeded(small(), seed).state_dict()) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def seeded(config: ModelConfig, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(config)


@pytest.mark.parametrize("options", OPTIONS)
def test_parameters_survive_a_file(small: Small, grown: Grown, options: dict[str, str]) -> None:
    config = small(ndim=1, **options)
    network, stranger = grown(config), build(config).double().eval()
    stranger.load_state_dict(load(save(network.state_dict())))
    line = torch.randn(1, 1, measure(config).smallest[0], dtype=torch.float64)
    assert torch.equal(network(line), stranger(line))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("shape", "size"), CASES)
def test_tiled_is_whole(
    small: Small, grown: Grown, options: dict[str, str], shape: tuple[int, ...], size: int
) -> None:
    depth = 2 if len(shape) < 3 else 1  # a deeper volume takes seconds
    config = small(ndim=len(shape), base=2, depth=depth, **options)
    whole, tiled = whole_and_tiled(grown(config), config, shape, size)
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


def test_tiled_is_whole_in_float32(small: Small, grown: Grown) -> None:
    config = small(depth=3, base=4)
    whole, tiled = whole_and_tiled(grown(config).float(), config, (101, 90), 32)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-4 * whole.std())


def test_margin_one_step_short_is_not_enough(small: Small, grown: Grown) -> None:
    config = small()
    geometry, image = measure(config), noise((40, 40))
    if geometry.lost[0]:
        pytest.skip("a valid network cannot read less: it would write less")
    short = replace(geometry, margin=tuple(m - geometry.step[0] for m in geometry.margin))
    network = grown(config)
    whole = assemble(network, image, plan_tiles((40, 40), 40, geometry))
    tiled = assemble(network, image, plan_tiles((40, 40), 8, short))
    assert np.abs(tiled - whole).max() > 1e-6 * whole.std()


def test_tiles_off_phase_differ(small: Small, grown: Grown) -> None:
    config = small(ndim=1)
    geometry, image, network = measure(config), noise((40,)), grown(config)
    (tile,) = plan_tiles((40,), 40, geometry)
    whole = run_tile(network, image, AS_IT_IS, tile, CPU)
    (read,) = tile.read
    for shift in range(1, 2 * geometry.step[0] + 1):
        moved = Tile((slice(read.start + shift, read.stop + shift),), (slice(shift, 40),))
        block = run_tile(network, image, AS_IT_IS, moved, CPU)
        difference = np.abs(block - whole[:, shift:]).max() / whole.std()
        if shift % geometry.step[0]:
            assert difference > 1e-3
        else:
            assert difference < 1e-12


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gates_tile_as_well(small: Small, grown: Grown, depth: int) -> None:
    shape = (37, 22)
    config = small(depth=depth)
    geometry, image, network = measure(config), noise(shape), grown(config)
    maps = {}
    for size in (64, 8):
        maps[size] = {
            name: np.full((1, *(-(-n // stride) for n in shape)), np.nan)
            for name, stride in gate_strides(config).items()
        }
        for tile in plan_tiles(shape, size, geometry):
            with watch_gates(network) as alphas:
                run_tile(network, image, AS_IT_IS, tile, CPU)
            assert alphas.keys() == maps[size].keys()
            for name, alpha in alphas.items():
                cells = gate_tile(tile, gate_strides(config)[name])
                maps[size][name][(slice(None), *cells.write)] = cut(alpha[0].numpy(), cells)
    for name, whole in maps[64].items():
        assert ((whole >= 0) & (whole <= 1)).all()
        np.testing.assert_allclose(maps[8][name], whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_twin_speaks_for_the_network(small: Small, ndim: int, options: dict[str, str]) -> None:
    config = small(ndim=ndim, **options)
    geometry = measure(config)
    step, smallest, lost = geometry.step[0], geometry.smallest[0], geometry.lost[0]
    assert lost or smallest % step == 0
    assert geometry.margin[0] % step == 0
    network = build(config).eval()
    for size in (smallest, smallest + step):
        assert network(torch.zeros(1, 1, *[size] * ndim)).shape[-1] == size - 2 * lost
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.zeros(1, 1, *[smallest + 1] * ndim))


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_description_adds_up(small: Small, ndim: int) -> None:
    config = small(ndim=ndim, in_channels=2)
    card, network = describe(config, size=8), build(config).eval()
    image = torch.zeros(1, *card["input"])
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["parameters"] == sum(layer["parameters"] for layer in card["layers"])
    assert card["layers"][-1]["shape"] == list(network(image).shape[1:])
    assert all(n >= 8 for n in card["layers"][-1]["shape"][1:])
