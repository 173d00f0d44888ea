"""The check finds nothing where tiles are right, and what is wrong where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_unet.config import ARCHITECTURES, InputError, PredictConfig
from napari_unet.inference import check
from napari_unet.inference.check import check_tiles
from napari_unet.inference.passes import Passes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pieces_are_the_whole(models: Models, picture: Images, architecture: str) -> None:
    config = PredictConfig(tile=16, threads=1)
    found = check_tiles(models(architecture), picture(3, 61, 45), config, seed=1)
    assert 0 < found["largest"] < 1e-4 * found["spread"]
    assert found["changed"] <= 1
    assert found["pixels"] == 61 * 45
    assert found["window"] == [[0, 61], [0, 45]]
    assert found["lead"][0] in range(3)


@pytest.mark.parametrize("ndim", [1, 3])
def test_it_checks_in_every_dimension(models: Models, picture: Images, ndim: int) -> None:
    shape = {1: (331,), 3: (9, 22, 17)}[ndim]
    found = check_tiles(models("unet", ndim), picture(*shape), PredictConfig(tile=12, threads=1))
    assert 0 < found["largest"] < 1e-4 * found["spread"]


def test_the_window_lies_in_the_region_where_tiles_meet(models: Models, picture: Images) -> None:
    config = PredictConfig(tile=16, region=((1, 3), (5, 60), (8, 40)), threads=1)
    windows = []
    for seed in range(3):
        found = check_tiles(models(), picture(3, 61, 45), config, seed)
        windows.append(found["lead"])
        assert found["lead"][0] in (1, 2)
        assert found["window"] == [[5, 60], [8, 40]]
    assert windows == [
        check_tiles(models(), picture(3, 61, 45), config, s)["lead"] for s in range(3)
    ]


def test_pieces_that_see_something_else_are_found(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Passes.read
    monkeypatch.setattr(Passes, "read", lambda self, *where: read(self, *where) + 0.1)
    found = check_tiles(models(), picture(61, 45), PredictConfig(tile=16, threads=1))
    assert found["largest"] > 1e-2 * found["spread"]


def test_what_cannot_be_predicted_cannot_be_checked(models: Models, picture: Images) -> None:
    with pytest.raises(InputError, match="U119"):
        check_tiles(models(), picture(20, 22, 3))


def test_memory_that_is_too_small_is_told(
    models: Models, picture: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(check, "run_tile", fail)
    with pytest.raises(InputError, match="U161"):
        check_tiles(models(), picture(20, 22))
