"""Tiny images on disk, jobs about them, and engines that must not outlive their test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import zarr

from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import write_tiff
from napari_unet.config import TrainConfig
from napari_unet.engine.jobs import ArrayRef, TrainJob
from tests.engine.client import ENGINE, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Jobs = "Callable[..., TrainJob]"
Pair = tuple[ArrayRef, ArrayRef]
NOISY = """
import os, sys
import napari_unet.engine.server as server
run = server.run_job
def noisy(job):
    print("a library that prints")
    os.write(1, b"a library that writes to the file itself\\n")
    if job.job == "fault":
        raise KeyError("of ours")
    yield from run(job)
server.run_job = noisy
server.main()
"""


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """Two images with labels: as zarr arrays, and as TIFF files."""
    folder = tmp_path_factory.mktemp("images")
    references = []
    for seed, suffix in enumerate(("zarr", "tif")):
        pair = []
        for name, array in zip("ab", touching_cells((48, 56), seed=seed), strict=True):
            path = folder / f"{name}{seed}.{suffix}"
            if suffix == "zarr":
                zarr.create_array(store=path, data=array)
            else:
                write_tiff(path, array.astype(np.uint16), "YX")
            pair.append(ArrayRef(path=str(path), axes="YX", spacing=(0.5, 0.25), name=path.name))
        references.append(tuple(pair))
    return tuple(references)


@pytest.fixture(scope="session")
def settings() -> Callable[..., TrainConfig]:
    """Settings of a tiny run; keyword arguments go on top."""

    def make(epochs: int = 2, steps: int = 3, **changes: object) -> TrainConfig:
        small = {
            "model": {"base": 2, "depth": 1}, "patch": 16, "batch": 2, "steps_per_epoch": steps,
            "threads": 1, "device": "cpu", "epochs": epochs, "validation": 0.5,
        }  # fmt: skip
        return TrainConfig.from_recipe("quick", **{**small, **changes})

    return make


@pytest.fixture(scope="session")
def training(pairs: tuple[Pair, Pair], settings: Callable[..., TrainConfig]) -> Jobs:
    """Make a training job: its name, its folder, and what `settings` takes."""

    def make(job: str, folder: Path, *, resume: bool = False, **changes: object) -> TrainJob:
        return TrainJob(
            job=job, config=settings(**changes), pairs=pairs, folder=str(folder), resume=resume
        )

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One engine for many jobs, whose jobs print to stdout; it ends when its input does."""
    folder = tmp_path_factory.mktemp("engine")
    client = Client(folder / "stderr", ("-c", NOISY))
    client.wait_for(object)
    yield client
    assert client.process.poll() is None, (folder / "stderr").read_text()
    assert client.end() == 0
    words = (folder / "stderr").read_text()
    assert "a library that prints" in words
    assert "a library that writes to the file itself" in words
    assert not _engines()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Client]]:
    """Start engines for one test alone."""
    clients: list[Client] = []

    def make() -> Client:
        clients.append(Client(tmp_path / f"stderr-{len(clients)}", ENGINE))
        return clients[-1]

    yield make
    for client in clients:
        client.process.kill()
        client.end()
    living = [c.process.pid for c in clients if psutil.pid_exists(c.process.pid)]
    assert not living


def _engines() -> list[int]:
    return [p.pid for p in psutil.Process().children(recursive=True) if ENGINE[-1] in p.cmdline()]
