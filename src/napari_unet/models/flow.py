"""An image on its way through a network, block of rows by block of rows.

Every layer keeps the few rows that its successor still needs, so nothing is computed twice and
memory does not grow with the length of the image. Along the other axes every layer computes only
what the wanted part of the result is made from. Zeros are padded only where the map ends.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unet.models.device import LAYOUT
from napari_unet.models.graph import IMAGE
from napari_unet.models.layers import Conv, UpConv
from napari_unet.models.packed import PackedConv
from napari_unet.models.schedule import Schedule, find_boxes
from napari_unet.models.tracing import MaxPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_unet.models.graph import Box, Extent, Graph, Node

CONVOLVE: Sequence[Callable[..., Tensor]] = (
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
)


class Flow:
    """One pass of an image, or of a part of it, through a network.

    Parameters
    ----------
    graph : Graph
        On the device and in the dtype of the blocks that will come.
    size : sequence of int
        Spatial shape of the whole image, with its frame.
    wanted : mapping of str to Box
        For each output a start and a stop per axis, in its own cells.
    rows : int
        Rows that come at a time.
    cuts : sequence of sequence of int, optional
        From `find_cuts`: rows where each map may begin.

    Attributes
    ----------
    blocks : list of (int, int)
        Start and stop of the rows to push, in order.
    box : Box
        The part of the image that is needed; blocks are as wide.
    """

    def __init__(
        self,
        graph: Graph,
        size: Sequence[int],
        wanted: Mapping[str, Box],
        rows: int,
        cuts: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.graph = graph
        self.sizes = graph.sizes(size)
        self.boxes = find_boxes(graph, self.sizes, wanted, cuts)
        self.schedule = Schedule(graph, self.sizes, self.boxes, rows)
        self.blocks = self.schedule.blocks()
        self.box = self.boxes[IMAGE]
        self._wanted = {graph.outputs[name]: (name, box) for name, box in wanted.items()}
        self._stores = [_Store(self.schedule.overlap(i)) for i in range(len(graph.nodes))]

    def push(self, block: Tensor) -> Iterator[tuple[str, int, Tensor]]:
        """Take the next block (1, C, rows, *columns); yield what it completes of the outputs.

        Yields
        ------
        (str, int, Tensor)
            An output, the row at which the piece begins, and the piece (1, K, rows, *columns).
        """
        start = self.schedule.have[IMAGE]
        self._stores[IMAGE].put(start, block)
        for i, first, stop in self.schedule.advance(start + block.shape[2]):
            result = self._compute(i, first, stop)
            if i in self._wanted:
                yield from self._cut(i, first, result)
            if self.schedule.takers[i]:
                self._stores[i].put(first, result)
            del result
            self.schedule.have[i] = stop
            for source in set(self.graph.nodes[i].inputs):
                self._stores[source].drop(self.schedule.needed_from(source))

    def _compute(self, i: int, first: int, stop: int) -> Tensor:
        """Return rows of a map; where a buffer waits for them, they are written there at once."""
        node, store = self.graph.nodes[i], self._stores[i]
        box = ((first, stop), *self.boxes[i][1:])
        need = [rule.need(*extent) for rule, extent in zip(node.rules, box, strict=True)]
        sources = [self._fetch(source, need) for source in node.inputs]
        shape = (1, node.channels, *(b - a for a, b in box))
        if node.kind == "layer":
            size = self.sizes[node.inputs[0]]
            result = _apply(node, sources[0], need, size, box)
        elif node.kind == "cat" and not node.after and store.together:
            return torch.cat(sources, dim=1, out=store.room(first, shape, sources[0]))
        else:
            result = _combine(node, sources)
        del sources
        *others, last = node.after or (None,)
        result = _run(others, result, own=node.kind != "pass")
        if isinstance(last, nn.ReLU) and store.together:
            return torch.clamp_min(result, 0, out=store.room(first, shape, result))
        return _run([last], result, own=bool(others) or node.kind != "pass")

    def _fetch(self, source: int, need: Sequence[Extent]) -> Tensor:
        """Return the part of a map that lies in `need`."""
        (start, stop), *others = (
            (max(a, 0), min(b, n)) for (a, b), n in zip(need, self.sizes[source], strict=True)
        )
        rows = self._stores[source].get(start, stop)
        for axis, ((a, b), (left, right)) in enumerate(
            zip(others, self.boxes[source][1:], strict=True), start=3
        ):
            if (a, b) != (left, right):
                rows = rows.narrow(axis, a - left, b - a)
        return rows

    def _cut(self, i: int, first: int, result: Tensor) -> Iterator[tuple[str, int, Tensor]]:
        """Yield what was wanted of the rows of an output."""
        name, ((low, high), *others) = self._wanted[i]
        start, stop = max(first, low), min(first + result.shape[2], high)
        if start >= stop:
            return
        piece = result.narrow(2, start - first, stop - start)
        for axis, ((a, b), (left, _)) in enumerate(
            zip(others, self.boxes[i][1:], strict=True), start=3
        ):
            piece = piece.narrow(axis, a - left, b - a)
        yield name, start, piece


class _Store:
    """Rows of a map that are still needed.

    They lie in pieces, as they came, or together in one buffer, where convolutions find them
    with the rows before.

    Parameters
    ----------
    overlap : int
        Rows that are looked at again when others come; 0: no buffer is needed.
    """

    def __init__(self, overlap: int) -> None:
        self.together, self._overlap = overlap > 0, overlap
        self._pieces: deque[tuple[int, Tensor]] = deque()
        self._buffer: Tensor | None = None
        self._first = self._stop = 0  # of the rows in the buffer
        self._at = 0  # where the first of them lies

    def put(self, start: int, rows: Tensor) -> None:
        """Add rows that follow on those that are there."""
        if not self.together:
            self._pieces.append((start, rows))
        elif start >= self._stop or self._buffer is None:  # they do not lie there already
            self.room(start, rows.shape, rows).copy_(rows)

    def room(self, start: int, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return the part of the buffer for rows (1, C, rows, *columns) that are put next."""
        n, held = shape[2], self._stop - self._first
        if self._buffer is None:
            self._first = self._stop = start
        if self._buffer is None or held + n > self._buffer.shape[2]:
            self._enlarge((*shape[:2], held + n + self._overlap, *shape[3:]), like)
        elif self._at + held + n > self._buffer.shape[2]:
            self._move(self._buffer, held)
        assert self._buffer is not None
        self._stop = start + n
        return self._buffer.narrow(2, self._at + held, n)

    def get(self, start: int, stop: int) -> Tensor:
        """Return rows."""
        if self._buffer is not None:
            return self._buffer.narrow(2, self._at + start - self._first, stop - start)
        found = []
        for first, rows in self._pieces:
            a, b = max(start, first), min(stop, first + rows.shape[2])
            if a < b:
                found.append(rows.narrow(2, a - first, b - a))
        return found[0] if len(found) == 1 else torch.cat(found, dim=2)

    def drop(self, before: int) -> None:
        """Forget the rows before `before`."""
        if self._buffer is not None:
            gone = min(max(0, before - self._first), self._stop - self._first)
            self._first, self._at = self._first + gone, self._at + gone
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[2] <= before:
            self._pieces.popleft()

    def _enlarge(self, shape: Sequence[int], like: Tensor) -> None:
        old, held = self._buffer, self._stop - self._first
        self._buffer = torch.empty(
            tuple(shape), dtype=like.dtype, device=like.device, memory_format=LAYOUT[like.dim() - 2]
        )
        if old is not None:
            self._buffer.narrow(2, 0, held).copy_(old.narrow(2, self._at, held))
        self._at = 0

    def _move(self, buffer: Tensor, held: int) -> None:
        """Bring what is held to the front."""
        rows = buffer.narrow(2, self._at, held)
        buffer.narrow(2, 0, held).copy_(rows.clone() if held > self._at else rows)
        self._at = 0


