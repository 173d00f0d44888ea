"""Tiles, one by one or as a strip of neighbours: the same numbers, each tile complete, in order."""

from __future__ import annotations

import copy
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_unet.arrays.mirror import read_mirrored
from napari_unet.config import InputError, ModelConfig
from napari_unet.models.geometry import gate_strides, measure
from napari_unet.models.registry import build
from napari_unet.models.strips import FlowRunner, Mode, TileRunner, make_runner, watched
from napari_unet.tiling import Tile, tile_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.config.prediction import Backend
    from napari_unet.models.strips import Maps, Runner
    from napari_unet.tiling import Window
    from tests.models.conftest import Grown, Small

CPU = torch.device("cpu")
SHAPE = (45, 29)
EDGES = (0, 13, 14, 30, 45)  # not in phase with anything


def noise(shape: Sequence[int] = SHAPE, channels: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(channels, *shape)).astype(np.float32)


def flow_runner(network: nn.Module, config: ModelConfig, **mode: int | bool) -> FlowRunner:
    shape = SHAPE[: config.ndim]
    return FlowRunner(network, config, measure(config), shape, Mode(CPU, **mode))


def tile_runner(network: nn.Module, config: ModelConfig) -> TileRunner:
    shape = SHAPE[: config.ndim]
    return TileRunner(watched(network), config, measure(config), shape, CPU)


def strip(config: ModelConfig, edges: Sequence[int] = EDGES) -> list[Tile]:
    """Return tiles below one another; on the other axes they begin and end anywhere."""
    others = [slice(3, n - 2) for n in SHAPE[1 : config.ndim]]
    return [
        tile_at((slice(a, b), *others), SHAPE[: config.ndim], measure(config))
        for a, b in pairwise(edges)
    ]


def run(
    runner: Runner, tiles: Sequence[Tile], image: NDArray[np.float32]
) -> list[tuple[Tile, Maps]]:
    """Feed a strip with what it reads; check that it says when it is done."""
    running = runner.begin(tiles)
    found: list[tuple[Tile, Maps]] = []
    for window in running.reads:
        assert len(found) < len(tiles)  # nothing is read for nothing
        found += running.feed(read_mirrored(image, window))
    assert [tile.write for tile, _ in found] == [tile.write for tile in tiles]
    return found


def agree(parts: Maps, whole: Maps, tolerance: float = 1e-4) -> None:
    assert parts.keys() == whole.keys()
    for name, part in parts.items():
        assert part.dtype == np.float32
        spread = max(float(whole[name].std()), 0.01)  # alpha may hardly vary
        np.testing.assert_allclose(part, whole[name], rtol=0, atol=tolerance * spread)


