"""Untrained models of every kind, made once, and images to apply them to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.config import TrainConfig
from napari_unet.inference.model import Model, open_model
from napari_unet.training.loop import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Models = Callable[..., Model]

SHAPES = {1: (160,), 2: (40, 48), 3: (16, 20, 24)}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Make an untrained model: architecture, dimensions, channels, label values, halvings."""

    @cache
    def make(
        architecture: str = "unet",
        ndim: int = 2,
        channels: int = 1,
        values: tuple[int, ...] = (0, 1),
        halvings: tuple[int, ...] | None = None,
    ) -> Model:
        rng = np.random.default_rng(0)
        shape = SHAPES[ndim]
        image = rng.normal(100, 20, shape if channels == 1 else (*shape, channels))
        labels = rng.choice(np.asarray(values, np.uint8), shape)
        folder = tmp_path_factory.mktemp("models") / f"{architecture}-{ndim}"
        config = TrainConfig.from_recipe(
            "quick", epochs=0, threads=1, labels={"kind": "classes"}, patch=16, batch=1,
            model={"architecture": architecture, "ndim": ndim, "base": 4, "depth": 2,
                   "halvings": halvings},
        )  # fmt: skip
        assert list(train(config, [(image.astype(np.float32), labels)], folder))
        return open_model(folder, "cpu")

    return make


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray[Any, Any]]:
    """Make a noisy float32 image of some shape."""

    def make(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
        return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)

    return make


@pytest.fixture
def untouched(tmp_path: Path) -> Path:
    """A folder that must be empty when the test ends."""
    folder = tmp_path / "untouched"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir())
