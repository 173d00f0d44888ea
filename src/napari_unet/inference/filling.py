"""Tiles read, computed, written and marked, nearest to where one looks first."""

from __future__ import annotations

import gc
import math
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.config import InputError
from napari_unet.events import Advanced, Noted, TileDone
from napari_unet.inference.grid import Queue, halve
from napari_unet.inference.overlap import Overlap
from napari_unet.inference.plan import BAND_PIXELS
from napari_unet.models.device import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.events import PredictEvent
    from napari_unet.inference.canvas import Canvas
    from napari_unet.inference.grid import Cell
    from napari_unet.inference.ledger import Ledger
    from napari_unet.inference.passes import Passes
    from napari_unet.models.strips import Maps, Run
    from napari_unet.tiling import Window

    Filled = Generator[PredictEvent, Sequence[float] | None, None]

SILENCE_S = 0.5  # then a word is due
RECENT = 32  # tiles that the time left is estimated from


@dataclass(eq=False)
class _Strip:
    """Windows of a plane that run through the network together, top to bottom."""

    lead: tuple[int, ...]
    windows: list[Window]  # those that are not computed yet


@dataclass(frozen=True)
class _Step:
    """What is read in one piece, and which pass of a strip gets it, in which blocks."""

    strip: _Strip
    number: int
    run: Run
    blocks: Sequence[Window]  # below one another

    @property
    def window(self) -> Window:
        """All of the blocks."""
        first, last = self.blocks[0], self.blocks[-1]
        return (slice(first[0].start, last[0].stop), *first[1:])

    def cut(self, band: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Cut what was read (C, *window) into the blocks."""
        top = self.window[0].start
        for block in self.blocks:
            yield np.ascontiguousarray(band[:, block[0].start - top : block[0].stop - top])


@dataclass(frozen=True)
class _Computed:
    """What all passes told of a window."""

    lead: tuple[int, ...]
    window: Window
    maps: Sequence[Maps]


class Filling:
    """Fills a canvas with the tiles that a ledger lacks.

    Reader, network and writer work at the same time. When memory runs out, what is left is
    computed with less of it, in the end on the CPU; the result stays the same.

    Parameters
    ----------
    canvas : Canvas
        Created.
    ledger : Ledger
        Of the same task; tiles are marked after they are written.
    passes : Passes
        Of the same task.
    """

    def __init__(self, canvas: Canvas, ledger: Ledger, passes: Passes) -> None:
        self.canvas, self.ledger, self.passes = canvas, ledger, passes
        task = canvas.task
        self.queue = Queue(task.grid, ~ledger.done, rows=task.rows)
        total = int(task.grid.reached().sum())
        self.clock = Clock(total - len(self.queue), total)
        self._begun: list[_Strip] = []
        self._again: deque[_Strip] = deque()  # in front of the queue
        self._halvings, self._rows = 0, task.rows
        self._spoke_s = time.perf_counter()

    def run(self) -> Filled:
        """Compute all tiles; a point that is sent (pixels of the image) brings near ones first.

        Raises
        ------
        InputError
            U161 when memory runs out with the smallest pieces there are; U114 for a plane without
            finite pixels; StorageError when the result cannot be written.
        """
        with Overlap(self._write) as overlap:
            while not (yield from self._go(overlap)):
                yield from self.say(Noted(self._shrink()))

    def say(self, event: PredictEvent) -> Filled:
        """Yield an event; aim at the point that comes back."""
        point = yield event
        self._spoke_s = time.perf_counter()
        if point is not None:
            self.queue.aim(point)

    def _go(
        self, overlap: Overlap[_Computed, Cell | None]
    ) -> Generator[PredictEvent, Sequence[float] | None, bool]:
        """Compute what is left; return False when memory ran out."""
        try:
            with closing(self._compute(overlap)) as each:
                for computed in each:
                    if computed is None:
                        yield from self._breathe()
                        continue
                    for cell in overlap.behind(computed):
                        yield from self._tell(cell)
            for cell in overlap.settle():
                yield from self._tell(cell)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not any(strip.windows for strip in self._begun):
                raise
            return False
        return True

    def _compute(
        self, overlap: Overlap[_Computed, Cell | None]
    ) -> Generator[_Computed | None, None, None]:
        """Yield what is computed, and None after every block."""
        told: list[Maps] = []
        with closing(overlap.ahead(self._steps(), self._read)) as steps:
            for step, band in steps:
                for block in step.cut(band):
                    for tile, maps in step.run.feed(block):
                        told.append(self.passes.restore(maps, step.number))
                        if len(told) == len(self.passes.each):
                            # where it stands for itself, that is seen turned or resampled
                            window = tile.write if self._rows else step.strip.windows[0]
                            step.strip.windows.remove(window)
                            yield _Computed(step.strip.lead, window, told)
                            told = []
                    yield None
                if not step.strip.windows:
                    self._begun.remove(step.strip)

    def _steps(self) -> Iterator[_Step]:
        while strip := self._next():
            self._begun.append(strip)
            for number in range(len(self.passes.each)):
                run = self.passes.begin(strip.windows, number)
                for blocks in _bands(run.reads):
                    yield _Step(strip, number, run, blocks)

    def _next(self) -> _Strip | None:
        """Return the strip that comes next."""
        if not self._again and (cells := self.queue.pop()):
            windows = [self.canvas.task.grid.window(cell) for cell in cells]
            for _ in range(self._halvings):
                windows = self._halve(windows)
            self._again.extend(self._strips(self.canvas.task.grid.lead(cells[0]), windows))
        return self._again.popleft() if self._again else None

    def _read(self, step: _Step) -> NDArray[np.float32]:
        return self.passes.read(step.strip.lead, step.window, step.number)

    def _write(self, computed: _Computed) -> Cell | None:
        """Write a window and mark it; return its tile if that is whole now."""
        try:
            with self.canvas.outputs.storing():
                self.canvas.write(computed.lead, computed.window, computed.maps)
                return self.ledger.add(computed.lead, computed.window)
        except MemoryError as error:
            size = edges(computed.window)
            raise InputError(
                "U161",
                f"out of memory while a tile of {size} pixels was written",
                "close other programs, or choose smaller tiles",
            ) from error

    def _tell(self, cell: Cell | None) -> Filled:
        if cell is not None:
            start, stop = self.canvas.task.grid.corners(cell)
            left_s = self.clock.tick()
            yield from self.say(TileDone(self.clock.done, self.clock.total, start, stop, left_s))

    def _breathe(self) -> Filled:
        """Let whoever listens stop this, or aim, where a tile takes long."""
        if time.perf_counter() - self._spoke_s > SILENCE_S:
            yield from self.say(Advanced())

    def _shrink(self) -> str:
        """See to it that what is left takes less memory; return what was done, in words."""
        strips = [strip for strip in self._begun if strip.windows]
        self._begun.clear()
        device = self.passes.task.model.device
        free(device)  # outside the except block: nothing of the failed pass is held
        largest = strips[0].windows[0]
        if self.passes.halve():
            words = "fewer rows at a time"
        elif len(parts := self._halve([largest])) > 1:
            self._halvings += 1
            strips += self._again
            strips = [part for s in strips for part in self._strips(s.lead, self._halve(s.windows))]
            self._again.clear()
            words = f"tiles of {edges(parts[0])} pixels"
        elif device.type != "cpu":
            self.passes.move_to_cpu()
            self._halvings = 0
            words = "the CPU"
        else:
            raise InputError(
                "U161",
                f"out of memory with tiles of {edges(largest)} pixels, the smallest there are",
                "close other programs, or predict a part of the image",
            )
        self._again.extendleft(reversed(strips))
        return f"out of memory: going on with {words}"

    def _halve(self, windows: Sequence[Window]) -> list[Window]:
        task = self.canvas.task
        step = task.model.geometry.step
        return [part for window in windows for part in halve(window, step, rows=task.rows)]

    def _strips(self, lead: tuple[int, ...], windows: Sequence[Window]) -> list[_Strip]:
        """Group windows into strips: those below one another, or each on its own."""
        if not self._rows:
            return [_Strip(lead, [window]) for window in windows]
        strips: list[_Strip] = []
        for window in windows:
            above = next((s for s in strips if _follows(s.windows[-1], window)), None)
            if above is None:
                strips.append(_Strip(lead, [window]))
            else:
                above.windows.append(window)
        return strips


class Clock:
    """Counts tiles and estimates the time that is left from the last of them.

    Parameters
    ----------
    done, total : int
        Tiles that are there already, and all of them.
    """

    def __init__(self, done: int, total: int) -> None:
        self.before, self.done, self.total = done, done, total
        self._times_s = deque([time.perf_counter()], RECENT + 1)
        self._started_s = self._times_s[0]

    @property
    def elapsed_s(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._started_s

    def tick(self) -> float:
        """Count one tile; return the estimate of seconds to go."""
        self.done += 1
        self._times_s.append(time.perf_counter())
        span = self._times_s[-1] - self._times_s[0]
        return span / (len(self._times_s) - 1) * (self.total - self.done)


def _bands(blocks: Sequence[Window]) -> Iterator[list[Window]]:
    """Group blocks that lie below one another, so that no chunk is unpacked for every few rows."""
    band: list[Window] = []
    for block in blocks:
        if band:
            joined = (slice(band[0][0].start, block[0].stop), *block[1:])
            if not _follows(band[-1], block) or _size(joined) > BAND_PIXELS:
                yield band
                band = []
        band.append(block)
    if band:
        yield band


def _follows(above: Window, below: Window) -> bool:
    """Tell whether one window lies directly below another."""
    return above[0].stop == below[0].start and above[1:] == below[1:]


def _size(window: Window) -> int:
    return math.prod(w.stop - w.start for w in window)


def edges(window: Window) -> str:
    """Say how large a window is, such as 512x300."""
    return "x".join(str(w.stop - w.start) for w in window)


def free(device: torch.device) -> None:
    """Give back what is held for nothing: cycles, and what torch keeps of an accelerator."""
    gc.collect()
    if device.type != "cpu" and torch.accelerator.is_available():
        torch.accelerator.empty_cache()
