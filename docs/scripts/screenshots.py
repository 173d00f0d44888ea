"""Draw the pictures of the docs from the running program, so that they never lie.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/scripts/screenshots.py DATA [SECONDS]

DATA is a folder with `dsb2018/images` and `dsb2018/labels` (Data Science Bowl 2018, CC0), or one of
the words `filling` and `curves`, for which no data are needed. The pictures go to docs/images:
curves.png of a training on made-up cells of two classes, in a narrow dock; train.png,
predict.png, inspect.png, evaluate.png, compare.png, network.png and signals.png of the window,
unet2015.svg, a drawn network, and filling-1.png to filling-4.png: a large image of made-up cells
that fills in where one looks.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget
from skimage.measure import label

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.samples import touching_cells
from napari_unet.cli.demo import Lesson, load_lesson
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.inference.model import open_model
from napari_unet.metrics.course import Course
from napari_unet.metrics.diagnosis import diagnose
from napari_unet.models.describe import describe
from napari_unet.models.drawing import draw
from napari_unet.training.loop import train
from napari_unet.ui.curves import Curves
from napari_unet.ui.demo import Demo
from napari_unet.ui.diagnosis_line import DiagnosisLine

IMAGES = Path(__file__).resolve().parents[1] / "images"
LEARNED, SIZE = 4, (256, 256)
LARGE = 6144  # pixels per edge of the image that fills in
LOOKED_AT = ((1500.0, 1500.0), (4300.0, 3600.0))  # pixels, one after the other
PATIENCE_S = 600.0  # for the tiles that nobody looks at
NARROW_PX = 350
TILES = 24  # that are done before the next look


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
    viewer.close()
    fill_in(seconds)


def fill_in(seconds: float) -> None:
    """Predict a large image while looking here and there; keep four frames."""
    IMAGES.mkdir(exist_ok=True)
    viewer = napari.Viewer(title="napari-unet-lab")
    viewer.window.resize(1400, 900)
    demo = Demo(viewer, load_lesson("cells"), Path(tempfile.mkdtemp()))
    demo.show_training_images()
    folder = demo.train(seconds)
    viewer.layers.clear()
    QApplication.processEvents()  # napari has still to hear of it
    viewer.add_image(touching_cells((LARGE, LARGE), seed=7)[0], name="large image")
    dock = demo.open("Predict")
    dock.subject.model.choose(folder)
    dock.form.field("tile").value = "256"
    viewer.reset_view()
    camera, whole = viewer.scene.camera, viewer.scene.camera.zoom
    demo.wait("plan", lambda: "measuring" not in dock.cost.text(), dock)
    camera.center, camera.zoom = LOOKED_AT[0], 2.2 * whole
    dock.predict_button.click()
    for number, point in enumerate(LOOKED_AT, start=1):
        camera.center = point
        look(demo, tiles_done(dock) + TILES)
        keep(demo, f"filling-{number}")
        dock.progress.pause_button.click()
    camera.center, camera.zoom = (LARGE / 2, LARGE / 2), whole
    look(demo, tiles_done(dock) + 1)
    keep(demo, "filling-3")
    dock.progress.pause_button.click()
    demo.wait("the other tiles", lambda: not dock.job, dock, PATIENCE_S)
    keep(demo, "filling-4")


def draw_curves(seconds: float) -> None:
    """Train on made-up cells of two classes, and keep the curves and the diagnosis."""
    pairs = [cells_of_two_classes(seed) for seed in range(3)]
    small = {"model": {"base": 8, "depth": 2}, "patch": 64, "steps_per_epoch": 10}
    budget = {"labels": {"kind": "classes"}, "minutes": seconds / 60}
    config = TrainConfig.from_recipe("quick", **small, **budget)
    course = Course()
    for event in train(config, pairs, Path(tempfile.mkdtemp()) / "model"):
        course.take(event)
    viewer = napari.Viewer(show=False)
    dock, line, curves = QWidget(), DiagnosisLine(), Curves(course)
    line.show_diagnosis(diagnose(course, config))
    column = QVBoxLayout(dock)
    column.addWidget(curves)
    column.addWidget(line)
    column.addStretch()
    viewer.window.add_dock_widget(dock, name="curves")
    dock.setFixedSize(NARROW_PX, dock.sizeHint().height())
    viewer.window.show()
    curves.view.setCurrentText("Dice by class")
    curves.view.activated.emit(curves.view.currentIndex())
    QApplication.processEvents()
    curves.picture.point(course.last_step / 2)
    QApplication.processEvents()
    dock.grab().save(str(IMAGES / "curves.png"))
    viewer.close()


def cells_of_two_classes(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw cells of which every third is brighter, and of another class."""
    image, labels = touching_cells((192, 192), seed=seed)
    classes = np.where(labels % 3 == 1, 2, labels > 0) * (labels > 0)
    return image + 0.3 * np.ptp(image) * (classes == 2), classes


def look(demo: Demo, tiles: int) -> None:
    """Wait for a number of tiles and hold the prediction there."""
    dock = demo.docks["Predict"]
    demo.wait("tiles", lambda: tiles_done(dock) >= tiles, dock)
    dock.progress.pause_button.click()
    demo.wait("layers", lambda: not dock.prediction.behind, dock)


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


def tiles_done(dock: Any) -> int:
    """Read off the dock how many tiles are done."""
    found = re.match(r"tile (\d+)", dock.progress.words.text())
    return int(found[1]) if found else 0


def keep(demo: Demo, name: str) -> None:
    """Take a screenshot of the window to docs/images."""
    demo.screenshot(name)
    shutil.move(demo.out / f"demo-{name}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    duration = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    if sys.argv[1] == "filling":
        fill_in(duration)
    elif sys.argv[1] == "curves":
        draw_curves(duration)
    else:
        main(Path(sys.argv[1]), duration)
