"""What each of the processes does that `test_ranks.py` starts: trains, and writes what it saw."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import TrainConfig, overlay
from napari_unet.events import Stepped, Validated
from napari_unet.training.loop import train
from napari_unet.training.ranks import joined

if TYPE_CHECKING:
    from napari_unet.training.ranks import Ranks

PAIRS = [touching_cells((64, 64), seed=1)]
MODEL = {"base": 2, "depth": 1, "norm": "none"}
RUNS: dict[str, dict[str, Any]] = {
    "cross_entropy": {"loss": "cross_entropy"},
    "overlap": {"loss": "cross_entropy_dice", "terms": {"squares": True}},
    "sparse": {"loss": "focal", "labels": {"kind": "classes", "zero": "unlabelled"}},
    "clipped": {"optimiser": {"rate": 0.01, "schedule": "constant", "clip": 0.1}},
    "normalised": {"model": {**MODEL, "norm": "batch"}},
    "short": {"minutes": 0.01, "steps_per_epoch": 1000},
}  # batches of 5, which two processes do not share evenly


def settings(name: str) -> TrainConfig:
    """Return the settings of a run."""
    plain: dict[str, Any] = {
        "model": MODEL, "patch": 16, "batch": 5, "steps_per_epoch": 4, "threads": 1,
        "precision": "float32",
        "optimiser": {"name": "sgd", "rate": 0.05, "momentum": 0.9},
    }  # fmt: skip
    budget = {} if "minutes" in RUNS[name] else {"epochs": 2}
    return TrainConfig.from_recipe("quick", **overlay(plain, budget | RUNS[name]))


def story(name: str, folder: Path, ranks: Ranks) -> list[list[float]]:
    """Train, and return step and loss of each step and validation."""
    events = train(settings(name), PAIRS, folder / name, ranks=ranks)
    return [[e.step, e.loss] for e in events if isinstance(e, Stepped | Validated)]


def main() -> None:
    """Do all runs in the folder that is given."""
    folder = Path(sys.argv[1])
    with joined() as ranks:
        told = {name: story(name, folder, ranks) for name in RUNS}
        told["any"] = [[ranks.any(ranks.rank == 1), ranks.any(False)]]
        told["agree"] = [[ranks.agree(float(ranks.rank + 7))]]
    folder.joinpath(f"rank-{ranks.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
