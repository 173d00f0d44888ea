"""A training that is killed at random moments and resumed, against one that is not.

`python benchmarks/kills.py` trains a small network with the command line, once in peace, and once
with SIGKILL at seeded random moments: while it reads, steps, validates or writes. Both must end
with the same bytes in `weights.safetensors`. Every life is a process of its own, forked from one
that has imported everything, so that the kills meet the work and not the imports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import ONE_THREAD

import napari_unet.training.loop  # noqa: F401 - before the processes are forked
from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import TEMPORARY
from napari_unet.cli import main as napari_unet_main
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = (
    "model.base=4", "model.depth=2", "model.norm=batch", "model.dropout=0.2", "patch=32", "batch=2",
    "steps_per_epoch=5", "threads=1",
)  # fmt: skip

FORK = multiprocessing.get_context("fork")


def main() -> None:
    arguments = read_arguments()
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = command(folder, arguments.epochs)
        killed = [*words, "--out", str(folder / "killed"), "--resume"]
        finish([*words, "--out", str(folder / "whole")])
        moments_s = rng.uniform(0, arguments.longest, arguments.kills)
        lives = [live(killed, folder / "killed", float(moment_s)) for moment_s in moments_s]
        finish(killed)
        digests = [digest(folder / way / WEIGHTS) for way in ("whole", "killed")]
    print("| kill | after | newest checkpoint | unfinished files |")
    print("| --- | --- | --- | --- |")
    for number, row in enumerate(lives, start=1):
        after = f"{row['moment_s']:.2f} s" if row["killed"] else "its end"
        print(f"| {number} | {after} | step {row['step']} | {row['unfinished']} |")
    print(f"{sum(row['killed'] for row in lives)} of {len(lives)} processes were killed at work")
    equal = digests[0] == digests[1]
    print(f"SHA-256 of the weights: {digests[0][:16]} in peace, {digests[1][:16]} killed: "
          f"{'bit-identical' if equal else 'DIFFERENT'}")  # fmt: skip
    if arguments.out:
        arguments.out.write_text(json.dumps({"kills": lives, "equal": equal}, indent=1))
    sys.exit(0 if equal else 1)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument(
        "--longest", type=float, default=3.0, metavar="S", help="that a process lives"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="results as JSON")
    return parser.parse_args()


def command(folder: Path, epochs: int) -> list[str]:
    """Write an image with its labels, and return the words that train on them."""
    for name, array in zip(("i", "l"), touching_cells((128, 128), seed=0), strict=True):
        np.save(folder / f"{name}.npy", array)
    words = ["train", "--epochs", str(epochs)]
    words += ["--image", str(folder / "i.npy"), "--labels", str(folder / "l.npy")]
    return [*words, *(word for setting in SETTINGS for word in ("--set", setting))]


def finish(words: Sequence[str]) -> None:
    """Train to the end."""
    process = FORK.Process(target=train, args=(words,))
    process.start()
    process.join()
    assert process.exitcode == 0, f"ended with status {process.exitcode}"


def live(words: Sequence[str], folder: Path, moment_s: float) -> dict[str, Any]:
    """Train, and kill the process after some time; say what it has left."""
    process = FORK.Process(target=train, args=(words,))
    process.start()
    process.join(moment_s)
    process.kill()
    process.join()
    checkpoint = load_checkpoint(folder)
    return {
        "moment_s": moment_s,
        "killed": process.exitcode != 0,
        "step": checkpoint[1]["step"] if checkpoint else 0,
        "unfinished": len(list(folder.rglob(f"{TEMPORARY}*"))),
    }


def train(words: Sequence[str]) -> None:
    """Be the command line, in silence."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())
    sys.exit(napari_unet_main(words))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
