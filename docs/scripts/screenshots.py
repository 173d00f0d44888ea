"""Draw the pictures of the docs from the running program, so that they never lie.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/scripts/screenshots.py DATA [SECONDS]

DATA is a folder with `dsb2018/images` and `dsb2018/labels` (Data Science Bowl 2018, CC0). The
pictures go to docs/images: train.png, predict.png, inspect.png, plan.png.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import napari
import numpy as np

from napari_unet.arrays.files import open_picture
from napari_unet.cli.demo import Lesson
from napari_unet.ui.demo import Demo

IMAGES = Path(__file__).resolve().parents[1] / "images"
LEARNED, SIZE = 4, (256, 256)


def nuclei(data: Path) -> Lesson:
    """Take the most crowded grey images of one size: some to learn from, the next to try."""
    pairs = []
    for path in sorted((data / "dsb2018/images").glob("*.tif")):
        image = np.asarray(open_picture(path, ndim=2).data)
        if image.shape == SIZE:
            labels = open_picture(data / "dsb2018/labels" / path.name, ndim=2, labels=True)
            pairs.append((image, np.asarray(labels.data).astype(np.int32)))
    pairs.sort(key=lambda pair: -len(np.unique(pair[1])))
    return Lesson(tuple(pairs[:LEARNED]), pairs[LEARNED], "instances")


def main(data: Path, seconds: float) -> None:
    """Walk through the docks and keep what is on the screen."""
    IMAGES.mkdir(exist_ok=True)
    out = Path(tempfile.mkdtemp())
    viewer = napari.Viewer(title="napari-unet-lab")
    viewer.window.resize(1400, 900)
    demo = Demo(viewer, nuclei(data), out)
    demo.show_training_images()
    demo.preview_weights()
    for layer in viewer.layers:
        layer.visible = layer.name.startswith(("image 1", "labels 1: total"))
    folder = demo.train(seconds)
    keep(demo, "train")
    demo.predict(folder)
    demo.show_results()
    keep(demo, "predict")
    inspect(demo, folder)
    keep(demo, "inspect")


def inspect(demo: Demo, folder: Path) -> None:
    """Show the tile plan of the unseen image and its gates in the dock Inspect."""
    dock, viewer = demo.docks["Inspect"], demo.viewer
    dock.parent().raise_()
    dock.grid.setChecked(False)
    dock.subject.model.choose(folder)
    image = next(x for x in viewer.layers if x.name == "unseen image")
    dock.subject.image.key = image.unique_id
    for layer in list(viewer.layers):
        if layer.name != "unseen image":
            viewer.layers.remove(layer)
    dock.tile.value = 64
    dock.opacity.value = 0.4
    dock.gates_button.click()
    demo.wait("gates", lambda: not dock.job, dock)
    dock.plan_button.click()
    viewer.reset_view()


def keep(demo: Demo, name: str) -> None:
    """Take a screenshot of the window to docs/images."""
    demo.screenshot(name)
    shutil.move(demo.out / f"demo-{name}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
