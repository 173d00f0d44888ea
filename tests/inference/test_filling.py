"""When memory runs out, pieces get smaller and the result stays the same."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Noted, Started, TileDone
from napari_unet.inference import passes
from napari_unet.inference.canvas import Canvas
from napari_unet.inference.filling import Clock, Filling
from napari_unet.inference.ledger import Ledger
from napari_unet.inference.outputs import Outputs
from napari_unet.inference.predict import predict
from napari_unet.inference.task import choose_outputs, make_task, open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.inference.model import Model
    from napari_unet.models.strips import Run, Runner
    from napari_unet.tiling import Tile

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

NO_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    MemoryError(),
)
SHAPE = (61, 74)  # six tiles of 32, the last is the smallest
CONFIG = PredictConfig(outputs=("classes", "probabilities", "attention"), tile=32, threads=1)
FEWER_ROWS, NARROWER = 1200, 200  # pixels of a block: rows are halved; then tiles as well


class Scarce:
    """Makes runners of which, from the run `since` on, none takes a block of over `most` pixels."""

    def __init__(self, most: float, since: int = 0, error: BaseException = NO_MEMORY[0]) -> None:
        self.most, self.since, self.error = most, since, error
        self.runs = self.refused = 0
        self.make = passes.make_runner

    def __call__(self, *args: Any, **more: Any) -> Runner:
        runner = self.make(*args, **more)
        begin = runner.begin

        def begun(tiles: Sequence[Tile]) -> Run:
            self.runs += 1
            run = begin(tiles)
            if self.runs > self.since:
                run.feed = self.refuse(run.feed)
            return run

        runner.begin = begun
        return runner

    def refuse(self, feed: Any) -> Any:
        def fed(block: np.ndarray[Any, Any]) -> Any:
            if block.size > self.most:
                self.refused += 1
                raise self.error
            return feed(block)

        return fed


def run(model: Model, image: Any, config: PredictConfig = CONFIG) -> tuple[dict[str, Any], Any]:
    out: dict[str, Any] = {}
    return out, list(predict(model, image, out, config))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.parametrize("since", [0, 3, 5], ids=["first tile", "middle", "last tile"])
@pytest.mark.parametrize("most", [FEWER_ROWS, NARROWER])
def test_the_result_is_that_with_enough_memory(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, since: int, most: int
) -> None:
    model, image = models("attention"), picture(*SHAPE)
    expected, _ = run(model, image)
    monkeypatch.setattr(passes, "make_runner", Scarce(most, since))
    found, events = run(model, image)
    assert_same(found, expected)
    assert any("out of memory" in event.text for event in events if isinstance(event, Noted))
    tiles = [event for event in events if isinstance(event, TileDone)]
    seen = np.zeros(SHAPE, int)
    for tile in tiles:
        seen[tuple(map(slice, tile.start, tile.stop))] += 1
    assert (seen == 1).all()
    assert events[0] == Started(len(tiles))
    assert [tile.done for tile in tiles] == list(range(1, tiles[0].total + 1))


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda e: f"{type(e).__name__} {e}"[:32])
def test_every_way_of_saying_it_is_understood(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    model, image = models("attention"), picture(*SHAPE)
    expected, _ = run(model, image)
    monkeypatch.setattr(passes, "make_runner", Scarce(FEWER_ROWS, error=error))
    assert_same(run(model, image)[0], expected)


def test_every_pass_of_a_tile_is_done_again(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = models("attention"), picture(20, 24)
    config = replace_outputs(CONFIG, "classes", "uncertainty")
    expected, _ = run(model, image, config)
    assert expected["uncertainty"].std() > 0
    monkeypatch.setattr(passes, "make_runner", Scarce(NARROWER, since=5))
    assert_same(run(model, image, config)[0], expected)


def replace_outputs(config: PredictConfig, *outputs: str) -> PredictConfig:
    return PredictConfig.model_validate(config.model_dump() | {"outputs": outputs})


def test_later_planes_begin_with_the_pieces_that_went_well(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = models("attention"), picture(2, 40, 36)
    expected, _ = run(model, image)
    scarce = Scarce(NARROWER)
    monkeypatch.setattr(passes, "make_runner", scarce)
    found, events = run(model, image)
    assert_same(found, expected)
    noted = [
        k for k, e in enumerate(events) if isinstance(e, Noted) and e.text.startswith("out of")
    ]
    assert len(noted) == scarce.refused
    assert max(noted) < next(k for k, event in enumerate(events) if isinstance(event, TileDone))


def test_other_faults_are_not_tried_again(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    monkeypatch.setattr(passes, "make_runner", scarce)
    with pytest.raises(RuntimeError, match="mat1"):
        run(models("attention"), picture(*SHAPE))
    assert scarce.refused == 1


def test_out_of_memory_with_the_smallest_tile_is_told(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(0)
    monkeypatch.setattr(passes, "make_runner", scarce)
    with pytest.raises(InputError, match=r"U161.*4x4 pixels"):
        run(models("attention"), picture(*SHAPE))
    assert scarce.refused <= 5 + 2 * 3 + 1  # 80 rows to 4, tiles of 32x32 to 4x4, and there


def test_what_is_too_much_for_a_graphics_card_is_left_to_the_cpu(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = models("attention"), picture(*SHAPE)
    expected, _ = run(model, image)
    config = choose_outputs(CONFIG, model)
    task = make_task(model, open_image(image, model), config)
    with monkeypatch.context() as patch:
        patch.setattr(passes, "make_runner", Scarce(0, since=2))
        ways = passes.Passes(task)
    card = replace(model, device=torch.device("cuda"))  # as if its runners were on one
    ways.task = replace(task, model=card)
    found: dict[str, Any] = {}
    canvas = Canvas(task, Outputs(found, config.outputs))
    canvas.create()
    events = list(Filling(canvas, Ledger(task.grid, np.zeros(task.grid.shape, bool)), ways).run())
    assert_same(found, expected)
    noted = [event.text for event in events if isinstance(event, Noted)]
    assert noted[-1] == "out of memory: going on with the CPU"
    assert ways.task.model.device.type == "cpu"
    assert sum(isinstance(event, TileDone) for event in events) == task.grid.size


@pytest.mark.parametrize("tile", [32, "rows"])
def test_memory_that_is_too_small_to_write_a_tile_is_told(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, tile: int | str
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Canvas, "write", fail)
    config = PredictConfig(tile=tile, threads=1)
    with pytest.raises(InputError, match=r"U161.*written"):
        run(models(), picture(*SHAPE), config)


@pytest.mark.parametrize("most", [1400, 200])
def test_rows_stay_one_stream_when_they_are_cut(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    model, image = models("attention"), picture(1100, 50)
    config = PredictConfig(outputs=CONFIG.outputs, tile="rows", threads=1)
    expected, _ = run(model, image, config)
    scarce = Scarce(most)
    monkeypatch.setattr(passes, "make_runner", scarce)
    found, events = run(model, image, config)
    assert_same(found, expected)
    assert sum(isinstance(event, TileDone) for event in events) == 3
    n_columns = 1 if most > 1000 else 13  # of one step each
    assert scarce.runs - scarce.refused <= n_columns + 2  # two were begun ahead, and again


def test_a_stopped_prediction_leaves_no_thread(models: Models, picture: Images) -> None:
    before = set(threading.enumerate())
    stream = predict(models(), picture(*SHAPE), {}, PredictConfig(tile=32, threads=1))
    while not isinstance(next(stream), TileDone):
        pass
    assert {thread.name[:6] for thread in set(threading.enumerate()) - before} == {
        "reader", "writer",
    }  # fmt: skip
    stream.close()
    assert set(threading.enumerate()) == before


def test_a_point_that_is_sent_brings_near_tiles_first(models: Models, picture: Images) -> None:
    config = PredictConfig(tile=16, threads=1)
    stream = predict(models(), picture(3, 64, 64), {}, config)
    while not isinstance(next(stream), TileDone):
        pass
    tiles = []
    event = stream.send((2.0, 60.0, 5.0))
    tiles = [event, *(event for event in stream if isinstance(event, TileDone))]
    ahead = 2  # one is being written, one computed, when the point comes
    assert tiles[ahead].start == (2, 48, 0)
    rest = [tile.start for tile in tiles[ahead:]]
    assert [start[0] for start in rest] == sorted((start[0] for start in rest), reverse=True)
    assert len(tiles) == 3 * 16 - 1


def test_time_left_follows_the_last_tiles() -> None:
    clock = Clock(90, 100)
    left = [clock.tick() for _ in range(10)]
    assert (clock.before, clock.done, left[-1]) == (90, 100, 0)
    assert all(seconds > 0 for seconds in left[:-1])
