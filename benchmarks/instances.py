"""Objects of a map of classes: out of core against scipy and scikit-image in memory.

    python benchmarks/instances.py                  # 2048 and 8192 pixels per edge
    python benchmarks/instances.py 1024 --repeats 1

Both ways begin with classes in a zarr on disk and end with numbers in another, in chunks of 512.
In memory: `scipy.ndimage.label`; to part objects, the same depth, `h_maxima` with the same neck and
one `watershed` of the whole image. (Of several summits of exactly one height in an object, that
keeps all, where ours takes them as one.) Each run is a process of its own with one thread; ways
take turns, times are ratios of medians. Memory is the peak of the process, less what it held.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr
from processes import start as start_child

from napari_unet.config import InstanceConfig

CHUNK = 512
MEMORY = 2**28
RADIUS = 14
COLUMNS = (
    *("size", "parted", "objects", "in memory", "same pixels", "time", "seconds"),
    *("peak memory", "in memory"),
)


def draw(path: Path, size: int) -> None:
    """Write classes (size, size): disks over about two fifths of the image, many touching."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    far = y**2 + x**2
    classes = np.zeros((size, size), np.uint8)
    for _ in range(size**2 // 1000):
        top, left = rng.integers(0, size - len(far) + 1, 2)
        window = classes[top : top + len(far), left : left + len(far)]
        window[far <= rng.integers(RADIUS // 2, RADIUS) ** 2] = 1
    zarr.create_array(path, data=classes, chunks=(CHUNK, CHUNK))


def out_of_core(classes: Any, out: Any, config: InstanceConfig) -> None:
    from napari_unet.inference.instances import label_instances

    for _ in label_instances(classes, out, config, block=(CHUNK, CHUNK), memory_bytes=MEMORY):
        pass


def in_memory(classes: Any, out: Any, config: InstanceConfig) -> None:
    from scipy.ndimage import distance_transform_edt, generate_binary_structure, label
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    mask = classes[:] > 0
    if config.split:
        depth = distance_transform_edt(mask)
        faces = generate_binary_structure(mask.ndim, 1)
        seeds, _ = label(h_maxima(depth, config.neck_px, faces))
        out[:] = watershed(-depth, seeds, mask=mask)
    else:
        out[:] = label(mask)[0]


def measure(way: str, folder: Path, split: bool) -> dict[str, float]:
    """Find the objects in this process; return the seconds, the MiB and how many they are."""
    run = {"ours": out_of_core, "in memory": in_memory}[way]
    small = np.pad(np.ones((8, 8), np.uint8), 4)
    run(small, np.zeros((16, 16), np.uint32), InstanceConfig(split=split))  # loads what it needs
    classes = zarr.open_array(folder / "classes.zarr", mode="r")
    out = zarr.create_array(
        folder / f"{way} {split}.zarr",
        shape=classes.shape,
        dtype=np.uint32,
        chunks=classes.chunks,
        overwrite=True,
    )
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    run(classes, out, InstanceConfig(split=split))
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"seconds": seconds, "mib": (peak - before) / 2**20, "objects": int(out[:].max())}


def compare(folder: Path, size: int, split: bool, repeats: int) -> list[str]:
    """Measure both ways, taking turns; return a row of the table."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "in memory": []}
    for _ in range(repeats):
        for way, done in runs.items():
            done.append(start_child(__file__, ["--step", way, folder, int(split)], {"name": way}))
    ours, peer = (
        {key: statistics.median(run[key] for run in done) for key in done[0]}
        for done in runs.values()
    )
    return [
        f"{size}",
        "yes" if split else "no",
        f"{ours['objects']:,.0f}",
        f"{peer['objects']:,.0f}",
        f"{same_outlines(folder, split):.2%}",
        f"{ours['seconds'] / peer['seconds']:.2f}x",
        f"{ours['seconds']:.1f}",
        f"{ours['mib']:,.0f} MiB",
        f"{peer['mib']:,.0f} MiB",
    ]


def same_outlines(folder: Path, split: bool) -> float:
    """Return the share of object pixels that both ways separate alike from the next in the row."""
    same = total = 0
    ours, peer = (zarr.open_array(folder / f"{w} {split}.zarr") for w in ("ours", "in memory"))
    for top in range(0, ours.shape[0], CHUNK):
        a, b = ours[top : top + CHUNK], peer[top : top + CHUNK]
        inside = (a[:, 1:] > 0) & (a[:, :-1] > 0)
        alike = (a[:, 1:] == a[:, :-1]) == (b[:, 1:] == b[:, :-1])
        same, total = same + int((alike & inside).sum()), total + int(inside.sum())
    return same / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="*", default=[2048, 8192], metavar="SIZE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", nargs=3, metavar=("WAY", "FOLDER", "SPLIT"), help="do one here")
    arguments = parser.parse_args()
    if arguments.step:
        way, folder, split = arguments.step
        print(json.dumps(measure(way, Path(folder), split == "1")))
        return
    print(f"| {' | '.join(COLUMNS)} |\n| {' | '.join(['---'] * len(COLUMNS))} |", flush=True)
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            draw(folder / "classes.zarr", size)
            for split in (False, True):
                row = compare(folder, size, split, arguments.repeats)
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
