"""How tiles go through a network: one by one, or as a strip of neighbours."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_unet.config import InputError
from napari_unet.models.attention import watch_gates
from napari_unet.models.backends import load_backend
from napari_unet.models.device import LAYOUT
from napari_unet.models.flow import Flow
from napari_unet.models.geometry import gate_strides
from napari_unet.models.graph import make_graph
from napari_unet.models.packing import pack
from napari_unet.models.schedule import Schedule, find_boxes, find_cuts
from napari_unet.models.tiles import gate_tile
from napari_unet.tiling import Tile, Window, cut, tile_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from napari_unet.config import ModelConfig
    from napari_unet.config.prediction import Backend
    from napari_unet.models.graph import Box
    from napari_unet.tiling import Geometry

Maps = Mapping[
    str, NDArray[Any]
]  # "logits" (K, *written) and, by the name of its gate, (1, *cells)


class Run(Protocol):
    """A strip of tiles on its way through the network."""

    @property
    def reads(self) -> Sequence[Window]:
        """What to read, in order, in pixels of the image; it may hang over the edges."""

    def feed(self, block: NDArray[np.float32]) -> list[tuple[Tile, Maps]]:
        """Take the next block (C, *read), normalised; return the tiles that it completes."""


class Runner(Protocol):
    """A network made ready to be applied to one image."""

    def begin(self, tiles: Sequence[Tile]) -> Run:
        """Begin a strip: one tile, or neighbours along the first spatial axis, top to bottom."""

    def halve(self) -> bool:
        """Take less memory per run from now on; return False where that cannot be."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a network computes.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
    rows : int
        Rows of the first spatial axis that enter at a time.
    gates : bool
        Whether the alpha maps of attention gates are wanted.
    dropout : int or None
        Seed of the dropout; None: as in any prediction, nothing is dropped out.
    top : int or None
        First row of the image that is predicted, in rows: a strip that begins further down gives
        the same bits as one from there. None: every strip stands for itself.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    rows: int = 64
    gates: bool = False
    dropout: int | None = None
    top: int | None = None


