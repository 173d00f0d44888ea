"""`napari-unet demo`: train, predict an image the network has not seen, and show it.

With napari installed it is the real window, on a virtual display where there is none;
without napari the same is done and a picture is written.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.files import list_pictures, open_picture
from napari_unet.arrays.labels import open_labels_array
from napari_unet.arrays.samples import SAMPLE_NDIM, SAMPLES
from napari_unet.arrays.writing import atomic_write
from napari_unet.cli.following import follow
from napari_unet.config import InputError, TrainConfig

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from numpy.typing import NDArray

SCREEN = "-screen 0 1600x1200x24"
MOST_IMAGES = 8  # to learn from: each becomes two layers
COLOURS = 4  # a last axis of at most so many is colour, not space
FEW_VALUES = 4  # labels with no more than these are taken for classes


@dataclass(frozen=True, slots=True)
class Lesson:
    """Images to learn from, and one to be tried on: (image, labels) each."""

    pairs: tuple[tuple[NDArray[Any], NDArray[Any]], ...]
    unseen: tuple[NDArray[Any], NDArray[Any]]
    kind: Literal["instances", "classes"]
    ndim: int = 2  # of space: the rows of a picture of signals are looped over


def run_demo(out: Path, seconds: float, sample: str) -> int:
    """Run the demonstration and return its exit status.

    Parameters
    ----------
    out : Path
        Where the model and the picture go.
    seconds : float
        How long to train.
    sample : str
        A name of `SAMPLES`, or a folder with `images/` and `labels/`.
    """
    lesson = load_lesson(sample)
    out.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("napari") is None:
        return _without_window(lesson, out, seconds)
    words = [sys.executable, "-m", "napari_unet.ui.demo", str(out), str(seconds), sample]
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return subprocess.call([*words, "--stay"])
    if shutil.which("xvfb-run"):
        return subprocess.call(["xvfb-run", "--auto-servernum", f"--server-args={SCREEN}", *words])
    return _without_window(lesson, out, seconds)


def load_lesson(sample: str) -> Lesson:
    """Make or read the images of a sample; raises InputError for what is none."""
    if sample in SAMPLES:
        *pairs, unseen = (SAMPLES[sample](seed=seed) for seed in range(3))
    else:
        *pairs, unseen = _read_folder(sample)
    few = len(np.unique(unseen[1])) <= FEW_VALUES
    ndim = SAMPLE_NDIM.get(sample) or min(unseen[1].ndim, 3)
    return Lesson(tuple(pairs), unseen, "classes" if few else "instances", ndim)


def settings(lesson: Lesson, seconds: float) -> TrainConfig:
    """Choose the attention U-Net, so that there is something to look at."""
    return TrainConfig.from_recipe(
        "quick",
        minutes=seconds / 60,
        model={"architecture": "attention", "ndim": lesson.ndim},
        labels={"kind": lesson.kind},
    )


def dice(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the Dice coefficient of the foreground: of whatever is not 0."""
    found, real = prediction > 0, truth > 0
    return float(2 * (found & real).sum() / max(found.sum() + real.sum(), 1))


def _read_folder(sample: str) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    from pathlib import Path

    folder = Path(sample)
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        known = ", ".join(SAMPLES)
        raise InputError(
            "U126", f"{sample} is no sample and no folder with images/ and labels/",
            f"choose from {known}, or name such a folder",
        )  # fmt: skip
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for path in list_pictures(folder / "images"):
        image = np.asarray(open_picture(path, ndim=2).data)
        if pairs and image.shape[2:] != pairs[0][0].shape[2:]:
            continue  # colour among grey, or the other way round: the first decides
        labels = open_picture(folder / "labels" / path.name, ndim=2, labels=True)
        pairs.append((image, np.asarray(open_labels_array(labels.data, labels.name))))
        if len(pairs) > MOST_IMAGES:
            break
    if len(pairs) < 2:
        raise InputError("U101", f"{len(pairs)} image(s) in {folder}", "give at least two")
    return pairs


def _without_window(lesson: Lesson, out: Path, seconds: float) -> int:
    """Train, predict and write a picture of the result."""
    from napari_unet.inference.model import open_model
    from napari_unet.library.folders import free_folder
    from napari_unet.training.loop import train

    folder, started = free_folder(out, "demo-model"), time.perf_counter()
    status = follow(train(settings(lesson, seconds), lesson.pairs, folder))
    if status:
        return status
    trained = time.perf_counter()
    image, truth = lesson.unseen
    result = open_model(folder).predict(image, outputs=("classes", "attention"))
    print(f"trained in {trained - started:.0f} s: {folder}")
    print(f"predicted in {time.perf_counter() - trained:.1f} s")
    print(f"Dice on an image it has not seen: {dice(result['classes'], truth):.3f}")
    picture = out / "demo.png"
    atomic_write(picture, montage(image, truth, result))
    print(f"image, truth, prediction and gates: {picture}")
    return 0


def montage(image: NDArray[Any], truth: NDArray[Any], result: dict[str, NDArray[Any]]) -> bytes:
    """Draw image, truth, prediction and gates side by side, as a PNG; of a volume, the middle.

    Pictures that are much wider than high, such as signals, stand below one another.
    """
    import imageio.v3 as iio

    gates = [result[name] for name in sorted(result) if name.startswith("attention/")]
    panels = [_grey(_middle(p)) for p in (image, truth > 0, result["classes"], *gates)]
    height, width = panels[0].shape
    resized = [p[np.ix_(_spread(height, p.shape[0]), _spread(width, p.shape[1]))] for p in panels]
    below = 0 if width > 2 * height else 1
    return bytes(iio.imwrite("<bytes>", np.concatenate(resized, axis=below), extension=".png"))


def _middle(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return one plane as grey values: the middle of a volume, the mean of colours."""
    plane = np.asarray(array, float)
    while plane.ndim > 2 and plane.shape[-1] > COLOURS:
        plane = plane[len(plane) // 2]
    return plane if plane.ndim == 2 else plane.mean(axis=-1)


def _grey(panel: NDArray[np.float64]) -> NDArray[np.uint8]:
    low, high = np.percentile(panel, [1, 99.8])
    scaled: NDArray[np.float64] = (panel - low) / max(high - low, 1e-9)
    return (255 * scaled.clip(0, 1)).astype(np.uint8)


def _spread(n: int, available: int) -> NDArray[np.intp]:
    return np.arange(n) * available // n
