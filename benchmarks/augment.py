"""The patches of a step: ours, for the whole batch, against scipy and elasticdeform one by one.

    python benchmarks/augment.py --out augment.json

Ours flips, rotates, zooms, bends and varies grey values. scipy reads the same places with
`map_coordinates`, patch by patch: image, classes and weights; where they are is computed as ours
does it. elasticdeform bends with its own splines, and rotates and zooms in 2-D only. Times are
medians of turns taken in one process, in CPU seconds, over those of ours. A program that is not
installed is left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from tables import augment_table, keep

from napari_unet.config import AugmentConfig
from napari_unet.training.augment import Source, draw_variation
from napari_unet.training.patches import draw_patches, move_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CPU = torch.device("cpu")
CASES = {  # by dimension: edge of a patch, patches, and the image that they are cut from
    1: (4096, 16, (20_000,)),
    2: (128, 4, (512, 512)),
    3: (48, 2, (64, 128, 128)),
}


def make_source(shape: Sequence[int]) -> Source:
    rng = np.random.default_rng(0)
    image = rng.random((1, *shape), dtype=np.float32)
    weights = np.ones(shape, np.float32)
    return Source(image, (image[0] > 0.7).astype(np.uint16), weights, "noise")


def by_scipy(
    source: Source, centres: Sequence[Sequence[int]], size: tuple[int, ...], config: AugmentConfig
) -> None:
    """Read every patch with `map_coordinates`."""
    variation = draw_variation(len(centres), size, config, np.random.default_rng(0))
    offsets = variation.places(size, CPU).numpy().astype(np.float64)
    for centre, offset in zip(centres, offsets, strict=True):
        coords = offset + np.reshape(centre, (-1, *(1,) * len(size)))
        map_coordinates(source.image[0], coords, order=1, mode="mirror", output=np.float32)
        for array in (source.truth, source.weights):
            map_coordinates(array, coords, order=0, mode="mirror")


def by_elasticdeform(
    source: Source, centres: Sequence[Sequence[int]], size: tuple[int, ...], config: AugmentConfig
) -> None:
    """Bend every patch with elasticdeform, image, classes and weights in one call."""
    import elasticdeform

    rng = np.random.default_rng(0)
    arrays = [source.image[0], source.truth, source.weights]
    for centre in centres:
        crop = tuple(slice(c - n // 2, c - n // 2 + n) for c, n in zip(centre, size, strict=True))
        nodes = rng.normal(0, min(config.elastic_px, size[0] / 12), (len(size), *(3,) * len(size)))
        turned = {"rotate": rng.uniform(0, 360), "zoom": rng.uniform(0.8, 1.2)}
        more = turned if len(size) == 2 else {}  # it turns and zooms images only
        elasticdeform.deform_grid(arrays, nodes, order=[1, 0, 0], mode="mirror", crop=crop, **more)


def compare(ndim: int, repeats: int) -> dict[str, Any]:
    """Return the row of one dimension."""
    edge, count, shape = CASES[ndim]
    size, config, source = (edge,) * ndim, AugmentConfig(), make_source(shape)
    rng = np.random.default_rng(1)
    low, high = [edge // 2] * ndim, [n - edge // 2 for n in shape]
    centres = rng.integers(low, high, (count, ndim)).tolist()
    places = [(move_in([source], CPU)[0], centre) for centre in centres]
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: draw_patches(places, (size, size), config, np.random.default_rng(0), CPU),
        "scipy": lambda: by_scipy(source, centres, size, config),
    }
    if find_spec("elasticdeform"):
        ways["elasticdeform"] = lambda: by_elasticdeform(source, centres, size, config)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if turn:  # the first turn of each is for warming up
                seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        "benchmark": "augment",
        "name": f"augment/{ndim}",
        "ndim": ndim,
        "patches": f"{count} of {'x'.join(map(str, size))}",
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "ours_ms": 1e3 * medians["ours"],
        "ratios": {name: medians[name] / medians["ours"] for name in ways},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ndim", default="1,2,3")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--out", type=Path, help="a JSON file that rows are written to")
    arguments = parser.parse_args()
    rows = []
    for ndim in map(int, arguments.ndim.split(",")):
        rows.append(compare(ndim, arguments.repeats))
        if arguments.out:
            keep(arguments.out, rows[-1])
    print(augment_table(rows))


if __name__ == "__main__":
    main()
