"""Drawing the curves of a long training: ours against pyqtgraph given every point.

    xvfb-run -a python benchmarks/curves.py [STEPS ...]

A redraw makes points of the whole course (the mean of 30 steps) and paints them, in a dock of
360 pixels. The peer is given the raw losses and thins them itself, in its mode "peak" and clipped
to what is in view. The two take turns; times are medians. The diagnosis is of the same course.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QApplication

from napari_unet.events import Stepped, Validated
from napari_unet.metrics.course import Course
from napari_unet.metrics.diagnosis import diagnose
from napari_unet.ui.curves import Curves

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = (1_000, 10_000, 100_000, 1_000_000)
TURNS = 15
VALIDATIONS = 200
SIZE = (360, 320)


def course_of(n: int) -> Course:
    """Make a course of `n` noisy steps and up to 200 validations."""
    course, rng = Course(), np.random.default_rng(0)
    losses = (0.1 + np.exp(-np.arange(n) / (n / 4))) * rng.lognormal(0, 0.3, n)
    for step, loss in enumerate(losses.tolist(), start=1):
        course.take(Stepped(step, 0, loss, 1e-3, step / n))
        if step % max(n // VALIDATIONS, 1) == 0:
            course.take(Validated(step, 0, loss, {"dice": 0.5}, {}, False))
    return course


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that a call takes."""
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def measure(n: int) -> None:
    """Print one row: milliseconds of points, points and paint, the peer, and the diagnosis."""
    course = course_of(n)
    curves, peer = Curves(course), pg.PlotWidget()
    line = peer.plot(pen=pg.mkPen("w", width=2))
    peer.getPlotItem().setDownsampling(auto=True, mode="peak")
    peer.getPlotItem().setClipToView(True)
    for widget in (curves, peer):
        widget.resize(*SIZE)
        widget.show()
    QApplication.processEvents()

    def ours() -> None:
        curves.redraw()
        curves.picture.plot.viewport().repaint()

    def theirs() -> None:
        line.setData(*course.losses)
        peer.viewport().repaint()

    works = (curves.redraw, ours, theirs, lambda: diagnose(course))
    times = [[timed(work) for work in works] for _ in range(TURNS)]
    points, whole, other, words = map(statistics.median, zip(*times, strict=True))
    row = (points, whole, other, whole / other, words)
    print(f"{n:>9,}" + "".join(f"{number:>11.2f}" for number in row), flush=True)


if __name__ == "__main__":
    application = QApplication([])
    heads = ("points", "+ paint", "pyqtgraph", "ratio", "diagnosis")
    print(f"{'steps':>9}" + "".join(f"{head:>11}" for head in heads))
    for count in map(int, sys.argv[1:] or STEPS):
        measure(count)
