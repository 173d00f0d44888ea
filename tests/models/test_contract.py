"""What every architecture in the table must obey, in every variant and style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from napari_unet.arrays.intensity import Intensity
from napari_unet.models.attention import watch_gates
from napari_unet.models.describe import describe
from napari_unet.models.flow import Flow
from napari_unet.models.geometry import measure
from napari_unet.models.graph import make_graph
from napari_unet.models.registry import build
from napari_unet.models.tiles import run_tile
from napari_unet.tiling import Tile, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.config import ModelConfig
    from tests.models.conftest import Grown, Small

AS_IT_IS = Intensity(offset=(0.0,), scale=(1.0,), fill=(0.0,))
CPU = torch.device("cpu")
# shape of the image, edge of the tiles; around the last the frame is as wide as the margin
LINES = [((1,), 4), ((2,), 1), ((61,), 1), ((61,), 12), ((243,), 40)]
PLANES = [((1, 1), 4), ((1, 30), 16), ((41, 26), 20)]
SHALLOW = {"depth": 1, "kernel": 3, "blocks": 1}  # a volume that sees further takes seconds
AXES = [  # settings of a network whose axes differ
    {"halvings": (0, 2)},
    {"flat": (1, 0)},
    {"halvings": (1, 2), "flat": (1, 0)},
    {"halvings": (0, 1), "flat": (2, 0)},
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
    network: nn.Module, config: ModelConfig, shape: Sequence[int], size: int | Sequence[int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    geometry, image = measure(config), noise(shape)
    everything = [n + step for n, step in zip(shape, geometry.step, strict=True)]
    whole = assemble(network, image, plan_tiles(shape, everything, geometry))
    return whole, assemble(network, image, plan_tiles(shape, size, geometry))


def one_line(config: ModelConfig, size: int = 1) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(1, 1, measure(config).input_size(0, size), dtype=torch.float64)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_one_logit_per_class_and_pixel(styled: Small, ndim: int) -> None:
    config = styled(ndim=ndim, in_channels=2, depth=2 if ndim < 3 else 1)
    geometry = measure(config)
    size = geometry.smallest[0] + geometry.step[0]
    logits = build(config)(torch.zeros(2, 2, *[size] * ndim))
    assert logits.shape == (2, 3, *[size - 2 * geometry.lost[0]] * ndim)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(("ndim", "depth"), [(1, 1), (1, 2), (2, 2), (3, 1)])
def test_every_parameter_learns(styled: Small, grown: Grown, ndim: int, depth: int) -> None:
    config = styled(ndim=ndim, depth=depth, base=12)  # wide enough that not all ReLUs are shut
    network = grown(config).float()
    size = measure(config).input_size(0, 8)
    network(torch.randn(2, 1, *[size] * ndim)).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_seed_decides_the_parameters(small: Small) -> None:
    first, again, other = (save(seeded(small(), seed).state_dict()) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def seeded(config: ModelConfig, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(config)


def test_parameters_survive_a_file(styled: Small, grown: Grown) -> None:
    config = styled(ndim=1)
    network, stranger = grown(config), build(config).double().eval()
    stranger.load_state_dict(load(save(network.state_dict())))
    assert torch.equal(network(one_line(config)), stranger(one_line(config)))


@pytest.mark.parametrize(("shape", "size"), [*LINES, *PLANES])
def test_tiled_is_whole(styled: Small, grown: Grown, shape: tuple[int, ...], size: int) -> None:
    config = styled(ndim=len(shape), base=2)
    whole, tiled = whole_and_tiled(grown(config), config, shape, size)
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


def test_tiled_is_whole_in_volumes(first: Small, grown: Grown) -> None:
    config = first(ndim=3, base=2, **SHALLOW)
    whole, tiled = whole_and_tiled(grown(config), config, (5, 1, 6), 4)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_tiled_is_whole_where_axes_differ(
    styled: Small, grown: Grown, axes: dict[str, tuple[int, ...]]
) -> None:
    config = styled(ndim=2, base=2, **axes)
    whole, tiled = whole_and_tiled(grown(config), config, (7, 33), (4, 16))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


def test_tiled_is_whole_in_a_stack_of_thick_slices(first: Small, grown: Grown) -> None:
    thick = {"depth": 2, "flat": (1, 0, 0), "halvings": (1, 1, 1)}
    config = first(ndim=3, base=1, **{**SHALLOW, **thick})
    assert measure(config).step == (2, 2, 2)
    whole, tiled = whole_and_tiled(grown(config), config, (3, 5, 4), (2, 4, 4))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


def test_tiled_is_whole_in_a_stack_of_few_slices(first: Small, grown: Grown) -> None:
    config = first(ndim=3, base=1, **SHALLOW, halvings=(0, 1, 1))
    assert measure(config).step == (1, 2, 2)
    whole, tiled = whole_and_tiled(grown(config), config, (3, 5, 4), (2, 4, 4))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-12)


def test_tiled_is_whole_in_float32(small: Small, grown: Grown) -> None:
    config = small(base=4)
    whole, tiled = whole_and_tiled(grown(config).float(), config, (71, 90), 48)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-4 * whole.std())


@pytest.mark.parametrize("ndim", [1, 2])
def test_flow_is_whole(styled: Small, grown: Grown, ndim: int) -> None:
    config = styled(ndim=ndim, base=2, in_channels=2, classes=1)
    check_flow(grown(config), config, (37, 10)[:ndim])


def test_flow_is_whole_in_volumes(first: Small, grown: Grown) -> None:
    config = first(ndim=3, base=2, **SHALLOW)
    check_flow(grown(config), config, (7, 2, 3))


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_flow_is_whole_where_axes_differ(
    styled: Small, grown: Grown, axes: dict[str, tuple[int, ...]]
) -> None:
    config = styled(ndim=2, base=2, **axes)
    check_flow(grown(config), config, (11, 10))


def check_flow(network: nn.Module, config: ModelConfig, pixels: Sequence[int]) -> None:
    """Compare logits and gates with those of the plain network, in rows of every kind.

    All of them, and those of a window that lies in phase with nothing.
    """
    geometry = measure(config)
    size = [geometry.input_size(axis, n) for axis, n in enumerate(pixels)]
    torch.manual_seed(1)
    image = torch.randn(1, config.in_channels, *size, dtype=torch.float64)
    with torch.inference_mode(), watch_gates(network) as gates:
        whole = {"logits": network(image), **gates}
    graph = make_graph(network, config, geometry, gates=True)
    for rows in (geometry.step[0], 3 * geometry.step[0] + 1, max(size)):
        for share in (1, 3):
            wanted = {name: inner(values.shape[2:], share) for name, values in whole.items()}
            found = let_flow(Flow(graph, size, wanted, rows), image)
            assert found.keys() == whole.keys()
            for name, values in found.items():
                window = tuple(slice(*extent) for extent in wanted[name])
                expected = whole[name][(..., *window)]
                torch.testing.assert_close(values, expected, rtol=0, atol=1e-12)


def inner(shape: Sequence[int], share: int) -> tuple[tuple[int, int], ...]:
    """Return start and stop of the middle along each axis: a share of the cells, rounded up."""
    lengths = [-(-n // share) for n in shape]
    return tuple(((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, lengths, strict=True))


def let_flow(flow: Flow, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Push the part of an image that a flow asks for; put together what it gives."""
    pieces: dict[str, list[torch.Tensor]] = {}
    columns = [slice(*extent) for extent in flow.box[1:]]
    with torch.inference_mode():
        for start, stop in flow.blocks:
            for name, _, piece in flow.push(image[(..., slice(start, stop), *columns)]):
                pieces.setdefault(name, []).append(piece.clone())
    return {name: torch.cat(found, dim=2) for name, found in pieces.items()}


