"""Train the networks of the family on what each is for, and score them on other images.

    python benchmarks/family.py DATA msd_hippocampus --minutes 10 --jobs 2 --out family.json
    python benchmarks/family.py DATA axondeepseg_sem --minutes 10 --jobs 2 --out family.json
    python benchmarks/family.py DATA drive_retina --minutes 10 --jobs 2 --out family.json
    python benchmarks/family.py DATA denoising --minutes 10 --jobs 2 --out family.json
    python benchmarks/family.py DATA signals --minutes 10 --jobs 2 --out family.json

DATA/NAME holds images/X.tif and labels/X.tif; images to denoise and signals are made here. Every
run is `compare` of one network, in a process of its own with one thread, and is written to
--out as it ends, where it replaces an older one of the same name.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import start, start_all
from scipy.ndimage import gaussian_filter
from tables import family_tables

from napari_unet.arrays.files import list_pictures, open_picture
from napari_unet.arrays.samples import touching_cells
from napari_unet.arrays.signals import signals
from napari_unet.config import ARCHITECTURES, TrainConfig, overlay
from napari_unet.events import Compared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Pair = tuple[Path, Path]

IGNORED = 2  # outside the field of view
PHOTONS, BLUR_PX, READ_NOISE = 20.0, 1.3, 2.0  # of the images to denoise
NUMBER, SIZE = 20, (256, 256)


@dataclass(frozen=True)
class Task:
    """What is learned: settings beyond those of the recipe, images, and what they score now."""

    settings: dict[str, Any]
    train: Sequence[Pair]
    test: Sequence[Pair]
    known: dict[str, Any] = field(default_factory=dict)


def hippocampus(folder: Path, _scratch: Path) -> Task:
    """Volumes of the hippocampus (MRI): the first 15 by name to learn from, 5 to be scored on."""
    pairs = _pairs(folder)
    settings = {"model": {"ndim": 3}, "labels": {"kind": "classes"}}
    return Task(settings, pairs[:15], pairs[15:])


def axons(folder: Path, _scratch: Path) -> Task:
    """Axons and myelin (scanning EM): four images of two rats to learn from, two of two others."""
    pairs = _pairs(folder)
    return Task({"labels": {"kind": "classes"}}, pairs[:4], pairs[4:])


def retina(folder: Path, scratch: Path) -> Task:
    """Vessels of the retina (RGB): three images and one; outside the field of view is ignored."""
    pairs = []
    for image, labels in _pairs(folder):
        vessels = _read(labels, labels=True) > 0
        outside = _read(folder / "fov_masks" / labels.name, labels=True) == 0
        drawn = np.where(outside, IGNORED, vessels).astype(np.uint8)
        pairs.append((image, _save(scratch / f"{labels.stem}.npy", drawn)))
    settings = {"labels": {"kind": "classes", "ignore": IGNORED}}
    return Task(settings, pairs[:3], pairs[3:])


def denoising(_folder: Path, scratch: Path) -> Task:
    """Noisy images of cells, and what they would be without noise: 16 and 4 of them."""
    pairs, errors, largest = [], [], 0.0
    for seed in range(NUMBER):
        noisy, clean = draw_noisy(seed)
        pairs.append(
            (_save(scratch / f"i{seed:02}.npy", noisy), _save(scratch / f"c{seed:02}.npy", clean))
        )
        if seed >= 16:
            errors.append(noisy - clean)
            largest = max(largest, float(clean.max()))
    mse, mae = (float(np.mean(each)) for each in (np.square(errors), np.abs(errors)))
    known = {"noisy": {"mse": mse, "mae": mae, "psnr_db": psnr(mse, largest)}, "peak": largest}
    return Task({"labels": {"kind": "regression"}}, pairs[:16], pairs[16:], known)


def draw_noisy(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw cells as photons without noise, and with that of light and camera: (noisy, clean)."""
    rng = np.random.default_rng(seed)
    _, labels = touching_cells(SIZE, seed=seed)
    brightness = rng.lognormal(0, 0.35, labels.max() + 1)
    brightness[0] = 0.05
    grain = gaussian_filter(rng.normal(size=SIZE), 3.0)
    light = brightness[labels] * (1 + 0.3 * grain / grain.std())
    clean = PHOTONS * gaussian_filter(np.clip(light, 0, None), BLUR_PX)
    noisy = rng.poisson(clean) + rng.normal(0, READ_NOISE, SIZE)
    return noisy.astype(np.float32), clean.astype(np.float32)


