"""Rows of maps in whole numbers: each computed once, when it can be, and forgotten in time."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.models.geometry import gate_strides, measure
from napari_unet.models.graph import IMAGE, Graph
from napari_unet.models.schedule import (
    Schedule,
    count_macs,
    estimate_bytes,
    estimate_whole,
    find_boxes,
)
from napari_unet.models.tracing import trace
from tests.models.conftest import FIRST, on_paper, settle
from tests.models.test_graph import graph_of

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig

SETTINGS = settings(max_examples=15, deadline=None)
forms = st.sampled_from(range(len(FIRST)))
AXES = [{}, {"halvings": (0, 2)}, {"halvings": (1, 2), "flat": (1, 0)}]


@cache
def make(form: int, axes: int = 0) -> tuple[ModelConfig, Graph]:
    """Return a small network of a form, and its graph with the gates."""
    config = settle(*FIRST[form])(ndim=2, base=1, **AXES[axes])
    return config, graph_of(config, gates=True)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw a network, an image, a window of its logits (and of its gates), and rows."""
    config, graph = make(draw(forms), draw(st.sampled_from(range(len(AXES)))))
    geometry = measure(config)
    pixels = [draw(st.integers(1, 6 * n)) for n in geometry.step]
    sizes = graph.sizes([geometry.input_size(axis, n) for axis, n in enumerate(pixels)])
    names = ["logits", *(name for name in gate_strides(config) if draw(st.booleans()))]
    wanted = {name: draw(windows(sizes[graph.outputs[name]])) for name in names}
    return Schedule(graph, sizes, find_boxes(graph, sizes, wanted), draw(st.integers(1, 40)))


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Draw a start and a stop along each axis."""
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    return tuple((a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True))


@given(schedules())
@SETTINGS
def test_every_row_is_computed_once_and_in_order(schedule: Schedule) -> None:
    computed: list[list[int]] = [[] for _ in schedule.boxes]
    for first, last in schedule.blocks():
        computed[IMAGE].extend(range(first, last))
        for i, start, stop in schedule.advance(last):
            computed[i].extend(range(start, stop))
    for i, box in enumerate(schedule.boxes):
        assert computed[i] == (list(range(*box[0])) if schedule.wants(i) else [])


@given(schedules())
@SETTINGS
def test_what_a_map_is_made_from_is_there(schedule: Schedule) -> None:
    """Computed already, and not forgotten: neither in rows nor in columns is anything missing."""
    nodes, sizes, boxes = schedule.graph.nodes, schedule.sizes, schedule.boxes
    kept = [box[0][0] for box in boxes]
    for _, last in schedule.blocks():
        for i, start, stop in schedule.advance(last):
            rows = ((start, stop), *boxes[i][1:])
            for source in nodes[i].inputs:
                there = ((kept[source], schedule.have[source]), *boxes[source][1:])
                for axis, (rule, extent) in enumerate(zip(nodes[i].rules, rows, strict=True)):
                    first, end = rule.need(*extent)
                    assert max(first, 0) >= there[axis][0]
                    assert min(end, sizes[source][axis]) <= there[axis][1]
            schedule.have[i] = stop
            for source in nodes[i].inputs:
                needed = schedule.needed_from(source)
                assert boxes[source][0][0] <= kept[source] <= needed <= schedule.have[source]
                kept[source] = needed


@given(schedules())
@SETTINGS
def test_nothing_waits_that_can_be_computed(schedule: Schedule) -> None:
    nodes, boxes = schedule.graph.nodes, schedule.boxes
    for _, last in schedule.blocks():
        for i, start, stop in schedule.advance(last):
            assert stop - start <= schedule.limits[i]
        for i in filter(schedule.wants, range(1, len(nodes))):
            row = schedule.have[i]
            if row < boxes[i][0][1]:
                _, end = nodes[i].rules[0].need(row, row + 1)
                lengths = [schedule.sizes[source][0] for source in nodes[i].inputs]
                haves = [schedule.have[source] for source in nodes[i].inputs]
                assert any(have < min(end, n) for have, n in zip(haves, lengths, strict=True))
    assert all(schedule.have[i] == box[0][1] for i, box in enumerate(boxes) if schedule.wants(i))


@given(schedules())
@SETTINGS
def test_blocks_partition_the_rows_that_are_needed(schedule: Schedule) -> None:
    blocks, rows = schedule.blocks(), schedule.limits[IMAGE]
    assert (blocks[0][0], blocks[-1][1]) == schedule.boxes[IMAGE][0]
    assert all(stop - start == rows for start, stop in blocks[:-1])
    assert 0 < blocks[-1][1] - blocks[-1][0] <= rows
    assert all(stop == start for (_, stop), (start, _) in pairwise(blocks))


@pytest.mark.parametrize("form", range(len(FIRST)))
def test_tiles_below_one_another_compute_maps_of_the_same_heights(form: int) -> None:
    """A kernel is compiled, and kept, for every height: new ones would take memory with each tile.

    Tiles of four steps come in blocks of three, so that their rows meet at other places.
    """
    config, graph = make(form)
    geometry = measure(config)
    step, around = geometry.step[0], -(-geometry.context[0] // geometry.step[0])
    pixels = ((2 * around + 3 * 4) * step, geometry.step[1])
    sizes = graph.sizes([geometry.input_size(axis, n) for axis, n in enumerate(pixels)])

    def heights(first: int) -> list[tuple[int, int]]:
        boxes = find_boxes(graph, sizes, {"logits": ((first, first + 4 * step), (0, 1))})
        schedule, found = Schedule(graph, sizes, boxes, 3 * step), []
        for _, last in schedule.blocks():
            found += [(i, stop - start) for i, start, stop in schedule.advance(last)]
        return found

    top, *others = (heights((around + 4 * k) * step) for k in range(3))
    assert top
    assert all(other == top for other in others)


@given(schedules())
@SETTINGS
def test_boxes_are_within_the_maps_and_hold_what_is_needed(schedule: Schedule) -> None:
    for i, (node, box, size) in enumerate(
        zip(schedule.graph.nodes, schedule.boxes, schedule.sizes, strict=True)
    ):
        if not schedule.wants(i):
            continue
        assert all(0 <= a < b <= n for (a, b), n in zip(box, size, strict=True))
        for axis, rule in enumerate(node.rules):
            first, end = rule.need(*box[axis])
            for source in node.inputs:
                a, b = schedule.boxes[source][axis]
                assert a <= max(first, 0)
                assert b >= min(end, schedule.sizes[source][axis])


@given(forms, st.sampled_from(range(len(AXES))), st.data())
@SETTINGS
def test_a_window_is_made_from_what_its_pixels_see(
    form: int, axes: int, data: st.DataObject
) -> None:
    """The margin shrinks to the field of view: of the pixels of one step the widest, no more."""
    config, graph = make(form, axes)
    geometry = measure(config)
    size = [geometry.input_size(a, 6 * geometry.context[a] + 8 * geometry.step[a]) for a in (0, 1)]
    sizes = graph.sizes(size)
    image = torch.empty(1, 1, *size, device="meta")
    *_, last = trace(on_paper(config), image, geometry.step)
    middle = [n // 2 // step * step for n, step in zip(sizes[-1], geometry.step, strict=True)]
    widest = [0, 0]
    for phase in range(max(geometry.step)):
        window = tuple((m + phase, m + phase + 1) for m in middle)
        box = find_boxes(graph, sizes, {"logits": window})[IMAGE]
        widest = [max(w, b - a) for w, (a, b) in zip(widest, box, strict=True)]
    assert tuple(widest) == last.field


@given(schedules())
@SETTINGS
def test_multiplications_are_counted_cell_by_cell(schedule: Schedule) -> None:
    counted = 0.0
    for _, last in schedule.blocks():
        for i, start, stop in schedule.advance(last):
            columns = [b - a for a, b in schedule.boxes[i][1:]]
            counted += schedule.graph.nodes[i].macs * (stop - start) * columns[0]
    assert counted == pytest.approx(count_macs(schedule.graph, schedule.boxes))


def test_memory_does_not_grow_with_the_length_of_the_image() -> None:
    for form in range(len(FIRST)):
        config, graph = make(form)
        rows, need = 2 * measure(config).step[0], []
        for times in (40, 80, 160):
            sizes = graph.sizes([measure(config).input_size(0, times * rows), 64])
            whole = {"logits": tuple((0, n) for n in sizes[-1])}
            boxes = find_boxes(graph, sizes, whole)
            need.append(estimate_bytes(Schedule(graph, sizes, boxes, rows)))
        assert need[0] == need[1] == need[2]


@pytest.mark.parametrize("form", range(len(FIRST)))
def test_maps_of_a_whole_network_are_given_back_in_time(form: int) -> None:
    """More than the largest layer takes and makes, less than all maps together."""
    config, graph = make(form)
    sizes = graph.sizes([measure(config).input_size(axis, 64) for axis in range(2)])
    maps = [4 * n.channels * math.prod(s) for n, s in zip(graph.nodes, sizes, strict=True)]
    layers = [
        m + sum(maps[k] for k in set(n.inputs)) for n, m in zip(graph.nodes, maps, strict=True)
    ]
    assert max(layers) <= estimate_whole(graph, sizes) < sum(maps)