def test_margin_one_step_short_is_not_enough(small: Small, grown: Grown) -> None:
    config = small(ndim=1, base=16)
    geometry, network = measure(config), grown(config)
    (step,), (margin,), (lost,) = geometry.step, geometry.margin, geometry.lost
    line = one_line(config, 4 * margin).requires_grad_()
    logits = network(line)
    reaches = []
    for start in range(margin, logits.shape[-1] - margin, step):
        block = logits[..., start : start + step].sum()
        (gradient,) = torch.autograd.grad(block, line, retain_graph=True)
        seen = gradient[0, 0].nonzero().flatten() - lost - start
        reaches.append(max(-int(seen[0]), int(seen[-1]) - step + 1))
    assert margin - step < max(reaches) <= margin


def test_tiles_off_phase_differ(small: Small, grown: Grown) -> None:
    config = small(ndim=1, base=8)
    geometry, network = measure(config), grown(config)
    n = max(40, 4 * geometry.margin[0])  # so long that its frame is the whole margin
    image = noise((n,))
    (tile,) = plan_tiles((n,), n, geometry)
    whole = run_tile(network, image, AS_IT_IS, tile, CPU)
    (read,) = tile.read
    for shift in range(1, 2 * geometry.step[0] + 1):
        moved = Tile((slice(read.start + shift, read.stop + shift),), (slice(shift, n),))
        block = run_tile(network, image, AS_IT_IS, moved, CPU)
        difference = np.abs(block - whole[:, shift:]).max() / whole.std()
        if shift % geometry.step[0]:
            assert difference > 1e-3
        else:
            assert difference < 1e-12


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_twin_speaks_for_the_network(styled: Small, ndim: int) -> None:
    config = styled(ndim=ndim, depth=2 if ndim < 3 else 1)
    speaks_for(config)


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_every_axis_has_a_twin_of_its_own(styled: Small, axes: dict[str, tuple[int, ...]]) -> None:
    config = styled(ndim=2, **axes)
    assert measure(config).step == tuple(2 ** config.levels(axis)[1] for axis in range(2))
    speaks_for(config)


