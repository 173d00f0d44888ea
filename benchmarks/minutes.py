"""Score against minutes: nuclei from scratch, and fine-tuned from a model of stained tissue.

    python benchmarks/minutes.py DATA --jobs 2 --out minutes.json

DATA/dsb2018 holds fluorescence images and, as colours, histology: dark nuclei on white. The parent
learns the latter for `--parent` minutes, as grey images with bright nuclei. Then networks learn
the fluorescence images of accuracy.py for 1, 2, 5 and 10 minutes each, with and without the border
term, from scratch and from that parent, at a third of the recipe's learning rate as the manual
advises. Every run is a process of its own with one thread.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accuracy import BORDER, SPLITS, learn, score
from processes import start, start_all
from tables import minutes_table

import napari_unet
from napari_unet.arrays.files import open_picture
from napari_unet.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MINUTES = (1.0, 2.0, 5.0, 10.0)
STARTS = ("scratch", "tissue")
TUNED_RATE = 1 / 3  # of that of the recipe


def configure(border: str, minutes: float, start: str) -> TrainConfig:
    """Return the settings of a run."""
    config = TrainConfig.from_recipe(
        "quick", labels={"kind": "instances"}, weights=BORDER[border], minutes=minutes, seed=0,
        device="cpu", threads=1,
    )  # fmt: skip
    if start == "scratch":
        return config
    rate = config.optimiser.rate * TUNED_RATE
    return config.model_copy(
        update={"optimiser": config.optimiser.model_copy(update={"rate": rate})}
    )


def read_tissue(folder: Path) -> list[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """Return the histology images as grey ones with bright nuclei, and their labels."""
    with (folder / "index.csv").open(newline="") as lines:
        names = sorted(row["id"] for row in csv.DictReader(lines) if row["kind"].startswith("rgb"))
    pairs = []
    for name in names:
        image = np.asarray(open_picture(folder / "images" / f"{name}.tif", ndim=2).data)
        truth = open_picture(folder / "labels" / f"{name}.tif", ndim=2, labels=True).data
        pairs.append((255 - image[..., :3].mean(-1).round().astype(np.uint8), np.asarray(truth)))
    return pairs


def make_parent(data: Path, folder: Path, minutes: float) -> dict[str, Any]:
    """Train the parent on histology."""
    return learn(configure("on", minutes, "scratch"), read_tissue(data / "dsb2018"), folder)


def run_one(data: Path, parent: Path, name: str) -> dict[str, Any]:
    """Train and score one network; return its numbers."""
    begin, border, minutes = name.split("/")
    split = SPLITS["dsb2018"](data / "dsb2018")
    config = configure(border, float(minutes), begin)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        pairs = [split.pair(each) for each in split.train]
        trained = learn(config, pairs, folder, parent=None if begin == "scratch" else parent)
        scores = score(napari_unet.open_model(folder, device="cpu"), split)
    return {**identify(name), "w0": config.weights.w0, **trained, **scores}


def identify(name: str) -> dict[str, Any]:
    """Name a run, as a whole and in its parts."""
    begin, border, minutes = name.split("/")
    return {
        "name": f"minutes/{name}", "benchmark": "minutes", "start": begin, "border": border,
        "minutes": float(minutes),
    }  # fmt: skip


def start_one(given: argparse.Namespace, parent: Path, name: str) -> dict[str, Any]:
    """Do one run in a process of its own; return its numbers, or how it ended."""
    return start(__file__, [given.data, "--run", name, "--from", parent], identify(name))


def run_all(given: argparse.Namespace, parent: Path) -> Sequence[dict[str, Any]]:
    """Train the parent, then do every run."""
    start(__file__, [given.data, "--run", "parent", "--parent", given.parent, "--from", parent], {})
    names = [f"{begin}/{border}/{minutes:g}" for minutes, border, begin in
             product(given.minutes, ("on", "off"), STARTS)]  # fmt: skip
    return start_all([partial(start_one, given, parent, name) for name in names],
                     given.jobs, given.out)  # fmt: skip


def main() -> int:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    parser.add_argument("--parent", type=float, default=5.0, help="minutes of the parent")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--run", metavar="START/BORDER/MINUTES", help="do this run, print its JSON")
    parser.add_argument("--from", dest="model", type=Path, help="folder of the parent")
    given = parser.parse_args()
    if given.run == "parent":
        print(json.dumps(make_parent(given.data, given.model, given.parent)))
        return 0
    if given.run:
        print(json.dumps(run_one(given.data, given.model, given.run)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        runs = run_all(given, Path(scratch) / "tissue")
    print(minutes_table(runs))
    return int(any("failed" in run for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
