"""The demonstration in the real window: the buttons that a user would press, pressed.

Started by `napari-unet demo` as `python -m napari_unet.ui.demo OUT SECONDS SAMPLE [--stay]`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

from napari_unet.arrays.writing import atomic_write
from napari_unet.cli.demo import Lesson, dice, load_lesson, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.ui.panel import Panel

PLUGIN = "napari-unet-lab"
SIGNAL_PX = 8.0  # how high a signal is drawn
POLL_MS = 50
PATIENCE_S = 300.0  # beyond the time that was asked for


class Demo:
    """One run through the docks, with the time that each step took."""

    def __init__(self, viewer: napari.Viewer, lesson: Lesson, out: Path) -> None:
        self.viewer, self.lesson, self.out = viewer, lesson, out
        signals = ("Signals",) if lesson.ndim == 1 else ()
        self.space = {"scale": (SIGNAL_PX, 1.0)} if signals else {}
        self.docks: dict[str, Any] = {}
        for name in (*signals, "Inspect", "Predict", "Train"):
            self.open(name)

    def open(self, name: str) -> Any:
        """Open a dock, in front of the others; return it."""
        if name not in self.docks:
            added = self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
            self.docks[name] = added[1]
        self.docks[name].parent().raise_()
        return self.docks[name]

    def run(self, seconds: float) -> None:
        """Train, predict, look inside; print numbers, write screenshots."""
        self.show_training_images()
        self.preview_weights()
        folder = self.train(seconds)
        self.screenshot("train")
        classes = self.predict(folder)
        print(f"Dice on an image it has not seen: {dice(classes, self.lesson.unseen[1]):.3f}")
        self.show_results()
        self.screenshot("predict")

    def show_training_images(self) -> None:
        """Open what the network learns from, and choose it in the dock."""
        keys = []
        for number, (image, labels) in enumerate(self.lesson.pairs, start=1):
            layer = self.viewer.add_image(image, name=f"image {number}", **self.space)
            words = {"name": f"labels {number}", "opacity": 0.5}
            drawn = self.viewer.add_labels(labels, **words, **self.space)
            keys.append((layer.unique_id, drawn.unique_id))
        pairs = self.docks["Train"].material.pairs
        while len(pairs.rows) < len(keys):
            pairs.add_row()
        for row, (image_key, labels_key) in zip(pairs.rows, keys, strict=True):
            row.image.key, row.labels.key = image_key, labels_key

    def preview_weights(self) -> None:
        """Press Preview weights and wait for the maps."""
        dock, before = self.docks["Train"], len(self.viewer.layers)
        dock.weights_button.click()
        self.wait("weight maps", lambda: len(self.viewer.layers) >= before + 3, dock)

    def train(self, seconds: float) -> Path:
        """Press Train and wait for the model."""
        dock = self.docks["Train"]
        dock.form.value = settings(self.lesson, seconds)
        dock.folder.setText(str(self.out))
        dock.name.setText("demo-model")
        dock.name.setModified(True)
        before = set(self.out.glob("*/card.json"))
        dock.train_button.click()
        self.wait("training", lambda: not dock.job, dock, seconds)
        made = set(self.out.glob("*/card.json")) - before
        if not made:
            raise SystemExit(f"training failed: {dock.message.text()}")
        folder = made.pop().parent
        print(f"model: {folder}")
        return folder

    def predict(self, folder: Path) -> np.ndarray[Any, Any]:
        """Open the unseen image, press Predict and wait for the tiles; return the classes."""
        dock, image = self.docks["Predict"], self.lesson.unseen[0]
        layer = self.viewer.add_image(image, name="unseen image", **self.space)
        self.open("Predict")
        dock.subject.model.choose(folder)
        dock.subject.image.key = layer.unique_id
        for output in ("classes", "probabilities", "attention"):
            dock.outputs[output].setChecked(True)
        dock.predict_button.click()
        self.wait("prediction", lambda: not (dock.job or dock.prediction.behind), dock)
        found = [x for x in self.viewer.layers if isinstance(x, napari.layers.Labels)]
        if dock.message.kind == "error":
            raise SystemExit(f"prediction failed: {dock.message.text()}")
        return np.asarray(found[-1].data)

    def show_results(self) -> None:
        """Put the unseen image, its prediction, gates and a weight map side by side."""
        shown = ("labels 1: total", "labels 1: border", "unseen image")
        for layer in list(self.viewer.layers):
            if not any(word in layer.name for word in shown) or "background" in layer.name:
                self.viewer.layers.remove(layer)
            else:
                layer.visible, layer.opacity = True, 1.0
        self.docks["Inspect"].grid.setChecked(True)

    def wait(
        self, what: str, done: Callable[[], bool], dock: Panel, expected_s: float = 0.0
    ) -> None:
        """Let the window live until `done`; print how long it took."""
        started, loop, timer = time.perf_counter(), QEventLoop(), QTimer()

        def look() -> None:
            if done() or time.perf_counter() - started > expected_s + PATIENCE_S:
                loop.quit()

        timer.timeout.connect(look)
        timer.start(POLL_MS)
        loop.exec()
        timer.stop()
        if not done():
            raise SystemExit(f"{what} did not end: {dock.message.text()}")
        print(f"{what}: {time.perf_counter() - started:.1f} s", flush=True)

    def screenshot(self, name: str) -> None:
        """Write the whole window as OUT/demo-NAME.png."""
        self.wait("drawing", _after(1.0), self.docks["Train"])
        picture = self.viewer.screenshot(canvas_only=False, flash=False)
        path = self.out / f"demo-{name}.png"
        atomic_write(path, iio.imwrite("<bytes>", picture, extension=".png"))
        print(f"screenshot: {path}")


def main(words: Sequence[str]) -> int:
    """Run the demonstration with the words of the command line."""
    out, seconds, sample, *stay = words
    started = time.perf_counter()
    viewer = napari.Viewer(title="napari-unet-lab demo")
    viewer.window.resize(1500, 1000)
    print(f"window: {time.perf_counter() - started:.1f} s", flush=True)
    Demo(viewer, load_lesson(sample), Path(out)).run(float(seconds))
    if stay:
        napari.run()
    viewer.close()
    return 0


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
