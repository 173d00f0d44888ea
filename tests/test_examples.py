"""Every example runs as its first lines say, on a small image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import TrainConfig
from napari_unet.training.loop import train

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "model"
    config = TrainConfig.from_recipe("quick", epochs=0, model={"base": 2, "depth": 1})
    assert list(train(config, [touching_cells((64, 64), seed=0)], folder))
    return folder


def run(name: str, *arguments: object) -> list[str]:
    """Run an example; return the lines that it prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_large_image_is_stopped_and_resumed(model: Path, tmp_path: Path) -> None:
    plan, stopped, resumed, share = run("predict_large.py", model, tmp_path, 600)
    assert plan
    assert stopped == "stopped after 5 of 9 tiles"
    assert re.fullmatch(r"computed the other [34] tiles: .*result\.ome\.zarr", resumed)
    assert 0 <= float(share.rpartition(" ")[2]) <= 1


def test_every_example_is_run() -> None:
    assert [path.name for path in EXAMPLES.glob("*.py")] == ["predict_large.py"]