class FlowRunner:
    """Lets strips of any length flow through the network; every layer computes what is needed.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; it is left as it is.
    config : ModelConfig
        Of the network.
    geometry : Geometry
        What it does to space.
    shape : sequence of int
        (*S) of the image.
    mode : Mode
    """

    def __init__(
        self,
        network: nn.Module,
        config: ModelConfig,
        geometry: Geometry,
        shape: Sequence[int],
        mode: Mode,
    ) -> None:
        own = copy.deepcopy(network).to(mode.device, mode.dtype)
        if config.ndim > 1:  # torch's stub lacks the layout
            own.to(memory_format=LAYOUT[config.ndim])  # type: ignore[call-overload]
        self.graph = make_graph(
            own, config, geometry, gates=mode.gates, dropout=mode.dropout is not None
        )
        pack(self.graph, mode.device, mode.dtype)
        self.geometry, self.mode, self.rows = geometry, mode, mode.rows
        self.strides = gate_strides(config) if mode.gates else {}
        whole = tile_at(tuple(slice(0, n) for n in shape), shape, geometry).read
        self.first = tuple(window.start for window in whole)  # where the framed image begins
        self.size = tuple(window.stop - window.start for window in whole)
        self.sizes = self.graph.sizes(self.size)

    def begin(self, tiles: Sequence[Tile]) -> Run:
        """Begin a strip of tiles."""
        return _FlowRun(self, tiles)

    def halve(self) -> bool:
        """Push half as many rows at a time, down to one step of the network."""
        half = max(self.geometry.step[0], self.rows // 2)
        smaller = half < self.rows
        self.rows = min(half, self.rows)
        return smaller

    def flow(self, write: Window) -> Flow:
        """Return the flow that computes a window of the image."""
        top, cuts = self.mode.top, None
        if top is not None and top < write[0].start:
            whole = self.boxes((slice(top, write[0].stop), *write[1:]))
            boxes = find_boxes(self.graph, self.sizes, whole)
            cuts = find_cuts(Schedule(self.graph, self.sizes, boxes, self.rows))
        return Flow(self.graph, self.size, self.boxes(write), self.rows, cuts)

    def boxes(self, write: Window) -> dict[str, Box]:
        """Return the cells of every output that lie in a window of the image."""
        places = zip(write, self.first, self.geometry.lost, strict=True)
        boxes = {"logits": tuple((w.start - f - n, w.stop - f - n) for w, f, n in places)}
        for name, strides in self.strides.items():
            cells = zip(_cells(write, strides), self.first, strides, strict=True)
            boxes[name] = tuple((w.start - f // n, w.stop - f // n) for w, f, n in cells)
        return boxes


class _FlowRun:
    """Rows go in; what comes out is gathered tile by tile."""

    def __init__(self, runner: FlowRunner, tiles: Sequence[Tile]) -> None:
        self._runner = runner
        first, last = tiles[0].write, tiles[-1].write
        whole = (slice(first[0].start, last[0].stop), *first[1:])
        self._flow = runner.flow(whole)
        self._starts = {name: box[0][0] for name, box in runner.boxes(whole).items()}
        self._open: deque[tuple[Tile, dict[str, Box], dict[str, NDArray[np.float32]]]] = deque(
            (tile, runner.boxes(tile.write), {}) for tile in tiles
        )
        self._done = dict(self._starts)
        columns = [
            slice(a + f, b + f)
            for (a, b), f in zip(self._flow.box[1:], runner.first[1:], strict=True)
        ]
        self._corner = [w.start for w in whole]
        self._fed = 0
        top = runner.first[0]
        self.reads: Sequence[Window] = [
            (slice(a + top, b + top), *columns) for a, b in self._flow.blocks
        ]

    def feed(self, block: NDArray[np.float32]) -> list[tuple[Tile, Maps]]:
        mode = self._runner.mode
        with torch.inference_mode(), self._dice():
            image = torch.from_numpy(block)[None].to(
                mode.device, mode.dtype, memory_format=LAYOUT[block.ndim - 1]
            )
            for name, start, piece in self._flow.push(image):
                self._keep(name, start, piece)
        return self._completed()

    @contextmanager
    def _dice(self) -> Iterator[None]:
        """Let a block drop out the same cells whenever it comes; leave torch's state as it was."""
        mode = self._runner.mode
        if mode.dropout is None:
            yield
            return
        devices = [mode.device] if mode.device.type == "cuda" else []
        number = [mode.dropout, *self._corner, self._fed]
        self._fed += 1
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(np.random.SeedSequence(number).generate_state(1)[0]))
            yield

    def _keep(self, name: str, start: int, piece: Tensor) -> None:
        """Put rows of an output where they belong: in one tile, or in several."""
        rows = piece[0].float().cpu().numpy()
        stop = start + rows.shape[1]
        for _, boxes, maps in self._open:
            low, high = boxes[name][0]
            if low >= stop:
                break
            a, b = max(start, low), min(stop, high)
            if a < b:
                if name not in maps:  # memory is taken when the first row comes
                    shape = (len(rows), *(right - left for left, right in boxes[name]))
                    maps[name] = np.empty(shape, np.float32)
                maps[name][:, a - low : b - low] = rows[:, a - start : b - start]
        self._done[name] = max(self._done[name], stop)

    def _completed(self) -> list[tuple[Tile, Maps]]:
        found: list[tuple[Tile, Maps]] = []
        while self._open:
            tile, boxes, maps = self._open[0]
            if any(self._done[name] < box[0][1] for name, box in boxes.items()):
                break
            found.append((tile, maps))
            self._open.popleft()
        return found


class TileRunner:
    """Runs a network on the whole window that a tile reads.

    Parameters
    ----------
    compute : callable
        (1, C, *S) float32 on `device` -> "logits" (1, K, *S') and the alpha map of every gate.
    config : ModelConfig
        Of the network.
    geometry : Geometry
        What it does to space.
    shape : sequence of int
        (*S) of the image.
    device : torch.device
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Mapping[str, Tensor]],
        config: ModelConfig,
        geometry: Geometry,
        shape: Sequence[int],
        device: torch.device,
    ) -> None:
        self.compute, self.geometry, self.device = compute, geometry, device
        self.shape = tuple(shape)
        self.strides = gate_strides(config)

    def begin(self, tiles: Sequence[Tile]) -> Run:
        """Begin a strip of tiles."""
        return _TileRun(self, [tile_at(tile.write, self.shape, self.geometry) for tile in tiles])

    def halve(self) -> bool:
        """Return False: only smaller tiles take less."""
        return False


class _TileRun:
    def __init__(self, runner: TileRunner, tiles: Sequence[Tile]) -> None:
        self._runner = runner
        self._tiles = list(tiles)
        self.reads: Sequence[Window] = [tile.read for tile in tiles]

    def feed(self, block: NDArray[np.float32]) -> list[tuple[Tile, Maps]]:
        tile, runner = self._tiles.pop(0), self._runner
        with torch.inference_mode():
            told = runner.compute(torch.from_numpy(block).to(runner.device)[None])
        maps = {}
        for name, result in told.items():
            at = tile if name == "logits" else gate_tile(tile, runner.strides[name])
            maps[name] = np.ascontiguousarray(cut(result[0].float().cpu().numpy(), at))
        return [(tile, maps)]


def make_runner(
    network: nn.Module,
    config: ModelConfig,
    geometry: Geometry,
    shape: Sequence[int],
    mode: Mode,
    backend: Backend = "torch",
) -> Runner:
    """Make a network ready for an image.

    Parameters
    ----------
    network, config, geometry
        As `FlowRunner`.
    shape : sequence of int
        (*S) of the image.
    mode : Mode
        How it computes.
    backend : {"torch", "auto", "openvino", "onnxruntime"}
        torch (and auto), or another of `available_backends`, on a CPU in float32.

    Raises
    ------
    InputError
        U162 for a backend that cannot be had, or is wrong; U151 for dropout, gates, a graphics
        card or half precision with one.
    """
    if backend == "auto" or backend == "torch":
        return FlowRunner(network, config, geometry, shape, mode)
    if mode.dropout is not None or mode.gates:
        what = f"backend {backend} gives logits only"
        raise InputError("U151", what, "choose backend torch for dropout and attention")
    if mode.device.type != "cpu" or mode.dtype != torch.float32:
        found = f"{mode.device} in {str(mode.dtype).removeprefix('torch.')}"
        what = f"backend {backend} computes on a CPU in float32, not on {found}"
        raise InputError("U151", what, "choose backend torch")
    compiled = load_backend(backend, network, config, geometry, None)
    return TileRunner(
        lambda image: {"logits": compiled(image)}, config, geometry, shape, mode.device
    )


def watched(network: nn.Module) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """Return what computes the logits and alpha maps of whole windows, with the plain network."""

    def compute(image: Tensor) -> Mapping[str, Tensor]:
        with watch_gates(network) as gates:
            logits: Tensor = network(image)
        return {"logits": logits, **gates}

    return compute


def _cells(write: Window, strides: Sequence[int]) -> Window:
    """Return the cells of a gate that lie in a window, whole where the window ends in one."""
    return tuple(slice(w.start // n, -(-w.stop // n)) for w, n in zip(write, strides, strict=True))
