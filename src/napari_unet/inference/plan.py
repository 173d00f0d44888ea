"""How an image will be predicted: in which pieces, with how much memory, in how much time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import psutil
import torch

from napari_unet.arrays.chunks import CHUNK
from napari_unet.config import InputError
from napari_unet.inference.canvas import writing_bytes
from napari_unet.inference.grid import Grid
from napari_unet.inference.orientations import orientations
from napari_unet.inference.pace import fastest_backend, measure_pace
from napari_unet.inference.planned import GIB, Plan, times
from napari_unet.inference.regions import choose_region
from napari_unet.inference.zoom import choose_zoom
from napari_unet.models.backends import available_backends
from napari_unet.models.graph import IMAGE
from napari_unet.models.precision import bf16_pays, half_dtype
from napari_unet.models.schedule import (
    Schedule,
    count_macs,
    estimate_bytes,
    estimate_whole,
    find_boxes,
)
from napari_unet.models.strips import FlowRunner, Mode
from napari_unet.tiling import AUTO_TILE, tile_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_unet.arrays.axes import Picture
    from napari_unet.config import PredictConfig
    from napari_unet.config.prediction import Backend
    from napari_unet.inference.model import Model
    from napari_unet.inference.regions import Region
    from napari_unet.models.graph import Box
    from napari_unet.tiling import Geometry, Window

PUSHED: Mapping[int, int] = {1: 2**13, 2: 2**17, 3: 2**19}  # pixels at a time on a CPU
WIDE = 8  # times as many on an accelerator, which wants large pieces
SHARE = 0.5  # of the memory that is free
SPARE = 1.35  # of the memory for maps: what was measured was at most so much above the estimate
AROUND = 96 * 2**20  # bytes: the sample of grey values; zarr and its threads
BAND_PIXELS = 2**22  # read in one piece, 16 MiB as float32
READ_COPIES = 6  # of such a piece: as it lies in the file, mirrored, normalised, one ahead
COPIES = 2  # of the logits of a tile: one is gathered while another is being written
LARGEST = 4  # times the automatic tile: larger ones answer late
WASTE = 0.25  # operations beyond the whole from which on larger tiles are tried
MUCH = 1e13  # multiply-adds, minutes on a laptop: then backends are compared
BF16_EDGE: Mapping[int, int] = {1: 2**16, 2: 256, 3: 48}  # pixels of the image to try it on


def plan_prediction(
    model: Model,
    picture: Picture,
    config: PredictConfig,
    *,
    interactive: bool = False,
    timed: bool = False,
) -> Plan:
    """Choose how to predict an image.

    Parameters
    ----------
    model : Model
    picture : Picture
        With the channels that the model wants; no pixel is read.
    config : PredictConfig
        `tile` "auto" streams rows, unless someone looks on; tiles fit the memory.
    interactive : bool
        Whether tiles have to come in any order, near to where someone looks first.
    timed : bool
        Measure how fast the network is here, in a fraction of a second.

    Raises
    ------
    InputError
        U150 for a region beyond the image; U161 when the smallest pieces need more memory than
        `config.memory_gib`; as `half_dtype` for a precision that cannot be had.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    return _Planner(model, picture, config).plan(interactive=interactive, timed=timed)


