"""The rules, against the definition: which cells a layer of that kind really touches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_unet.models.cells import SAME, Blend, Gather, Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.models.cells import Rule

small = st.integers(1, 5)
convolutions = st.builds(
    lambda kernel, stride, share: Gather(kernel, stride, kernel // share, kernel // share),
    small,
    st.integers(1, 3),
    st.integers(2, 6),
)
crops = st.builds(lambda a, b: Gather(1, 1, -a, -b), st.integers(0, 2), st.integers(0, 2))
spreads = st.builds(lambda stride, more: Spread(stride + more, stride), small, st.integers(0, 3))
blends = st.builds(Blend, st.integers(2, 5))
rules = st.one_of(convolutions, crops, spreads, blends)
LINE = 23  # cells


def reach(rule: Rule, cell: int) -> set[int]:
    """Return which cells of an endless line a cell is made from, by definition."""
    if isinstance(rule, Gather):
        return {cell * rule.stride - rule.before + tap for tap in range(rule.kernel)}
    if isinstance(rule, Spread):
        return {i for i in range(-99, 99) if 0 <= cell - i * rule.stride < rule.kernel}
    assert isinstance(rule, Blend)
    at = math.floor((cell + 0.5) / rule.times - 0.5)
    return {at, at + 1}


@given(rules, st.integers(0, 30), small)
def test_what_cells_need_is_what_they_are_made_from(rule: Rule, start: int, length: int) -> None:
    cells = set().union(*(reach(rule, cell) for cell in range(start, start + length)))
    first, stop = rule.need(start, start + length)
    assert (first, stop) == (min(cells), max(cells) + 1)


@given(rules, st.integers(5, LINE), st.data())
def test_ready_is_what_can_be_made_of_what_is_there(
    rule: Rule, n: int, data: st.DataObject
) -> None:
    """The inverse of `need`: all that need no cell beyond, and at the end all there are."""
    have = data.draw(st.integers(0, n))
    made = 0
    while made < rule.size(n) and all(i < have for i in reach(rule, made) if 0 <= i < n):
        made += 1
    assert min(rule.ready(have, n), rule.size(n)) == made


@given(rules, st.integers(1, LINE), st.integers(-9, 9))
def test_the_pattern_repeats(rule: Rule, cells: int, times: int) -> None:
    """Where a stride later cells lie, what they need lies as much later."""
    stride = getattr(rule, "stride", 1) if isinstance(rule, Gather) else 1
    moved = times * rule.times_as_many(cells * stride)
    first, stop = rule.need(moved, moved + 1)
    assert (first - times * cells * stride, stop - times * cells * stride) == rule.need(0, 1)


@given(rules)
def test_many_cells_at_once(rule: Rule) -> None:
    starts = np.arange(-9, 20)
    firsts, stops = rule.need(starts, starts + 3)
    pairs = [rule.need(int(start), int(start) + 3) for start in starts]
    assert list(zip(firsts.tolist(), stops.tolist(), strict=True)) == pairs


def test_nothing_changes_by_default() -> None:
    assert [SAME.size(7), SAME.need(2, 5), SAME.ready(3, 7)] == [7, (2, 5), 3]


@pytest.mark.parametrize(
    ("rule", "layer"),
    [
        *[
            (Gather(k, s, p, p), lambda k=k, s=s, p=p: nn.Conv1d(1, 1, k, s, p))
            for k, s, p in [(1, 1, 0), (3, 1, 0), (3, 1, 1), (5, 1, 2), (2, 2, 0), (4, 3, 1)]
        ],
        *[(Gather(k, k), lambda k=k: nn.MaxPool1d(k)) for k in (2, 3)],
        *[
            (Spread(k, s), lambda k=k, s=s: nn.ConvTranspose1d(1, 1, k, s))
            for k, s in [(2, 2), (3, 2), (4, 2), (3, 3)]
        ],
        *[(Spread(t, t), lambda t=t: nn.Upsample(scale_factor=float(t))) for t in (2, 3)],
        *[
            (Blend(t), lambda t=t: nn.Upsample(scale_factor=float(t), mode="linear"))
            for t in (2, 3, 4)
        ],
        (Gather(1, 1, -2, -1), lambda: nn.ZeroPad1d((-2, -1))),
    ],
    ids=str,
)  # fmt: skip
def test_layers_of_torch_follow_the_rule(rule: Rule, layer: Callable[[], nn.Module]) -> None:
    """Sizes are those of the layer, and a cell changes only with what it needs."""
    torch.manual_seed(0)
    module = layer().double().requires_grad_(requires_grad=False)
    for n in (7, 12):
        line = torch.rand(1, 1, n, dtype=torch.float64, requires_grad=True)
        made = module(line)[0, 0]
        assert len(made) == rule.size(n)
        for cell, value in enumerate(made):
            (gradient,) = torch.autograd.grad(value, line, retain_graph=True)
            first, stop = rule.need(cell, cell + 1)
            assert all(first <= i < stop for i in gradient[0, 0].nonzero().flatten().tolist())
