"""How long the window is late while networks work: delays of its event loop.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/window.py --out window.json

A real napari window shows a large image. A timer is to fire every 10 ms; how much later it does is
the delay that a click would feel. It is taken while the window is idle, while the view is panned
all the time, while a prediction runs in the engine and its tiles land, both at once, and while a
network is trained. Phases take turns, so that other programs disturb all of them alike.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer
from tables import keep

from napari_unet.arrays.samples import touching_cells
from napari_unet.cli.demo import load_lesson
from napari_unet.ui.demo import Demo

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_MS = 10
PAN_MS = 40  # 25 moves a second
MINUTES = 60  # of a training, which is stopped before
Results = dict[str, Any]


class Delays:
    """Collects how late a timer fires, in ms."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._due = math.nan
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_fired)

    def start(self) -> None:
        """Wait for the next time."""
        self._due = time.perf_counter() + PERIOD_MS / 1000
        self._timer.start(PERIOD_MS)

    def stop(self) -> None:
        """Wait no longer."""
        self._timer.stop()

    def _on_fired(self) -> None:
        self.found.append(max(1000 * (time.perf_counter() - self._due), 0.0))
        self.start()


class Panning:
    """Moves the view in a circle, as somebody does who looks around."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._camera, self._turn = viewer.scene.camera, 0
        self._centre = tuple(self._camera.center)[-2:]
        self._timer = QTimer()
        self._timer.timeout.connect(self._on_fired)

    def start(self) -> None:
        """Begin to move."""
        self._timer.start(PAN_MS)

    def stop(self) -> None:
        """Rest."""
        self._timer.stop()

    def _on_fired(self) -> None:
        self._turn += 1
        radius = 0.1 * self._centre[0]
        at = (math.sin(self._turn / 20), math.cos(self._turn / 20))
        self._camera.center = tuple(c + radius * a for c, a in zip(self._centre, at, strict=True))


def live(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the event loop run for some time, or until something is true."""
    loop, poll, end = QEventLoop(), QTimer(), time.perf_counter() + seconds

    def look() -> None:
        if until() or time.perf_counter() > end:
            loop.quit()

    poll.timeout.connect(look)
    poll.start(100)
    loop.exec()
    poll.stop()


def watch(viewer: napari.Viewer, seconds: float, *, panned: bool) -> list[float]:
    """Collect delays for some time, in ms."""
    delays, panning = Delays(), Panning(viewer)
    if panned:
        panning.start()
    delays.start()
    live(seconds)
    delays.stop()
    panning.stop()
    return delays.found


def summary(delays: list[float]) -> Results:
    """Return the numbers that are told of one phase, in ms."""
    p50, p99, p999 = np.percentile(delays, (50, 99, 99.9))
    return {"n": len(delays), "p50": p50, "p99": p99, "p999": p999, "worst": max(delays)}


def measure(edge: int, seconds: float, turns: int) -> Results:
    """Measure every phase in turns."""
    viewer = napari.Viewer(title="napari-unet-lab")
    viewer.window.resize(1400, 900)
    demo = Demo(viewer, load_lesson("cells"), Path(tempfile.mkdtemp()))
    demo.show_training_images()
    folder = demo.train(15)
    for layer in list(viewer.layers)[2:]:
        layer.visible = False
    viewer.add_image(touching_cells((edge, edge), seed=7)[0], name="large image")
    viewer.reset_view()
    found: dict[str, list[float]] = {}

    def phase(name: str, *, panned: bool = False) -> None:
        found.setdefault(name, []).extend(watch(viewer, seconds, panned=panned))

    for _ in range(turns):
        live(1.0)
        phase("idle")
        phase("panning", panned=True)
        predict(demo, folder, phase)
        train(demo, phase)
    viewer.close()
    return {name: summary(delays) for name, delays in found.items()}


def predict(demo: Demo, folder: Path, phase: Callable[..., None]) -> None:
    """Measure while a prediction runs; it is stopped after that."""
    dock = demo.open("Predict")
    dock.subject.model.choose(folder)
    layer = next(x for x in demo.viewer.layers if x.name == "large image")
    dock.subject.image.key = layer.unique_id
    demo.wait("plan", lambda: "measuring" not in dock.cost.text(), dock)
    dock.predict_button.click()
    demo.wait("tiles", lambda: dock.progress.bar.value() > 0, dock)
    phase("predicting")
    phase("predicting, panning", panned=True)
    if not dock.job:
        raise SystemExit("the prediction ended too early: choose a larger --edge")
    dock.progress.stop_button.click()
    demo.wait("stop", lambda: not (dock.job or dock.prediction.behind), dock)
    for one in [x for x in demo.viewer.layers if x.name.startswith("large image:")]:
        demo.viewer.layers.remove(one)


def train(demo: Demo, phase: Callable[..., None]) -> None:
    """Measure while a network is trained; it is stopped after that."""
    dock = demo.open("Train")
    dock.form.budget.amount.value = MINUTES
    dock.train_button.click()
    demo.wait("steps", lambda: dock.progress.bar.value() > 0, dock)
    live(2.0)
    phase("training")
    phase("training, panning", panned=True)
    dock.progress.stop_button.click()
    demo.wait("stop", lambda: not dock.job, dock)


def main() -> None:
    """Measure and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=6144, help="of the image, in pixels")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase and turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for the numbers")
    given = parser.parse_args()
    phases = measure(given.edge, given.seconds, given.turns)
    for name, row in phases.items():
        print(f"{name}: p50 {row['p50']:.1f}, p99 {row['p99']:.1f}, worst {row['worst']:.0f} ms")
        if given.out:
            keep(given.out, {"benchmark": "window", "name": f"window {name}", "phase": name, **row})


if __name__ == "__main__":
    main()