def choose_rows(tile: Sequence[int], geometry: Geometry, pushed: int) -> int:
    """Return how many rows of a tile enter the network at a time: whole steps of it.

    Few rows stay in the cache; too few, and preparing the weights for each block takes longer
    than the block.

    Parameters
    ----------
    tile : sequence of int
        Its edges in pixels.
    geometry : Geometry
        Of the network.
    pushed : int
        About how many pixels are to enter at a time.
    """
    length, *columns = (t + 2 * n for t, n in zip(tile, geometry.context, strict=True))
    step = geometry.step[0]
    return max(1, min(pushed // math.prod(columns), length) // step) * step


class _Planner:
    """Weighs pieces of different sizes against each other."""

    def __init__(self, model: Model, picture: Picture, config: PredictConfig) -> None:
        card = model.card
        self.model, self.config, self.ndim = model, config, card.model.ndim
        self.region: Region = choose_region(config, picture, self.ndim)
        self.dtype = half_dtype(model.device, config.precision)
        on_cpu = model.device.type == "cpu"
        if on_cpu and self.dtype == torch.bfloat16 and not self._bf16_pays():
            self.dtype = torch.float32
        gates = "attention" in config.outputs
        mode = Mode(model.device, self.dtype, gates=gates)
        self._divided = 1
        self.zoom = choose_zoom(card, picture, config)
        seen = self.zoom.model
        self.runner = FlowRunner(model.network, card.model, model.geometry, seen, mode)
        self.backend: Backend = "torch"

    def plan(self, *, interactive: bool, timed: bool) -> Plan:
        """Return the plan."""
        once = self._macs(self.region.shape, rows=False)
        self.backend = self._backend(once)
        apart = isinstance(self.config.tile, int) or "uncertainty" in self.config.outputs
        apart |= self.config.outline is not None or self.backend != "torch"
        apart |= not self.zoom.plain  # windows that are seen lie over each other
        rows = not apart and (self.config.tile == "rows" or not interactive)
        tile = self._fit(self._first_guess(rows=rows), rows=rows)
        self.runner.rows = self._rows(tile)
        macs = self._macs(tile, rows=rows)
        grid = Grid(self.region, tile)
        tiles = grid.size if self.region.outline is None else int(grid.reached().sum())
        seconds = None
        if timed:
            work = macs * math.prod(self.region.lead_shape) * tiles / grid.size
            seconds = work * self._passes() * measure_pace(self.runner)
        return Plan(
            way="rows" if rows else "tiles",
            tile=tile,
            rows=self.runner.rows,
            margin=self.model.geometry.context,
            redundant=macs / once - 1,
            bytes=self._bytes(tile, rows=rows),
            seconds=seconds,
            tiles=tiles,
            backend=self.backend,
            precision=str(self.dtype).removeprefix("torch."),
            note=self.zoom.note,
        )

    def _bf16_pays(self) -> bool:
        config, geometry = self.model.card.model, self.model.geometry
        size = [geometry.input_size(axis, BF16_EDGE[self.ndim]) for axis in range(self.ndim)]
        image = torch.zeros(1, config.in_channels, *size, device=self.model.device)
        return bf16_pays(self.model.network, image)

    def _passes(self) -> int:
        """Return how often every tile passes the network, at most."""
        turned = len(orientations(self.ndim, rotations=True))
        passes = {"orientations": turned, "dropout": 1 + self.config.dropout_passes}
        return passes[self.config.passes] if "uncertainty" in self.config.outputs else 1

    def _backend(self, macs: float) -> Backend:
        """Return what computes: of what is installed the fastest, if `macs` are much work."""
        if self.config.backend != "auto":
            return self.config.backend
        plain = self.model.device.type == "cpu" and self.dtype == torch.float32
        plain &= not {"attention", "uncertainty"} & set(self.config.outputs)
        plain &= self.config.tile != "rows"  # the others know no rows
        much = macs * math.prod(self.region.lead_shape) > MUCH
        if not plain or not much or available_backends() == ("torch",):
            return "torch"
        self.backend = "openvino"  # as any other: it computes whole tiles
        if self._bytes(self._first_guess(rows=False), rows=False) > self._budget():
            return "torch"
        seen = [w.stop - w.start for w in self.zoom.seen(self.region.space)]
        return fastest_backend(self.model, self.runner, seen)

    def _rows(self, tile: Sequence[int]) -> int:
        """Return how many rows of a tile go in at a time, fewer where memory was short."""
        pushed = PUSHED[self.ndim] * (1 if self.model.device.type == "cpu" else WIDE)
        seen = [math.ceil(t * s) for t, s in zip(tile, self.zoom.scale, strict=True)]
        return choose_rows(seen, self.model.geometry, pushed // self._divided)

    def _first_guess(self, *, rows: bool) -> tuple[int, ...]:
        """Return the edges of a tile that memory may still be too small for."""
        shape = self.region.shape
        if isinstance(self.config.tile, int):
            steps = self.model.geometry.step
            return tuple(
                min(max(self.config.tile // s, 1) * s, -(-n // s) * s)
                for n, s in zip(shape, steps, strict=True)
            )
        if rows:
            return (min(CHUNK[self.ndim], shape[0]), *shape[1:])
        return tuple(min(AUTO_TILE[self.ndim], n) for n in shape)

    def _fit(self, tile: tuple[int, ...], *, rows: bool) -> tuple[int, ...]:
        """Make a tile smaller until memory is enough; larger where that saves much work."""
        budget = self._budget()
        while self._bytes(tile, rows=rows) > budget:
            smaller = self._shrink(tile, rows=rows)
            if smaller is None:
                if self._rows(tile) == self.model.geometry.step[0]:
                    return self._give_up(tile, rows=rows)
                self._divided *= 2
                continue
            tile = smaller
        if not rows and not isinstance(self.config.tile, int):
            tile = self._enlarge(tile, budget)
        return tile

    def _shrink(self, tile: tuple[int, ...], *, rows: bool) -> tuple[int, ...] | None:
        """Halve the longest edge that can be, to whole chunks or steps; None at the end."""
        if isinstance(self.config.tile, int):
            return None
        first = 1 if rows and self.ndim > 1 else 0
        for axis in sorted(range(first, self.ndim), key=lambda axis: -tile[axis]):
            step, chunk = self.model.geometry.step[axis], CHUNK[self.ndim]
            unit = chunk if tile[axis] > 2 * chunk else step
            half = -(-tile[axis] // (2 * unit)) * unit
            if half < tile[axis]:
                return (*tile[:axis], half, *tile[axis + 1 :])
        return None

    def _enlarge(self, tile: tuple[int, ...], budget: float) -> tuple[int, ...]:
        """Double edges while too much is computed twice, and memory allows."""
        whole = self._macs(self.region.shape, rows=False)
        largest = LARGEST * AUTO_TILE[self.ndim]
        while self._macs(tile, rows=False) > (1 + WASTE) * whole:
            doubled = [
                (*tile[:axis], min(2 * edge, n), *tile[axis + 1 :])
                for axis, (edge, n) in enumerate(zip(tile, self.region.shape, strict=True))
                if edge < min(n, largest)
            ]
            fitting = [one for one in doubled if self._bytes(one, rows=False) <= budget]
            if not fitting:
                break
            tile = min(fitting, key=lambda one: self._macs(one, rows=False))
        return tile

    def _give_up(self, tile: tuple[int, ...], *, rows: bool) -> tuple[int, ...]:
        """Take the smallest there is, unless a limit was set."""
        if self.config.memory_gib is None:
            return tile
        need = self._bytes(tile, rows=rows) / GIB
        raise InputError(
            "U161",
            f"tiles of {times(tile)} pixels need {need:.2f} GiB, "
            f"the limit is {self.config.memory_gib:g} GiB",
            f"set memory_gib to {math.ceil(100 * need) / 100:g} or more, or choose other tiles",
        )

    def _budget(self) -> float:
        if self.config.memory_gib is not None:
            return self.config.memory_gib * GIB
        if self.model.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.model.device)
            return SHARE * free
        return SHARE * float(psutil.virtual_memory().available)

    def _middle(self, tile: Sequence[int], *, rows: bool) -> Window:
        """Return the window of a tile (or of a strip of them) that sees the most around it."""
        windows = []
        for axis, (edge, whole) in enumerate(zip(tile, self.region.space, strict=True)):
            n = whole.stop - whole.start
            start = 0 if rows and axis == 0 else (-(-n // edge) // 2) * edge
            start = min(start, n - min(edge, n)) + whole.start
            length = n if rows and axis == 0 else min(edge, n)
            windows.append(slice(start, start + length))
        return tuple(windows)

    def _bytes(self, tile: Sequence[int], *, rows: bool) -> int:
        """Estimate what a tile takes: weights, maps, what is read ahead, logits, writing them."""
        runner, channels = self.runner, self.model.card.model.in_channels
        sizes, boxes = self._maps(self._middle(tile, rows=rows))
        length, *columns = (b - a for a, b in boxes[IMAGE])
        row = math.prod(columns)
        if self.backend == "torch":
            pushed = self._rows(tile)
            schedule = Schedule(runner.graph, sizes, boxes, pushed)
            maps = estimate_bytes(schedule, torch.empty(0, dtype=self.dtype).element_size())
            weights = runner.graph.weight_bytes()
        else:
            pushed, maps, weights = length, estimate_whole(runner.graph, sizes), 0
        band = min(length * row, max(pushed * row, BAND_PIXELS))
        scale = 1 if self.zoom.plain else math.prod(self.zoom.scale)  # pixels seen per pixel
        read = round(4 * READ_COPIES * channels * band * max(1, 1 / scale))
        classes = self.model.card.model.classes
        written = writing_bytes(self.config.outputs, classes, outlined=bool(self.region.outline))
        logits = 4 * classes * COPIES * self._passes()
        logits += 0 if self.zoom.plain else round(logits * scale)  # before they are brought back
        told = (logits + written) * math.prod(tile)
        return AROUND + weights + round(SPARE * maps) + read + told

    def _maps(self, window: Window) -> tuple[list[tuple[int, ...]], list[Box]]:
        """Return the sizes of all maps, and which part a window of the image is computed from.

        Other programs compute every layer on all that a tile reads.
        """
        runner, seen = self.runner, self.zoom.seen(window)
        if self.backend == "torch":
            return runner.sizes, find_boxes(runner.graph, runner.sizes, runner.boxes(seen))
        read = tile_at(seen, self.zoom.model, self.model.geometry).read
        sizes = runner.graph.sizes([w.stop - w.start for w in read])
        return sizes, [tuple((0, n) for n in size) for size in sizes]

    def _macs(self, tile: Sequence[int], *, rows: bool) -> float:
        """Count the multiply-adds of the region in tiles: a plan is a product of its axes."""
        runner = self.runner
        totals = [[0] * self.ndim for _ in runner.graph.nodes]
        for axis, (edge, whole) in enumerate(zip(tile, self.region.space, strict=True)):
            n = whole.stop - whole.start
            length = n if rows and axis == 0 else edge
            for cut, alike in self._cuts(axis, length):
                window = (*self.region.space[:axis], cut, *self.region.space[axis + 1 :])
                _, boxes = self._maps(window)
                for total, box in zip(totals, boxes, strict=True):
                    total[axis] += alike * max(0, box[axis][1] - box[axis][0])
        lengths: list[Box] = [tuple((0, n) for n in total) for total in totals]
        return count_macs(runner.graph, lengths)

    def _cuts(self, axis: int, edge: int) -> Iterator[tuple[slice, int]]:
        """Yield the pieces of an axis; those that see neither end are one, with their number.

        Where the image is resampled, they may differ by a pixel as the network sees them.
        """
        whole = self.region.space[axis]
        starts = range(whole.start, whole.stop, edge)
        context = self.model.geometry.context[axis] / self.zoom.scale[axis]
        ends = 2 + int(2 * context / edge)
        inner = max(1, len(starts) - 2 * ends)
        for k in (*range(min(ends + 1, len(starts))), *range(ends + inner, len(starts))):
            window = slice(starts[k], min(starts[k] + edge, whole.stop))
            yield window, inner if k == ends else 1
