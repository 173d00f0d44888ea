"""Draw the pictures of the docs from the running program, so that they never lie.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/scripts/screenshots.py DATA [SECONDS]

DATA is a folder with `dsb2018/images` and `dsb2018/labels` (Data Science Bowl 2018, CC0). The
pictures go to docs/images: train.png, predict.png, inspect.png, evaluate.png, compare.png,
network.png and signals.png of the window, and unet2015.svg, a drawn network.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication, QScrollArea
from skimage.measure import label

from napari_unet.arrays.files import open_picture
from napari_unet.cli.demo import Lesson
from napari_unet.config import ModelConfig
from napari_unet.inference.model import open_model
from napari_unet.models.describe import describe
from napari_unet.models.drawing import draw
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
    draw_network(demo)
    keep(demo, "network")
    demo.docks["Train"].drawn.collapse(animate=False)
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
    evaluate(demo, folder)
    keep(demo, "evaluate")
    compare(demo, seconds)
    keep(demo, "compare")
    plot_signals(demo)
    keep(demo, "signals")
    card = describe(ModelConfig(architecture="unet2015"))
    IMAGES.joinpath("unet2015.svg").write_text(draw(card), encoding="utf-8")


def inspect(demo: Demo, folder: Path) -> None:
    """Show the tile plan of the unseen image and its gates in the dock Inspect."""
    dock, viewer = demo.open("Inspect"), demo.viewer
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


def evaluate(demo: Demo, folder: Path) -> None:
    """Measure the parts of the predicted foreground against the true objects."""
    viewer, (image, truth) = demo.viewer, demo.lesson.unseen
    classes = open_model(folder).predict(image)["classes"]
    viewer.layers.clear()
    QApplication.processEvents()  # napari has still to hear of it
    viewer.add_image(image, name="unseen image")
    layers = (label(classes > 0), "predicted objects"), (truth, "true objects")
    added = [viewer.add_labels(data, name=name, visible=False) for data, name in layers]
    dock = demo.open("Evaluate")
    dock.prediction.key, dock.truth.key = (layer.unique_id for layer in added)
    dock.evaluate_button.click()
    demo.wait("scores", lambda: dock.evaluate_button.text() == "Evaluate", dock)
    viewer.reset_view()


def compare(demo: Demo, seconds: float) -> None:
    """Train some networks on the same images."""
    viewer = demo.viewer
    viewer.layers.clear()
    QApplication.processEvents()
    image, labels = demo.lesson.pairs[0]
    viewer.add_image(image, name="nuclei")
    viewer.add_labels(labels, name="drawn nuclei", opacity=0.4)
    dock = demo.open("Compare")
    dock.root = demo.out
    dock.networks.names = ["unet", "improved", "attention", "residual"]
    dock.budget.amount.value = seconds / 120
    dock.run_button.click()
    demo.wait("comparison", lambda: not dock.job, dock, 4 * seconds)
    viewer.reset_view()


def draw_network(demo: Demo) -> None:
    """Open the drawn network in the dock Train."""
    dock = demo.open("Train")
    dock.form.network.field("architecture").value = "attention"
    dock.drawn.expand(animate=False)
    demo.wait("drawing of the network", lambda: bool(dock.network.card), dock)
    demo.wait("layout", lambda: dock.network.picture.height() > 0, dock)
    dock.findChild(QScrollArea).verticalScrollBar().setValue(dock.drawn.y())


def plot_signals(demo: Demo) -> None:
    """Show a row of the sample with signals as a curve."""
    viewer = demo.viewer
    viewer.layers.clear()
    QApplication.processEvents()
    viewer.open_sample("napari-unet-lab", "signals")
    dock = demo.open("Signals")
    dock.row.value = 5
    viewer.reset_view()


def keep(demo: Demo, name: str) -> None:
    """Take a screenshot of the window to docs/images."""
    demo.screenshot(name)
    shutil.move(demo.out / f"demo-{name}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
