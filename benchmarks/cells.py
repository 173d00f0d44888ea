"""SEG of the Cell Tracking Challenge for one sequence of glioblastoma cells (PhC-C2DH-U373).

    python benchmarks/cells.py DATA --minutes 10 --out cells.json

DATA/ctc_phc_u373 holds frames of sequence 01, `labels_ST` (made by computer, all frames) and
`labels_GT` (drawn by hand, some frames). The network learns from the frames before number 60 with
the labels made by computer, and is scored on the later frames that were drawn by hand. SEG is the
mean, over the true cells, of the intersection over union with the found object that covers more
than half of the cell, and 0 where there is none (Ulman et al. 2017). One thread, one seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import learn
from processes import start, start_all
from tables import cells_table

import napari_unet
from napari_unet.arrays.files import open_picture
from napari_unet.config import TrainConfig

LAST_TRAINED = "01_t059"


def run_one(folder: Path, minutes: float) -> dict[str, Any]:
    """Train and score a network; return its numbers."""
    names = sorted(path.stem for path in (folder / "images").glob("*.tif"))
    train = [name for name in names if name <= LAST_TRAINED]
    test = [name for name in names if name > LAST_TRAINED
            and (folder / "labels_GT" / f"{name}.tif").exists()]  # fmt: skip
    config = TrainConfig.from_recipe(
        "quick", labels={"kind": "instances"}, minutes=minutes, seed=0, device="cpu", threads=1
    )
    with tempfile.TemporaryDirectory() as scratch:
        pairs = [(folder / "images" / f"{name}.tif", folder / "labels_ST" / f"{name}.tif")
                 for name in train]  # fmt: skip
        trained = learn(config, pairs, Path(scratch) / "model")
        model = napari_unet.open_model(Path(scratch) / "model", device="cpu")
        scores = [score(model, folder, name) for name in test]
    cells = sum(each["cells"] for each in scores)
    return {
        **identify(minutes),
        "w0": config.weights.w0,
        "frames": [len(train), len(test)],
        "cells": cells,
        "seg": sum(each["seg"] * each["cells"] for each in scores) / cells,
        **trained,
    }


def score(model: Any, folder: Path, name: str) -> dict[str, float]:
    """Predict a frame; return its SEG and how many cells it has."""
    image = np.asarray(open_picture(folder / "images" / f"{name}.tif", ndim=2).data)
    path = folder / "labels_GT" / f"{name}.tif"
    truth = np.asarray(open_picture(path, ndim=2, labels=True).data)
    found = model.predict(image, outputs=("instances",))["instances"]
    result = napari_unet.evaluate(found, truth, kind="instances")
    return {"seg": result["seg"], "cells": len(np.unique(truth[truth > 0]))}


def identify(minutes: float) -> dict[str, Any]:
    """Name a run."""
    return {"name": f"cells/{minutes:g}", "benchmark": "cells", "minutes": minutes}


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds ctc_phc_u373")
    parser.add_argument("--minutes", type=float, default=10.0, help="to train")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--run", action="store_true", help="run here, print the JSON")
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_one(given.data / "ctc_phc_u373", given.minutes)))
        return 0
    words = [given.data, "--minutes", given.minutes, "--run"]
    runs = start_all([lambda: start(__file__, words, identify(given.minutes))], 1, given.out)
    print(cells_table(runs))
    return int(any("failed" in run for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
