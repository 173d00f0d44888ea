"""Border term: ours against one distance transform per object, and against a single one.

    python benchmarks/weights.py                  # 512/50 and 1024/200
    python benchmarks/weights.py 4096/500 2048/5000 --repeats 3 --out weights.json
    python benchmarks/weights.py --again 100      # a training set, the first time and again

Times are those of the processor, summed over threads: ratios of medians of interleaved repeats, so
they carry over between machines and tell the same while other programs run. Where the usual way
would take minutes, it is measured on some of the objects, neighbours of one another, and
extrapolated, and the table says so; the largest error is then the difference of both ways on these
objects alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import center_of_mass, distance_transform_edt
from tables import keep, weights_table

from napari_unet.config import LabelConfig, WeightConfig
from napari_unet.targets import threads
from napari_unet.targets.border import border_term
from napari_unet.targets.grammar import recognise
from napari_unet.targets.kept import kept_folder, read_set

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

W0, SIGMA = 10.0, 5.0
PATIENCE_PX = 2**26  # pixels transformed by the usual way in one run, a few seconds


def draw_disks(size: int, n_objects: int, seed: int = 0) -> NDArray[np.int32]:
    """Return int32 labels (size, size): disks over about a third of the image, many touching."""
    rng = np.random.default_rng(seed)
    radius = max(1, int(size * (0.35 / (np.pi * n_objects)) ** 0.5))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = y**2 + x**2 <= radius**2
    labels = np.zeros((size, size), np.int32)
    for number in range(1, n_objects + 1):
        top, left = rng.integers(0, size - len(disk) + 1, 2)
        window = labels[top : top + len(disk), left : left + len(disk)]
        window[disk & (window == 0)] = number
    return labels


def neighbours(labels: NDArray[np.int32], ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sort `ids` by the distance of their centre from the centre of the first."""
    centres = np.array(center_of_mass(labels > 0, labels, ids))
    return ids[np.argsort(np.linalg.norm(centres - centres[0], axis=1))]


def one_per_object(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Stack one transform of the whole image per object, sort, add the first two."""
    ids = np.unique(labels[labels > 0])
    d = np.stack([distance_transform_edt(labels != number) for number in ids])
    d.sort(axis=0)
    weight = W0 * np.exp(-((d[0] + d[1]) ** 2) / (2 * SIGMA**2))
    return np.where(labels == 0, weight, 0)


def ours(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    return border_term(labels, W0, SIGMA, "background")


def one_transform(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.asarray(distance_transform_edt(labels == 0))


def time_interleaved(runs: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the median processor seconds of each run, taking turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for each, run in zip(seconds, runs, strict=True):
            start = time.process_time()
            run()
            each.append(time.process_time() - start)
    return [statistics.median(each) for each in seconds]


def measure_peak(run: Callable[[], Any]) -> float:
    """Return the largest memory of `run` beyond its input, in MiB (as numpy reports it)."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def compare(size: int, n_objects: int, repeats: int) -> dict[str, Any]:
    """Measure one image; return its row of the table."""
    labels = draw_disks(size, n_objects)
    ours(labels[:8])  # loads what is compiled
    ids = np.unique(labels[labels > 0])
    part = neighbours(labels, ids)[: max(2, PATIENCE_PX // size**2)]  # what patience allows
    few = np.where(np.isin(labels, part), labels, 0).astype(np.int32)
    usual_s, ours_s, single_s = time_interleaved(
        [lambda: one_per_object(few), lambda: ours(labels), lambda: one_transform(labels)],
        repeats,
    )
    return {
        "name": f"weights/{size}/{n_objects}",
        "benchmark": "weights",
        "size_px": size,
        "objects": len(ids),
        "measured": len(part),
        "ours_s": ours_s,
        "single_s": single_s,
        "usual_s": usual_s * len(ids) / len(part),
        "error": float(np.abs(ours(few) - one_per_object(few)).max() / W0),
        "ours_mib": measure_peak(lambda: ours(labels)),
        "single_mib": measure_peak(lambda: one_transform(labels)),
        "usual_mib": measure_peak(lambda: one_per_object(few)) * len(ids) / len(part),
    }


def read_again(n_images: int, repeats: int, size: int = 512, n_objects: int = 100) -> str:
    """Read the labels of a set that was never read, and again; say what both take per image."""
    labels = [draw_disks(size, n_objects, seed) for seed in range(n_images)]
    config, weights = LabelConfig(kind="instances"), WeightConfig()

    def read() -> None:
        read_set(labels, recognise(labels, config), config, weights, threads.MOST_THREADS)

    def read_first() -> None:
        shutil.rmtree(kept_folder(), ignore_errors=True)
        read()

    ours(labels[0])  # loads what is compiled
    first_s, again_s = time_interleaved([read_first, read], repeats)
    kept = sum(path.stat().st_size for path in kept_folder().iterdir())
    return (
        f"{n_images} images of {size} x {size} with {n_objects} objects, per image: "
        f"{1000 * first_s / n_images:.1f} ms the first time, {1000 * again_s / n_images:.1f} ms "
        f"again (ratio {again_s / first_s:.2f}), {kept / n_images / 2**10:.0f} KiB on disk"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=["512/50", "1024/200"], metavar="SIZE/OBJECTS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="for ours; scipy has one")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--again", type=int, metavar="IMAGES", help="only: a set read twice")
    arguments = parser.parse_args()
    threads.MOST_THREADS = arguments.threads
    if arguments.again:
        with tempfile.TemporaryDirectory() as home:
            os.environ["NAPARI_UNET_HOME"] = home
            print(read_again(arguments.again, arguments.repeats))
        return
    rows = []
    for case in arguments.cases:
        size, n_objects = (int(number) for number in case.split("/"))
        rows.append(compare(size, n_objects, arguments.repeats))
        if arguments.out:
            keep(arguments.out, rows[-1])
    print(weights_table(rows))


if __name__ == "__main__":
    main()
