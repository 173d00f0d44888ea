"""Which rows of which map can be computed when: whole numbers only, no pixels.

The image comes in blocks of rows (of the first spatial axis). After each block every node computes
the rows for which all it needs is there, once, and keeps what its takers still need.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from napari_unet.models.cells import Gather
from napari_unet.models.graph import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_unet.models.graph import Box, Graph

FLOAT_BYTES = 4
COPIES = 2  # of a result while its layer runs
SETTLED = 4  # blocks after which memory grows no more, once every map has begun


def find_boxes(
    graph: Graph,
    sizes: Sequence[Sequence[int]],
    wanted: Mapping[str, Box],
    cuts: Sequence[Sequence[int]] | None = None,
) -> list[Box]:
    """Return which part of every map the wanted parts of the outputs are made from.

    Parameters
    ----------
    graph : Graph
    sizes : sequence of tuple of int
        Spatial shape of every map, see `Graph.sizes`.
    wanted : mapping of str to Box
        For each output a start and a stop per axis, in its own cells.
    cuts : sequence of sequence of int, optional
        From `find_cuts`: rows where each map may begin.

    Returns
    -------
    list of Box
        Clipped to the maps; empty extents for a map that nothing wanted is made from.
    """
    boxes: list[list[tuple[int, int]]] = [[(n, 0) for n in size] for size in sizes]
    for name, box in wanted.items():
        _grow(boxes[graph.outputs[name]], box)
    for i in reversed(range(len(graph.nodes))):
        if any(stop <= start for start, stop in boxes[i]):
            continue
        if cuts is not None:
            start, stop = boxes[i][0]
            boxes[i][0] = (cuts[i][bisect_right(cuts[i], start) - 1], stop)
        pairs = zip(graph.nodes[i].rules, boxes[i], strict=i != IMAGE)
        need = [rule.need(*extent) for rule, extent in pairs]
        for source in graph.nodes[i].inputs:
            clipped = [
                (max(a, 0), min(b, n)) for (a, b), n in zip(need, sizes[source], strict=True)
            ]
            _grow(boxes[source], clipped)
    return [tuple(box) for box in boxes]


def _grow(box: list[tuple[int, int]], other: Sequence[tuple[int, int]]) -> None:
    box[:] = [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(box, other, strict=True)]


def find_cuts(schedule: Schedule) -> list[list[int]]:
    """Return the rows at which each map begins a block, by going through a schedule.

    What begins there later is computed in the same blocks, hence to the same bits: kernels for
    blocks of other heights round differently.

    Parameters
    ----------
    schedule : Schedule
        Fresh; it is used up.
    """
    cuts: list[list[int]] = [[] for _ in schedule.boxes]
    for first, stop in schedule.blocks():
        cuts[IMAGE].append(first)
        for i, start, until in schedule.advance(stop):
            cuts[i].append(start)
            schedule.have[i] = until
    return cuts


def count_macs(graph: Graph, boxes: Sequence[Box]) -> float:
    """Count the multiply-adds that compute these parts of the maps, once."""
    return sum(
        node.macs * math.prod(max(0, stop - start) for start, stop in box)
        for node, box in zip(graph.nodes, boxes, strict=True)
    )


class Schedule:
    """How far every map is computed, and what comes next.

    Parameters
    ----------
    graph : Graph
    sizes, boxes : sequence
        From `Graph.sizes` and `find_boxes`.
    rows : int
        Rows of the image that come at a time; no map computes more than corresponds to them.

    Attributes
    ----------
    have : list of int
        For each map, the row up to which it is computed.
    """

    def __init__(
        self, graph: Graph, sizes: Sequence[Sequence[int]], boxes: Sequence[Box], rows: int
    ) -> None:
        self.graph, self.sizes, self.boxes = graph, sizes, boxes
        self.have = [box[0][0] for box in boxes]
        self.takers: list[list[int]] = [[] for _ in graph.nodes]
        self.limits = [rows]
        for i, node in enumerate(graph.nodes):
            for source in set(node.inputs) if self.wants(i) else ():
                self.takers[source].append(i)
            if i:
                limit = node.rules[0].times_as_many(self.limits[node.inputs[0]])
                self.limits.append(max(1, limit))

    def wants(self, i: int) -> bool:
        """Return whether anything of a map is needed."""
        return all(stop > start for start, stop in self.boxes[i])

    def blocks(self) -> list[tuple[int, int]]:
        """Return start and stop of the blocks of rows in which the image comes.

        They are counted from where the part begins: all tiles then come in blocks of the same
        heights. oneDNN compiles, and keeps, a kernel for each height.
        """
        start, stop = self.boxes[IMAGE][0]
        return list(pairwise([*range(start, stop, self.limits[IMAGE]), stop]))

    def advance(self, stop: int) -> Iterator[tuple[int, int, int]]:
        """Go on with the rows of the image up to `stop`: yield node, start and stop of its rows.

        What is yielded counts as computed when the next one is asked for.
        """
        self.have[IMAGE] = stop
        moved = True
        while moved:
            moved = False
            for i, node in enumerate(self.graph.nodes):
                if not node.inputs or not self.wants(i):
                    continue
                start, end = self.have[i], self.boxes[i][0][1]
                rule = node.rules[0]
                ready = (rule.ready(self.have[s], self.sizes[s][0]) for s in node.inputs)
                until = min(end, start + self.limits[i], *ready)
                if until > start:
                    yield i, start, until
                    self.have[i] = until
                    moved = True

    def overlap(self, i: int) -> int:
        """Return how many rows of a map a taker looks at again when others come; 0 for none."""
        rules = (self.graph.nodes[taker].rules[0] for taker in self.takers[i])
        return max((r.kernel - r.stride for r in rules if isinstance(r, Gather)), default=0)

    def needed_from(self, i: int) -> int:
        """Return the first row of a map that a taker still needs."""
        first = self.have[i]
        for taker in self.takers[i]:
            start, end = self.have[taker], self.boxes[taker][0][1]
            if start < end:
                first = min(first, self.graph.nodes[taker].rules[0].need(start, start + 1)[0])
        return max(first, self.boxes[i][0][0])


def estimate_bytes(schedule: Schedule, itemsize: int = FLOAT_BYTES) -> int:
    """Return the most memory that maps take at once, by going through a schedule.

    Parameters
    ----------
    schedule : Schedule
        Fresh; it is used up. Once every map has begun, few blocks more show the most.
    itemsize : int
        Bytes of a number.

    Notes
    -----
    On a CPU (torch 2.13, Linux, two threads) ten networks of the zoo (seven in 2-D, three in 3-D)
    took 0.80 to 1.35 times the estimate, counted as the peak of the resident set over what it was
    before.
    """
    boxes, nodes = schedule.boxes, schedule.graph.nodes
    row = [
        itemsize * node.channels * math.prod(max(0, b - a) for a, b in box[1:])
        for node, box in zip(nodes, boxes, strict=True)
    ]
    buffered = [schedule.overlap(i) for i in range(len(nodes))]
    held, most_held = [0] * len(nodes), [0] * len(nodes)  # rows of each map
    most, spare = 0, SETTLED
    for first, stop in schedule.blocks():
        held[IMAGE] += stop - first
        for i, start, until in schedule.advance(stop):
            fresh = until - start
            taken = sum(row[source] * min(held[source], fresh) for source in nodes[i].inputs)
            pieces = sum(
                (rows + schedule.limits[k]) * row[k]
                for k, rows in enumerate(held)
                if rows and not buffered[k]
            )
            most = max(most, pieces + COPIES * fresh * row[i] + taken)
            schedule.have[i] = until
            if schedule.takers[i]:
                held[i] += fresh
                most_held[i] = max(most_held[i], held[i] + buffered[i])
            for source in set(nodes[i].inputs):
                held[source] = schedule.have[source] - schedule.needed_from(source)
        begun = all(
            not schedule.wants(i) or schedule.have[i] > boxes[i][0][0] for i in range(len(nodes))
        )
        spare -= begun
        if not spare:
            break
    buffers = sum(n * size for n, size, b in zip(most_held, row, buffered, strict=True) if b)
    return most + buffers


def estimate_whole(graph: Graph, sizes: Sequence[Sequence[int]]) -> int:
    """Return the most memory that maps of these sizes take, one layer after the other, whole.

    In float32; a map is given back once the last layer that takes it has run.
    """
    last = {source: i for i, node in enumerate(graph.nodes) for source in node.inputs}
    held: dict[int, int] = {}
    most = 0
    for i, node in enumerate(graph.nodes):
        held[i] = FLOAT_BYTES * node.channels * math.prod(sizes[i])
        most = max(most, sum(held.values()))
        for source in node.inputs:
            if last[source] == i:
                held.pop(source, None)
    return most