def cut_out(maps: Maps, window: Window, config: ModelConfig) -> Maps:
    """Return the part of the maps of a whole image that lies in a window."""
    strides = {"logits": (1,) * config.ndim, **gate_strides(config)}
    return {
        name: values[
            (
                slice(None),
                *(
                    slice(w.start // n, -(-w.stop // n))
                    for w, n in zip(window, strides[name], strict=True)
                ),
            )
        ]
        for name, values in maps.items()
    }


def whole_of(network: nn.Module, config: ModelConfig, image: NDArray[np.float32]) -> Maps:
    """Run the plain network on the image and its frame."""
    everything = tuple(slice(0, n) for n in image.shape[1:])
    tile = tile_at(everything, image.shape[1:], measure(config))
    ((_, maps),) = run(tile_runner(network, config), [tile], image)
    return maps


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_a_strip_is_a_part_of_the_whole(first: Small, grown: Grown, rows: int) -> None:
    config = first(base=4, in_channels=2)
    network, image = grown(config).float(), noise(channels=2)
    whole = whole_of(network, config, image)
    runner = flow_runner(network, config, rows=rows, gates=True)
    for tile, maps in run(runner, strip(config), image):
        agree(maps, cut_out(whole, tile.write, config))


@pytest.mark.parametrize("ndim", [1, 2])
def test_tiles_alone_and_together_are_alike(small: Small, grown: Grown, ndim: int) -> None:
    config = small(ndim=ndim, base=4)
    network, image = grown(config).float(), noise(SHAPE[:ndim])
    runner, tiles = flow_runner(network, config, rows=8, gates=True), strip(config)
    together = run(runner, tiles, image)
    alone = [run(runner, [tile], image)[0] for tile in tiles]
    plain = run(tile_runner(network, config), tiles, image)
    for (_, a), (_, b), (_, c) in zip(together, alone, plain, strict=True):
        agree(a, c)
        agree(b, c)


def test_tiles_come_as_soon_as_they_are_complete(small: Small, grown: Grown) -> None:
    """No strip waits for its end: of many tiles most come before the last block is read."""
    config = small(ndim=1, depth=1)
    geometry, n = measure(config), 10 * max(measure(config).context)
    shape, step = (n,), geometry.step[0]
    network = grown(config).float()
    runner = FlowRunner(network, config, geometry, shape, Mode(CPU, rows=step))
    tiles = [Tile((), (slice(a, min(a + 4 * step, n)),)) for a in range(0, n, 4 * step)]
    running, image = runner.begin(tiles), noise(shape)
    for window in running.reads:
        for tile, _ in running.feed(read_mirrored(image, window)):
            assert window[0].start <= tile.write[0].stop + geometry.context[0] + step


def test_a_long_strip_takes_no_memory_before_its_rows_come(grown: Grown) -> None:
    config = ModelConfig(base=4, depth=2)
    geometry, shape, edge = measure(config), (2**14, 32), 1024
    runner = FlowRunner(grown(config).float(), config, geometry, shape, Mode(CPU))
    tiles = [Tile((), (slice(a, a + edge), slice(0, 32))) for a in range(0, shape[0], edge)]
    tracemalloc.start()
    try:
        run = runner.begin(tiles)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(run.reads) >= len(tiles)
    assert held < shape[0] * shape[1]  # a byte per pixel; the logits will take eight


def test_no_more_is_read_than_a_tile_reads(first: Small, grown: Grown) -> None:
    config = first()
    runner = flow_runner(grown(config).float(), config, rows=4)
    for tile in strip(config):
        reads = runner.begin([tile]).reads
        for axis, (whole, *_) in enumerate(zip(tile.read, *reads, strict=True)):
            assert whole.start <= min(window[axis].start for window in reads)
            assert max(window[axis].stop for window in reads) <= whole.stop
        for before, after in pairwise(reads):
            assert before[0].stop == after[0].start
            assert before[1:] == after[1:]


def test_a_strip_reads_every_row_once(first: Small, grown: Grown) -> None:
    """As many as one tile of its size, and fewer than its tiles one by one."""
    config = first()
    runner = flow_runner(grown(config).float(), config, rows=8)
    (one,) = strip(config, (EDGES[0], EDGES[-1]))

    def rows(tiles: Sequence[Tile]) -> int:
        return sum(window[0].stop - window[0].start for window in runner.begin(tiles).reads)

    assert rows(strip(config)) == rows([one])
    assert rows([one]) < sum(rows([tile]) for tile in strip(config))


def test_halving_ends_and_changes_nothing(small: Small, grown: Grown) -> None:
    config = small()
    network, image, tiles = grown(config).float(), noise(), strip(small())
    runner = flow_runner(network, config, rows=50)
    before = run(runner, tiles, image)
    lengths = [runner.rows]
    while runner.halve():
        lengths.append(runner.rows)
    assert lengths[-1] == measure(config).step[0]
    assert all(after < rows for rows, after in pairwise(lengths))
    for (_, a), (_, b) in zip(before, run(runner, tiles, image), strict=True):
        agree(a, b)


def test_halving_never_takes_more(grown: Grown) -> None:
    config = ModelConfig(base=2, depth=2)
    runner = flow_runner(grown(config).float(), config, rows=1)
    assert not runner.halve()
    assert runner.rows == 1


def test_a_strip_under_way_is_not_disturbed_by_halving(small: Small, grown: Grown) -> None:
    config = small()
    image, tiles = noise(), strip(config)
    runner = flow_runner(grown(config).float(), config, rows=8)
    calm = run(runner, tiles, image)
    running, found = runner.begin(tiles), []
    for window in running.reads:
        found += running.feed(read_mirrored(image, window))
        runner.halve()
    for (_, a), (_, b) in zip(found, calm, strict=True):
        agree(a, b, 0)


def test_one_by_one_cannot_be_halved(grown: Grown) -> None:
    config = ModelConfig(base=2, depth=1)
    assert not tile_runner(grown(config).float(), config).halve()


def test_tiles_one_by_one_take_any_function(grown: Grown) -> None:
    """Such as another program that runs the same network."""
    config = ModelConfig(base=2, depth=1)
    network, image = grown(config).float(), noise()
    other = TileRunner(lambda x: {"logits": network(x) + 1}, config, measure(config), SHAPE, CPU)
    plain = run(tile_runner(network, config), strip(config), image)
    for (_, a), (_, b) in zip(run(other, strip(config), image), plain, strict=True):
        np.testing.assert_allclose(a["logits"], b["logits"] + 1, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_rows_flow_unless_another_program_computes(grown: Grown, backend: Backend) -> None:
    config = ModelConfig(base=2, depth=1)
    network, geometry, mode = grown(config).float(), measure(config), Mode(CPU, rows=8)
    runner = make_runner(network, config, geometry, SHAPE, mode, backend)
    assert isinstance(runner, FlowRunner)


def test_another_program_has_no_dropout(grown: Grown) -> None:
    config = ModelConfig(base=2, depth=1)
    mode = Mode(CPU, rows=8, dropout=0)
    with pytest.raises(InputError, match=r"U151.*openvino"):
        make_runner(grown(config).float(), config, measure(config), SHAPE, mode, "openvino")


@pytest.fixture
def dropping() -> tuple[nn.Module, ModelConfig]:
    """A network that drops cells out in training."""
    torch.manual_seed(0)
    config = ModelConfig(base=4, depth=1, dropout=0.5, norm="batch")
    return build(config).eval(), config


def test_a_seed_decides_what_is_dropped_out(dropping: tuple[nn.Module, ModelConfig]) -> None:
    image, tiles = noise(), strip(dropping[1])
    results = []
    for seed in (1, 1, 2, None):
        runner = flow_runner(*dropping, rows=8, dropout=seed)
        results.append(run(runner, tiles, image)[1][1]["logits"])
        torch.rand(3)  # whatever else is drawn
    first, again, other, whole = results
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1 * whole.std()
    assert np.abs(first - whole).max() > 0.1 * whole.std()


def test_a_tile_drops_out_the_same_whenever_it_comes(
    dropping: tuple[nn.Module, ModelConfig],
) -> None:
    image, tiles = noise(), strip(dropping[1])
    forth = [run(flow_runner(*dropping, rows=8, dropout=0), [t], image)[0] for t in tiles]
    back = [run(flow_runner(*dropping, rows=8, dropout=0), [t], image)[0] for t in tiles[::-1]]
    for (_, a), (_, b) in zip(forth, back[::-1], strict=True):
        np.testing.assert_array_equal(a["logits"], b["logits"])


def test_strips_side_by_side_drop_out_the_same(dropping: tuple[nn.Module, ModelConfig]) -> None:
    """Random numbers that somebody else draws meanwhile are none of a strip's business."""
    image, tiles = noise(), strip(dropping[1])
    runner = flow_runner(*dropping, rows=8, dropout=0)
    calm = run(runner, tiles, image)
    running, found = runner.begin(tiles), []
    for window in running.reads:
        torch.rand(5)
        found += running.feed(read_mirrored(image, window))
    for (_, a), (_, b) in zip(found, calm, strict=True):
        np.testing.assert_array_equal(a["logits"], b["logits"])


def test_dropping_out_leaves_the_callers_randomness_alone(
    dropping: tuple[nn.Module, ModelConfig],
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    run(flow_runner(*dropping, rows=8, dropout=0), strip(dropping[1]), noise())
    assert torch.equal(torch.rand(4), expected)


def test_the_network_is_left_as_it_was(dropping: tuple[nn.Module, ModelConfig]) -> None:
    network, _ = dropping
    before = copy.deepcopy(network.state_dict())
    run(flow_runner(*dropping, rows=8, dropout=0), strip(dropping[1]), noise())
    half = Mode(CPU, dtype=torch.bfloat16, rows=8)
    FlowRunner(*dropping, measure(dropping[1]), SHAPE, half)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert not any(module.training for module in network.modules())
    assert all(value.is_contiguous() for value in after.values())


@pytest.mark.parametrize("architecture", ["unet2015", "attention", "residual"])
def test_a_strip_that_begins_further_down_has_the_same_bits(architecture: str) -> None:
    """So a stream that was stopped goes on as if it had never been."""
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, base=16, depth=2)
    network, geometry, shape = build(config).eval(), measure(config), (200, 61)
    runner = FlowRunner(network, config, geometry, shape, Mode(CPU, rows=16, top=0))
    tiles = [Tile((), (slice(a, a + 40), slice(0, 61))) for a in range(0, 200, 40)]
    whole = [maps["logits"] for _, maps in run(runner, tiles, noise(shape))]
    for begun in range(1, len(tiles)):
        part = [maps["logits"] for _, maps in run(runner, tiles[begun:], noise(shape))]
        np.testing.assert_array_equal(np.hstack(part), np.hstack(whole[begun:]))