def _apply(node: Node, x: Tensor, need: Sequence[Extent], size: Sequence[int], box: Box) -> Tensor:
    """Run a layer on what there is of what it needs; return the part in `box`."""
    layer = node.layer
    pads = [(max(0, -a), max(0, b - n)) for (a, b), n in zip(need, size, strict=True)]
    if isinstance(layer, Conv | PackedConv):
        return _convolve(layer, x, pads)
    if isinstance(layer, MaxPool):
        result: Tensor = layer(x)
        return result
    assert isinstance(layer, UpConv | nn.Upsample)
    result = layer(x)
    for axis, ((a, _), (start, stop), rule) in enumerate(
        zip(need, box, node.rules, strict=True), start=2
    ):
        begin = max(a, 0) * rule.times_as_many(1)
        if (start - begin, stop - start) != (0, result.shape[axis]):
            result = result.narrow(axis, start - begin, stop - start)
    return result


def _convolve(layer: Conv | PackedConv, x: Tensor, pads: Sequence[Extent]) -> Tensor:
    """Convolve with zeros where the map ends; padding alike on both sides is left to torch."""
    alike = [a if a == b else 0 for a, b in pads]
    odd = [pair if pair[0] != pair[1] else (0, 0) for pair in pads]
    if any(map(any, odd)):
        x = functional.pad(x, [side for pair in reversed(odd) for side in pair])
    if isinstance(layer, PackedConv):
        return layer(x, alike)
    return CONVOLVE[x.dim() - 3](
        x, layer.weight, layer.bias, layer.stride, alike, layer.dilation, layer.groups
    )


def _combine(node: Node, sources: Sequence[Tensor]) -> Tensor:
    """Put maps together; a crop has been made already."""
    if node.kind == "cat":
        return torch.cat(list(sources), dim=1)
    if node.kind == "add":
        return sources[0] + sources[1]
    if node.kind == "mul":
        return sources[0] * sources[1]
    if node.kind != "pass":
        raise NotImplementedError(f"{node.kind} is not known here")
    part = sources[0][:, slice(*node.part)]
    return part if node.after else part.clone()  # what it is a part of may move in its buffer


def _run(layers: Sequence[nn.Module | None], result: Tensor, *, own: bool) -> Tensor:
    """Run pointwise layers; what is not `own` belongs to others and is not changed in place."""
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            result = torch.relu_(result) if own else torch.relu(result)
        elif layer is not None:
            result = layer(result)
        own = True
    return result
