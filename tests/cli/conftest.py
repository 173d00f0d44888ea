"""The command line as a user calls it, and small files to call it with."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import write_tiff
from napari_unet.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SMALL = ("model.base=2", "model.depth=1", "threads=1", "patch=16", "batch=1", "steps_per_epoch=2")
TINY = tuple(word for setting in SMALL for word in ("--set", setting))


class Done(NamedTuple):
    """What a command left: exit status, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Done]]:
    """Run a command in this process, which takes a fraction of the time."""
    threads = torch.get_num_threads()

    def run(*words: Any) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shell() -> Callable[..., Done]:
    """Run a command in a process of its own."""

    def run(*words: Any, start: tuple[str, ...] = ("-m", "napari_unet")) -> Done:
        line = [sys.executable, *start, *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image of cells and its labels: i.tif and l.tif."""
    folder = tmp_path_factory.mktemp("files")
    image, labels = touching_cells((64, 48), seed=1)
    write_tiff(folder / "i.tif", image, "YX", (0.5, 0.5))
    write_tiff(folder / "l.tif", labels.astype(np.uint16), "YX")
    return folder


@pytest.fixture(scope="session")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained for an epoch."""
    folder = tmp_path_factory.mktemp("models") / "m"
    words = ("train", "--image", files / "i.tif", "--labels", files / "l.tif", "--out", folder)
    assert main([*map(str, words), *TINY, "--epochs", "1"]) == 0
    return folder


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file below a folder, and the folders."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }
