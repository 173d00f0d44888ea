"""Predict one large image tile by tile and in one piece: difference, time, memory.

    python benchmarks/tiling.py --out tiling.json            # 2048 x 2048, networks of recipe quick
    python benchmarks/tiling.py --full --out tiling.json     # as wide and deep as in their papers

The networks are untrained: rounding does not depend on what they learned. Times are
medians of interleaved repeats in one process. Memory is the peak of a process that does nothing
else, less what it held after the model was opened. In one piece, a network of its paper's size
needs some 10 GiB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tables import keep, tiling_table

import napari_unet
from napari_unet.arrays.samples import membranes
from napari_unet.config import ARCHITECTURES, PredictConfig, TrainConfig
from napari_unet.events import Finished
from napari_unet.tiling import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_unet.inference.model import Model

# This process only starts others and imports no torch: on Linux the peak of a child is at
# least what its parent held when it was started.
Results = dict[str, Any]


def draw(path: Path, size: int) -> None:
    """Write the image that is predicted."""
    np.save(path, membranes((size, size))[0])


def make(folder: Path, architecture: str, *, full: bool) -> Results:
    """Make an untrained model; return its configuration and size."""
    changes: dict[str, Any] = {"labels": {"kind": "classes"}, "batch": 2, "epochs": 0}
    changes["model"] = {"architecture": architecture}
    if full:
        config = TrainConfig.from_settings({}, changes)
    else:
        config = TrainConfig.from_recipe("quick", **changes)
    for _ in napari_unet.train(config, [membranes((128, 128))], folder):
        pass
    model = napari_unet.open_model(folder, device="cpu")
    parameters = sum(p.numel() for p in model.network.parameters())
    return {"model": model.card.model.model_dump(mode="json"), "parameters": parameters}


def apply(model: Model, image: NDArray[Any], tile: int) -> tuple[Results, int]:
    """Predict probabilities and classes; return them and how many tiles it took."""
    found: Results = {}
    config = PredictConfig(outputs=("probabilities", "classes"), tile=tile)
    *_, last = napari_unet.predict(model, image, found, config)
    assert isinstance(last, Finished)
    return found, int(last.summary["tiles"])


def measure_peak(folder: Path, image: NDArray[Any], tile: int) -> Results:
    """Return the largest memory of a prediction beyond the opened model and the image, in MiB."""
    import resource

    import psutil

    model = napari_unet.open_model(folder, device="cpu")
    before = psutil.Process().memory_info().rss
    apply(model, image, tile)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_mib": (peak - before) / 2**20}


def compare(folder: Path, image: NDArray[Any], sizes: list[int], repeats: int) -> list[Results]:
    """Predict in tiles of each size and in one piece, taking turns; return a row for each size."""
    model = napari_unet.open_model(folder, device="cpu")
    whole_px = max(image.shape)
    seconds: dict[int, list[float]] = {size: [] for size in (whole_px, *sizes)}
    whole, rows = {}, {}
    for _ in range(repeats):
        for size, each in seconds.items():
            start = time.perf_counter()
            found, n_tiles = apply(model, image, size)
            each.append(time.perf_counter() - start)
            if size == whole_px:
                whole = found
                assert n_tiles == 1, "memory ran out for the whole image"
            else:
                rows[size] = {"tile_px": size, "tiles": n_tiles, **differ(found, whole)}
    medians = {size: statistics.median(each) for size, each in seconds.items()}
    timed = {"whole_s": medians[whole_px], "repeats": repeats, "size_px": whole_px}
    return [
        {**rows[size], **timed, "tiles_s": medians[size], "read": share_read(model, image, size)}
        for size in sizes
    ]


def differ(tiled: Results, whole: Results) -> Results:
    """Return the largest difference of the probabilities, their spread, and changed pixels."""
    difference = np.abs(tiled["probabilities"] - whole["probabilities"]).max()
    return {
        "difference": float(difference),
        "spread": float(whole["probabilities"][-1].std()),
        "changed_px": int(np.count_nonzero(tiled["classes"] != whole["classes"])),
    }


def share_read(model: Model, image: NDArray[Any], size: int) -> float:
    """Return how many pixels the tiles read for each pixel that one tile of the image reads."""
    tiled, whole = (
        sum(
            int(np.prod([window.stop - window.start for window in tile.read]))
            for tile in plan_tiles(image.shape, edge, model.geometry)
        )
        for edge in (size, max(image.shape))
    )
    return tiled / whole


def do(step: str, arguments: list[Any]) -> Any:
    """Do one step in this process."""
    path, *rest = arguments
    if step == "draw":
        return draw(Path(path), *rest)
    if step == "make":
        return make(Path(path), rest[0], full=rest[1])
    image = np.load(rest[0])
    return {"peak": measure_peak, "compare": compare}[step](Path(path), image, *rest[1:])


def start(step: str, *arguments: Any) -> Any:
    """Do one step in a process of its own; return what it found."""
    order = [sys.executable, __file__, "--step", step, json.dumps(arguments, default=str)]
    child = subprocess.run(order, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout)


def measure(folder: Path, architecture: str, arguments: argparse.Namespace) -> Iterable[Results]:
    """Yield a row of the table for each tile size."""
    image, model = folder / "image.npy", folder / architecture
    size = "paper" if arguments.full else "quick"
    name = {"benchmark": "tiling", "architecture": architecture, "size": size}
    made = start("make", model, architecture, arguments.full)
    whole = start("peak", model, image, arguments.size)["peak_mib"]
    for row in start("compare", model, image, arguments.tiles, arguments.repeats):
        peak = start("peak", model, image, row["tile_px"])["peak_mib"]
        row_name = f"tiling/{size}/{architecture}/{row['tile_px']}"
        yield {"name": row_name, **name, **made, **row, "tiles_mib": peak, "whole_mib": whole}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="edge of the image in pixels")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--full", action="store_true", help="as wide and deep as in the papers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "JSON"), help="do one step here")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(do(arguments.step[0], json.loads(arguments.step[1]))))
        return 0
    done, failed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        start("draw", Path(scratch) / "image.npy", arguments.size)
        for architecture in arguments.architectures:
            try:
                for row in measure(Path(scratch), architecture, arguments):
                    done.append(row)
                    if arguments.out:
                        keep(arguments.out, row)
            except subprocess.CalledProcessError as error:
                words = f"{architecture}: {error.cmd[3]} ended with status {error.returncode}"
                print(words, file=sys.stderr)
                failed = 1
    print(tiling_table(done))
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