def psnr(mse: float, peak: float) -> float:
    """Return the peak signal-to-noise ratio in dB: 10 log10(peak^2 / mse)."""
    return 10 * math.log10(peak**2 / mse)


def made_signals(_folder: Path, scratch: Path) -> Task:
    """Made signals of transients and plateaus: 64 to learn from, 64 others to be scored on."""
    pairs = []
    for seed in range(2):
        image, labels = signals(seed=seed)
        pairs.append(
            (_save(scratch / f"i{seed}.npy", image), _save(scratch / f"l{seed}.npy", labels))
        )
    return Task({"model": {"ndim": 1}, "labels": {"kind": "classes"}}, pairs[:1], pairs[1:])


TASKS: Mapping[str, Callable[[Path, Path], Task]] = {
    "msd_hippocampus": hippocampus,
    "axondeepseg_sem": axons,
    "drive_retina": retina,
    "denoising": denoising,
    "signals": made_signals,
}
NETWORKS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "msd_hippocampus": {"unet": {}, "improved": {}, "vnet": {"base": 8}},
    "axondeepseg_sem": {name: {} for name, a in ARCHITECTURES.items() if 2 in a.ndim},
    "drive_retina": {"unet": {}, "attention": {}},
    "denoising": {"unet": {}, "improved": {}},
    "signals": {"unet": {}, "attention": {}},
}  # each with what it has beyond the recipe


def run_one(data: Path, dataset: str, architecture: str, minutes: float) -> dict[str, Any]:
    """Train and score one network; return its numbers."""
    from napari_unet.inference.compare import compare
    from napari_unet.library.folders import read_card

    with tempfile.TemporaryDirectory() as scratch:
        task = TASKS[dataset](data / dataset, Path(scratch))
        shared = {"minutes": minutes, "seed": 0, "device": "cpu", "threads": 1}
        own = {"model": NETWORKS[dataset][architecture]}
        config = TrainConfig.from_recipe("quick", **overlay(overlay(task.settings, own), shared))
        folder = Path(scratch) / "comparison"
        events = compare(config, [architecture], task.train, folder, test=task.test)
        (row,) = (dict(event.row) for event in events if isinstance(event, Compared))
        result = {**identify(dataset, architecture), "minutes": minutes, **row, **task.known}
        if "failed" not in row:
            result["model"] = read_card(folder / row["model"]).model.model_dump(mode="json")
    if "peak" in result and "mse" in result:
        result["psnr_db"] = psnr(result["mse"], result["peak"])
    test = [image.name for image, _ in task.test]
    return {**result, "test": test, "versions": {"python": platform.python_version()}}


def identify(dataset: str, architecture: str) -> dict[str, str]:
    """Name a run, as a whole and in its parts."""
    return {
        "name": f"family/{dataset}/{architecture}",
        "benchmark": "family",
        "dataset": dataset,
        "architecture": architecture,
    }


def _pairs(folder: Path) -> list[Pair]:
    images, labels = (list_pictures(folder / part) for part in ("images", "labels"))
    return list(zip(images, labels, strict=True))


def _read(path: Path, *, labels: bool) -> NDArray[Any]:
    return np.asarray(open_picture(path, ndim=2, labels=labels).data)


def _save(path: Path, array: NDArray[Any]) -> Path:
    np.save(path, array)
    return path


def start_one(arguments: argparse.Namespace, architecture: str) -> dict[str, Any]:
    """Do one run in a process of its own with one thread."""
    order = [arguments.data, arguments.dataset, "--minutes", arguments.minutes]
    order += ["--run", architecture]
    return start(__file__, order, identify(arguments.dataset, architecture))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds the sets of images")
    parser.add_argument("dataset", choices=list(TASKS))
    parser.add_argument("--architectures", metavar="A,B", help="of those that the set is for")
    parser.add_argument("--minutes", type=float, default=10.0, help="to train each network")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--run", metavar="NAME", help="do this run here, print its JSON")
    arguments = parser.parse_args()
    if arguments.run:
        found = run_one(arguments.data, arguments.dataset, arguments.run, arguments.minutes)
        print(json.dumps(found))
        return 0
    names = list(NETWORKS[arguments.dataset])
    if arguments.architectures:
        names = [name for name in names if name in arguments.architectures.split(",")]
    runs = start_all(
        [partial(start_one, arguments, name) for name in names], arguments.jobs, arguments.out
    )
    print(family_tables(runs))
    return int(any("failed" in run for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
