"""Train each architecture on real images for some minutes and score it on others.

    python benchmarks/accuracy.py DATA isbi2012_em --minutes 10 --jobs 2 --out results.json
    python benchmarks/accuracy.py DATA dsb2018 --minutes 10 --jobs 2 --out results.json

DATA/NAME holds images/X.tif and labels/X.tif. Every run is a process of its own with one thread,
so a minute is a minute of one core, as long as there are as many free cores as --jobs. A run
that ends is written to --out at once, where it replaces an older one of the same name; the
others stay, so a run that failed can be done again alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import start, start_all
from scipy.ndimage import label
from tables import accuracy_tables

import napari_unet
from napari_unet.arrays.files import open_picture
from napari_unet.config import ARCHITECTURES, TrainConfig
from napari_unet.events import Started, Stepped, Validated
from napari_unet.metrics.objects import match_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.inference.model import Model

BORDER: Mapping[str, dict[str, Any]] = {"on": {"w0": 10.0}, "off": {"w0": 0.0}, "recipe": {}}
FIRST = ("unet2015", "unet", "attention")  # family.py has the others
SPLIT_SEED = 0
FEWEST_PX = 15  # a predicted object that is smaller is dropped


@dataclass(frozen=True)
class Split:
    """Images by their number in the set: to learn from, and to be scored on."""

    folder: Path
    train: tuple[str, ...]
    test: tuple[str, ...]
    kind: str

    def pair(self, name: str) -> tuple[Path, Path]:
        """Return the paths of an image and its labels."""
        return self.folder / "images" / f"{name}.tif", self.folder / "labels" / f"{name}.tif"


def split_isbi2012_em(folder: Path) -> Split:
    names = [f"train_{k:02}" for k in range(18)]
    return Split(folder, tuple(names[:15]), tuple(names[15:]), "classes")


def split_dsb2018(folder: Path) -> Split:
    with (folder / "index.csv").open(newline="") as lines:
        names = sorted(row["id"] for row in csv.DictReader(lines) if row["kind"] == "fluo")
    drawn = [names[k] for k in np.random.default_rng(SPLIT_SEED).permutation(len(names))[:60]]
    return Split(folder, tuple(drawn[:40]), tuple(drawn[40:]), "instances")


SPLITS = {"isbi2012_em": split_isbi2012_em, "dsb2018": split_dsb2018}
DEFAULT_BORDER = {"isbi2012_em": "recipe", "dsb2018": "on,off"}


def run_one(split: Split, architecture: str, border: str, minutes: float) -> dict[str, Any]:
    """Train and score one network; return its numbers."""
    config = TrainConfig.from_recipe(
        "quick",
        model={"architecture": architecture},
        labels={"kind": split.kind},
        weights=BORDER[border],
        minutes=minutes,
        seed=0,
        device="cpu",
        threads=1,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        training = learn(config, [split.pair(name) for name in split.train], folder)
        model = napari_unet.open_model(folder, device="cpu")
        scores = score(model, split)
    return {
        **identify(split.folder.name, architecture, border),
        "w0": config.weights.w0,
        "minutes": minutes,
        "model": model.card.model.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        **training,
        **scores,
        "test": split.test,
        "versions": {"python": platform.python_version(), "torch": _torch_version()},
    }


def identify(dataset: str, architecture: str, border: str) -> dict[str, str]:
    """Name a run, as a whole and in its parts."""
    return {
        "name": f"accuracy/{dataset}/{architecture}/{border}",
        "benchmark": "accuracy",
        "dataset": dataset,
        "architecture": architecture,
        "border": border,
    }


def learn(
    config: TrainConfig, pairs: Sequence[Any], folder: Path, parent: Path | None = None
) -> dict[str, float]:
    """Train, telling on stderr how it goes; return steps and seconds, without those to prepare."""
    name = f"{config.model.architecture} w0={config.weights.w0:g}"
    cpu_s = wall_s = 0.0
    step, epochs, progress = 0, 0, 0.0
    for event in napari_unet.train(config, pairs, folder, parent=parent):
        match event:
            case Started():
                cpu_s, wall_s = time.process_time(), time.perf_counter()
            case Stepped():
                step, progress = event.step, event.progress
            case Validated():
                epochs += 1
                dice = event.scores["dice"]
                words = f"{name}: {progress:4.0%} step {step} validation dice {dice:.4f}"
                print(words, file=sys.stderr, flush=True)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return {"steps": step, "validations": epochs, "train_cpu_s": cpu_s, "train_wall_s": wall_s}


def score(model: Model, split: Split) -> dict[str, Any]:
    """Predict the test images with one thread and compare with the truth."""
    images = [np.asarray(_read(split.pair(name)[0])) for name in split.test]
    truths = [np.asarray(_read(split.pair(name)[1], labels=True)) for name in split.test]
    model.predict(images[0], outputs=("classes",))  # the first pass sets up kernels
    start, cpu_s = time.perf_counter(), time.process_time()
    found = [model.predict(image, outputs=("classes",))["classes"] for image in images]
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_s
    compare = score_classes if split.kind == "classes" else score_objects
    return {
        "predict_wall_s": wall_s,
        "predict_cpu_s": cpu_s,
        "test_px": sum(truth.size for truth in truths),
        **compare(found, truths),
    }


def score_classes(
    found: Sequence[NDArray[Any]], truths: Sequence[NDArray[Any]]
) -> dict[str, float]:
    """Score inside (255) and membrane (0) over the pixels of all images together."""
    result = napari_unet.evaluate(np.stack(found), np.stack(truths), kind="classes")
    dice = {value: each["dice"] for value, each in result["classes"].items()}
    return {
        "foreground_dice": dice["255"],
        "membrane_dice": dice["0"],
        "pixel_error": 1 - result["accuracy"],
    }


def score_objects(
    found: Sequence[NDArray[Any]], truths: Sequence[NDArray[Any]]
) -> dict[str, float]:
    """Score foreground pixels and objects at an overlap of 0.5, counted over all images."""
    pixels = napari_unet.evaluate(
        np.concatenate([classes.ravel() > 0 for classes in found]).view(np.uint8),
        np.concatenate([truth.ravel() > 0 for truth in truths]).view(np.uint8),
        kind="classes",
    )
    objects = [
        match_objects(connect(classes), truth, threshold=0.5)
        for classes, truth in zip(found, truths, strict=True)
    ]
    tp, fp, fn = (sum(getattr(each, name) for each in objects) for name in ("tp", "fp", "fn"))
    return {
        "foreground_dice": pixels["classes"]["1"]["dice"],
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "mean_f1": float(np.mean([each.f1 for each in objects])),
        "tp": tp,
        "fp": fp,
        "fn": fn,
    }


def connect(classes: NDArray[Any]) -> NDArray[np.int32]:
    """Number the connected parts of the foreground (faces connect) and drop the smallest."""
    objects, _ = label(classes > 0)
    small = np.bincount(objects.ravel()) < FEWEST_PX
    return np.where(small[objects], 0, objects).astype(np.int32)


def _read(path: Path, *, labels: bool = False) -> Any:
    return open_picture(path, ndim=2, labels=labels).data


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


def start_one(arguments: argparse.Namespace, architecture: str, border: str) -> dict[str, Any]:
    """Do one run in a process of its own with one thread; return its numbers, or how it ended."""
    order = [arguments.data, arguments.dataset, "--minutes", arguments.minutes]
    order += ["--run", f"{architecture}/{border}"]
    return start(__file__, order, identify(arguments.dataset, architecture, border))


def run_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Do every run, several at a time; each is written to the results as it ends."""
    borders = arguments.border or DEFAULT_BORDER[arguments.dataset].split(",")
    runs = [partial(start_one, arguments, a, b) for a in arguments.architectures for b in borders]
    return start_all(runs, arguments.jobs, arguments.out)


def words(known: Sequence[str], text: str) -> list[str]:
    """Split at commas; only known words may be chosen."""
    chosen = text.split(",")
    if not set(chosen) <= set(known):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds the set of images")
    parser.add_argument("dataset", choices=list(SPLITS))
    parser.add_argument(
        "--architectures", type=lambda text: words(list(ARCHITECTURES), text),
        default=list(FIRST), metavar="A,B", help=f"default {','.join(FIRST)}",
    )  # fmt: skip
    parser.add_argument(
        "--border", type=lambda text: words(list(BORDER), text), metavar="on,off,recipe",
        help="w0 = 10, w0 = 0, or as the recipe has it (dsb2018: on,off; isbi2012_em: recipe)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10.0, help="to train each network")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--run", metavar="NAME/BORDER", help="do this run here, print its JSON")
    arguments = parser.parse_args()
    if arguments.run:
        split = SPLITS[arguments.dataset](arguments.data / arguments.dataset)
        print(json.dumps(run_one(split, *arguments.run.split("/"), arguments.minutes)))
        return 0
    runs = run_all(arguments)
    print(accuracy_tables(runs))
    return int(any("failed" in run for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
