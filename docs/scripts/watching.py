"""Draw the pictures of a training that is watched and corrected, from the running program.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/scripts/watching.py [SECONDS]

Scribbles on a corner of a made-up image are all there is to learn from: the training starts, its
live view is looked at, it is paused, a place of doubt is gone to, an error is painted over, and the
training goes on. The pictures go to docs/images: watching.png in the pause, watched.png at the end.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import napari
import numpy as np
from screenshots import keep

from napari_unet.arrays.samples import touching_cells
from napari_unet.cli.demo import Lesson
from napari_unet.config import TrainConfig
from napari_unet.ui.demo import Demo
from napari_unet.ui.showing import find_marked

EDGE, CORNER = 256, 128  # pixels of the image, and of the part with scribbles
BACKGROUND, CELL = 1, 2


def scribbles(labels: np.ndarray) -> np.ndarray:
    """Draw a few strokes, as a hand would: through cells, and through what lies between them."""
    drawn = np.zeros(labels.shape, np.uint8)
    for row in range(8, CORNER, 20):
        stroke = (slice(row, row + 2), slice(4, CORNER))
        drawn[stroke] = np.where(labels[stroke] > 0, CELL, BACKGROUND)
    return drawn


def settings(seconds: float) -> TrainConfig:
    """Return the settings for a few strokes."""
    return TrainConfig.from_recipe(
        "quick",
        minutes=seconds / 60,
        labels={"kind": "classes", "zero": "unlabelled"},
        patch=64,
        model={"base": 8},
    )


def main(seconds: float) -> None:
    """Scribble, train, look, pause, correct, go on."""
    image, labels = touching_cells((EDGE, EDGE), seed=11)
    viewer = napari.Viewer(title="napari-unet-lab")
    viewer.window.resize(1400, 1000)
    lesson = Lesson(((image, scribbles(labels)),), (image, labels), "classes")
    demo = Demo(viewer, lesson, Path(tempfile.mkdtemp()))
    demo.show_training_images()
    dock = demo.open("Train")
    dock.form.value = settings(seconds)
    dock.folder.setText(str(demo.out))
    dock.train_button.click()
    demo.wait("live view", lambda: find_marked(viewer, {"live": "view"}).data.any(), dock)
    demo.wait("validations", lambda: len(dock.training.history) > 7, dock, seconds)
    dock.progress.pause_button.click()
    dock.watching.next_button.click()
    demo.wait("doubt", lambda: find_marked(viewer, {"live": "next"}) is not None, dock)
    dock.watching.held_button.click()
    paint(viewer, labels)
    viewer.reset_view()
    keep(demo, "watching")
    dock.progress.pause_button.click()
    demo.wait("correction", lambda: "corrected" in dock.message.text(), dock)
    demo.wait("training", lambda: not dock.job, dock, seconds)
    keep(demo, "watched")
    print(dock.going.diagnosis.words.text())
    viewer.close()


def paint(viewer: napari.Viewer, labels: np.ndarray) -> None:
    """Paint over what is wrong in the live view around its middle, as far as a brush reaches."""
    layer = find_marked(viewer, {"live": "view"})
    truth = np.where(labels > 0, CELL, BACKGROUND).astype(layer.data.dtype)
    wrong = layer.data != truth
    wrong[:CORNER, :CORNER] = False  # there it has labels
    rows, columns = np.nonzero(wrong)
    near = np.abs(rows - EDGE // 2) + np.abs(columns - EDGE // 2) < CORNER
    at = rows[near], columns[near]
    layer.data_setitem(at, truth[at])
    print(f"painted over {int(near.sum())} of {int(wrong.sum())} wrong pixels")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 40.0)