def speaks_for(config: ModelConfig) -> None:
    """Check that the geometry of the twins is that of the network, as far as sizes tell."""
    geometry, network = measure(config), build(config).eval()
    assert all(m % step == 0 for m, step in zip(geometry.margin, geometry.step, strict=True))
    assert any(geometry.lost) or geometry.smallest == geometry.step
    for steps in (0, 1):
        sizes = np.add(geometry.smallest, np.multiply(steps, geometry.step))
        logits = network(torch.zeros(1, 1, *sizes.tolist()))
        assert logits.shape[2:] == tuple(sizes - np.multiply(2, geometry.lost))


def test_export_gives_the_same_numbers(small: Small, grown: Grown) -> None:
    config = small()
    network = grown(config).float()
    image = torch.randn(1, 1, *[measure(config).input_size(0, 8)] * 2)
    exported = torch.export.export(network, (image,))
    torch.testing.assert_close(exported.module()(image), network(image))


def test_mixed_precision_stays_finite(styled: Small) -> None:
    torch.manual_seed(0)
    config = styled(base=4)
    network = build(config)
    image = torch.randn(2, 1, *[measure(config).input_size(0, 16)] * 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(image)
    assert logits.isfinite().all()
    logits.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_description_adds_up(small: Small, ndim: int) -> None:
    config = small(ndim=ndim, in_channels=2, depth=2 if ndim < 3 else 1)
    card, network = describe(config, size=8), build(config).eval()
    image = torch.zeros(1, *card["input"])
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["parameters"] == sum(layer["parameters"] for layer in card["layers"])
    assert card["layers"][-1]["shape"] == list(network(image).shape[1:])
    assert all(n >= 8 for n in card["layers"][-1]["shape"][1:])
