"""A training that is killed at random moments and resumed, against one that is not.

`python benchmarks/kills.py` trains a small network from the shell, once in peace, and once with
SIGKILL at seeded random moments: while it starts, steps, validates or writes. Both must end with
the same bytes in `weights.safetensors`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import ONE_THREAD

from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.writing import TEMPORARY
from napari_unet.library.checkpoints import load_checkpoint
from napari_unet.library.folders import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = (
    "model.base=4", "model.depth=2", "model.norm=batch", "model.dropout=0.2", "patch=32", "batch=2",
    "steps_per_epoch=5", "threads=1",
)  # fmt: skip
LONGEST_S = 4.0  # from the first word of a process to its end


def main() -> None:
    arguments = read_arguments()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = command(folder, arguments.epochs)
        run([*line, "--out", str(folder / "whole")])
        kills = [
            kill([*line, "--out", str(folder / "killed"), "--resume"], folder / "killed", moment_s)
            for moment_s in rng.uniform(0, LONGEST_S, arguments.kills)
        ]
        run([*line, "--out", str(folder / "killed"), "--resume"])
        digests = [digest(folder / way / WEIGHTS) for way in ("whole", "killed")]
    print("| kill | after its first word | newest checkpoint | unfinished files |")
    print("| --- | --- | --- | --- |")
    for number, row in enumerate(kills, start=1):
        step = row["step"]
        print(f"| {number} | {row['moment_s']:.2f} s | step {step} | {row['unfinished']} |")
    equal = digests[0] == digests[1]
    done = sum(row["ended"] for row in kills)
    print(f"{len(kills) - done} of {len(kills)} processes were killed at work; SHA-256 of the "
          f"weights: {digests[0][:16]} in peace, {digests[1][:16]} killed: "
          f"{'bit-identical' if equal else 'DIFFERENT'}")  # fmt: skip
    if arguments.out:
        arguments.out.write_text(json.dumps({"kills": kills, "equal": equal}, indent=1))
    sys.exit(0 if equal else 1)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="results as JSON")
    return parser.parse_args()


def command(folder: Path, epochs: int) -> list[str]:
    """Write an image with its labels, and return the command that trains on them."""
    for name, array in zip(("i", "l"), touching_cells((128, 128), seed=0), strict=True):
        np.save(folder / f"{name}.npy", array)
    line = [sys.executable, "-m", "napari_unet", "train", "--epochs", str(epochs)]
    line += ["--image", str(folder / "i.npy"), "--labels", str(folder / "l.npy")]
    return [*line, *(word for setting in SETTINGS for word in ("--set", setting))]


def environment() -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}


def run(line: Sequence[str]) -> None:
    """Train to the end."""
    subprocess.run(line, env=environment(), stderr=subprocess.DEVNULL, check=True)


def kill(line: Sequence[str], folder: Path, moment_s: float) -> dict[str, Any]:
    """Train, and kill the process some time after its first word; say what it has left."""
    child = subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE)
    assert child.stderr is not None
    child.stderr.readline()
    threading.Thread(target=child.stderr.read, daemon=True).start()  # nothing holds it up
    try:
        child.wait(moment_s)
    except subprocess.TimeoutExpired:
        child.kill()
    ended = child.wait() == 0
    checkpoint = load_checkpoint(folder)
    return {
        "moment_s": moment_s,
        "step": checkpoint[1]["step"] if checkpoint else 0,
        "unfinished": len(list(folder.rglob(f"{TEMPORARY}*"))),
        "ended": ended,
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
