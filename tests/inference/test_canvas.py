"""When memory runs out, tiles get smaller and the result stays the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Finished, Noted, Started, TileDone
from napari_unet.inference import canvas
from napari_unet.inference.predict import predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.inference.model import Model
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
SHAPE = (100, 110)  # the frame is as wide as the margin, 24; of 16 tiles the last is the smallest
CONFIG = PredictConfig(outputs=("classes", "probabilities", "attention"), tile=32, threads=1)


class Scarce:
    """Runs tiles, but from the call `since` on none that reads more pixels than `most`."""

    def __init__(self, most: float, since: int = 0, error: BaseException = NO_MEMORY[0]) -> None:
        self.most, self.since, self.error, self.calls = most, since, error, 0
        self.run = canvas.run_tile

    def __call__(self, network: Any, image: Any, intensity: Any, tile: Tile, device: Any) -> Any:
        self.calls += 1
        size = math.prod(r.stop - r.start for r in tile.read)
        if self.calls > self.since and size > self.most:
            raise self.error
        return self.run(network, image, intensity, tile, device)


def run(model: Model, image: Any) -> tuple[dict[str, Any], list[Any]]:
    out: dict[str, Any] = {}
    return out, list(predict(model, image, out, CONFIG))


@pytest.mark.parametrize("since", [0, 7, 15], ids=["first tile", "middle", "last tile"])
@pytest.mark.parametrize("most", [3300, 2800])
def test_the_result_is_that_with_enough_memory(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, since: int, most: int
) -> None:
    model, image = models("attention"), picture(*SHAPE)
    expected, _ = run(model, image)
    monkeypatch.setattr(canvas, "run_tile", Scarce(most, since))
    found, events = run(model, image)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)
    assert any("out of memory" in event.text for event in events if isinstance(event, Noted))
    tiles = [event for event in events if isinstance(event, TileDone)]
    seen = np.zeros(SHAPE, int)
    for tile in tiles:
        seen[tuple(map(slice, tile.start, tile.stop))] += 1
    assert (seen == 1).all()
    assert tiles[-1].done == tiles[-1].total == len(tiles)
    assert [tile.done for tile in tiles] == list(range(1, len(tiles) + 1))


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda e: f"{type(e).__name__} {e}"[:32])
def test_every_way_of_saying_it_is_understood(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    model, image = models("attention"), picture(*SHAPE)
    expected, _ = run(model, image)
    monkeypatch.setattr(canvas, "run_tile", Scarce(3500, error=error))
    found, _ = run(model, image)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)


def test_a_tile_that_hangs_over_the_far_edge_can_shrink_too(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = models("attention"), picture(97, 100)  # the last tiles write one row
    expected, events = run(model, image)
    assert events[0] == Started(16)
    monkeypatch.setattr(canvas, "run_tile", Scarce(3500, since=12))
    found, events = run(model, image)
    assert any(isinstance(event, Noted) for event in events)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)


def test_later_planes_begin_with_the_tiles_that_went_well(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = models("attention"), picture(3, *SHAPE)
    expected, _ = run(model, image)
    scarce = Scarce(3500)
    monkeypatch.setattr(canvas, "run_tile", scarce)
    found, events = run(model, image)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    tiles = [event for event in events if isinstance(event, TileDone)]
    refused = sum(isinstance(event, Noted) for event in events)
    assert scarce.calls == len(tiles) + refused
    assert all(events.index(tiles[0]) > k for k, e in enumerate(events) if isinstance(e, Noted))
    assert tiles[-1].total == len(tiles) == events[-1].summary["tiles"]


def test_other_faults_are_not_tried_again(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    monkeypatch.setattr(canvas, "run_tile", scarce)
    with pytest.raises(RuntimeError, match="mat1"):
        run(models("attention"), picture(*SHAPE))
    assert scarce.calls == 1


def test_out_of_memory_with_the_smallest_tile_is_told(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(0)
    monkeypatch.setattr(canvas, "run_tile", scarce)
    with pytest.raises(InputError, match=r"U161.*4x4 pixels"):
        run(models("attention"), picture(*SHAPE))
    assert scarce.calls <= 2 * math.log2(32 / 4) + 1


def test_nothing_is_held_of_a_pass_that_failed(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "run_tile", Scarce(3500))
    _, events = run(models("attention"), picture(*SHAPE))
    assert isinstance(events[-1], Finished)
    gates = [
        m for m in models("attention").network.modules() if type(m).__name__ == "AttentionGate"
    ]
    assert not [gate for gate in gates if gate.alpha._forward_hooks]
