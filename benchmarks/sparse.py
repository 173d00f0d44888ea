"""Few labels: the score of a network that was shown a share of the labelled pixels.

    python benchmarks/sparse.py DATA --minutes 5 --jobs 2 --out sparse.json

DATA/isbi2012_em holds images/train_K.tif and labels. Squares of 16 pixels are labelled, drawn at
random over 15 slices until they make up the share; all else is unlabelled. Three other slices are
scored. Every run is a process of its own with one thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accuracy import SPLITS, learn
from processes import start, start_all
from tables import sparse_table

import napari_unet
from napari_unet.arrays.files import open_picture
from napari_unet.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SQUARE = 16  # pixels
MEMBRANE, INSIDE = 1, 2  # label values; 0 is unlabelled
SHARES = (0.01, 0.05, 1.0)


def label_some(truths: Sequence[NDArray[Any]], share: float) -> list[NDArray[np.uint8]]:
    """Keep the labels of random squares that make up `share` of all pixels."""
    whole = np.stack([np.where(truth > 0, INSIDE, MEMBRANE) for truth in truths])
    cells = [n // SQUARE for n in whole.shape[1:]]
    kept = np.random.default_rng(0).permutation(len(whole) * cells[0] * cells[1])
    mask = np.zeros(len(kept), bool)
    mask[kept[: round(share * len(kept))]] = True
    mask = mask.reshape(len(whole), *cells).repeat(SQUARE, 1).repeat(SQUARE, 2)
    return list(np.where(mask, whole, 0).astype(np.uint8))


def run_one(data: Path, share: float, minutes: float) -> dict[str, Any]:
    """Train and score one network; return its numbers."""
    split = SPLITS["isbi2012_em"](data / "isbi2012_em")
    read = partial(open_picture, ndim=2)
    images = [np.asarray(read(split.pair(name)[0]).data) for name in (*split.train, *split.test)]
    truths = [
        np.asarray(read(split.pair(name)[1], labels=True).data)
        for name in (*split.train, *split.test)
    ]
    n = len(split.train)
    labels = {"kind": "classes", "zero": "unlabelled"}
    config = TrainConfig.from_recipe(
        "quick", labels=labels, minutes=minutes, seed=0, device="cpu", threads=1
    )
    pairs = list(zip(images[:n], label_some(truths[:n], share), strict=True))
    with tempfile.TemporaryDirectory() as scratch:
        trained = learn(config, pairs, Path(scratch) / "model")
        model = napari_unet.open_model(Path(scratch) / "model", device="cpu")
        found = [model.predict(image, outputs=("classes",))["classes"] for image in images[n:]]
    truth = np.where(np.stack(truths[n:]) > 0, INSIDE, MEMBRANE)
    result = napari_unet.evaluate(np.stack(found), truth, kind="classes")
    dice = {value: each["dice"] for value, each in result["classes"].items()}
    return {
        **identify(share),
        "minutes": minutes,
        "labelled_px": sum(int((drawn > 0).sum()) for _, drawn in pairs),
        "membrane_f": dice[str(MEMBRANE)],
        "inside_f": dice[str(INSIDE)],
        "pixel_error": 1 - result["accuracy"],
        **trained,
    }


def identify(share: float) -> dict[str, Any]:
    """Name a run."""
    return {"name": f"sparse/{share:g}", "benchmark": "sparse", "share": share}


def start_one(given: argparse.Namespace, share: float) -> dict[str, Any]:
    """Do one run in a process of its own; return its numbers, or how it ended."""
    order = [given.data, "--minutes", given.minutes, "--run", share]
    return start(__file__, order, identify(share))


def main() -> int:
    """Run all shares and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds isbi2012_em")
    parser.add_argument("--minutes", type=float, default=5.0, help="to train each network")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=SHARES, help="of the pixels that are labelled"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--run", type=float, metavar="SHARE", help="do this run, print its JSON")
    given = parser.parse_args()
    if given.run is not None:
        print(json.dumps(run_one(given.data, given.run, given.minutes)))
        return 0
    runs = start_all(
        [partial(start_one, given, share) for share in given.shares], given.jobs, given.out
    )
    print(sparse_table(runs))
    return int(any("failed" in run for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
