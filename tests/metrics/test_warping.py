"""Bending keeps the topology, and reaches what scanning every pixel again and again reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from napari_unet.metrics.warping import AROUND, is_simple, warp
from tests.targets.label_strategies import disks

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (7, 8)
MASKS = arrays(np.bool_, SHAPE)
URGENCY = arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 0.1, 0.5]))


def neighbourhood(code: int) -> NDArray[np.bool_]:
    """Draw a code: 3 x 3 pixels, outside in the middle."""
    patch = np.zeros((3, 3), bool)
    for k, (dy, dx) in enumerate(AROUND):
        patch[1 + dy, 1 + dx] = code >> k & 1
    return patch


def simple_by_counting(patch: NDArray[np.bool_]) -> bool:
    """One 4-connected piece of inside by the edge of the middle, one 8-connected of outside."""
    middle = np.zeros((3, 3), bool)
    middle[1, 1] = True
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    inside = label(patch & ~middle, connectivity=1)
    outside = label(~patch & ~middle, connectivity=2)
    return len(np.unique(inside[cross & patch])) == len(np.unique(outside[outside > 0])) == 1


def test_simple_points_by_counting_pieces() -> None:
    for code in range(256):
        assert is_simple(code) == simple_by_counting(neighbourhood(code)), code


def warp_by_scanning(
    truth: NDArray[Any], target: NDArray[Any], urgency: NDArray[Any]
) -> NDArray[Any]:
    """Look at all differing pixels in each round, in the order of their urgency."""
    wide = np.pad(truth, 1)
    goal = np.pad(target, 1)
    changed = True
    while changed:
        changed = False
        y, x = np.nonzero(wide != goal)
        order = np.argsort(-urgency[y - 1, x - 1], kind="stable")
        for i, j in zip(y[order], x[order], strict=True):
            if simple_by_counting(wide[i - 1 : i + 2, j - 1 : j + 2]):
                wide[i, j] ^= True
                changed = True
    return wide[1:-1, 1:-1]


@settings(deadline=None, max_examples=40)
@given(MASKS, MASKS, URGENCY)
def test_equals_scanning(truth: NDArray[Any], target: NDArray[Any], urgency: NDArray[Any]) -> None:
    found = warp(truth, target, urgency)
    np.testing.assert_array_equal(found, warp_by_scanning(truth, target, urgency))


@settings(deadline=None)
@given(MASKS, MASKS, URGENCY)
def test_topology_stays(truth: NDArray[Any], target: NDArray[Any], urgency: NDArray[Any]) -> None:
    bent = warp(truth, target, urgency)
    for sides, connectivity in (((truth, bent), 1), ((~truth, ~bent), 2)):
        pieces = [label(np.pad(s, 1, constant_values=connectivity == 2), connectivity=connectivity)
                  for s in sides]  # fmt: skip
        assert pieces[0].max() == pieces[1].max()
    assert np.count_nonzero(bent != target) <= np.count_nonzero(truth != target)


def test_a_moved_boundary_is_no_mistake() -> None:
    truth = np.zeros((20, 30), bool)
    truth[2:18, 2:14] = truth[2:18, 16:28] = True
    moved = np.roll(truth, 2, axis=1)
    np.testing.assert_array_equal(warp(truth, moved, np.ones(truth.shape)), moved)


def test_each_mistake_leaves_a_trace() -> None:
    truth = np.zeros((20, 30), bool)
    truth[2:18, 2:14] = truth[2:18, 16:28] = True
    lost, made, holed, bridged = (truth.copy() for _ in range(4))
    lost[:, 15:] = False
    made[0, 0] = True
    holed[9, 9] = False
    bridged[9, 14:16] = True
    for target in (lost, made, holed, bridged):
        assert np.count_nonzero(warp(truth, target, np.ones(truth.shape)) != target) == 1


def test_what_is_right_stays() -> None:
    cells = disks((60, 60), 12, 8, 0) > 0
    np.testing.assert_array_equal(warp(cells, cells, np.ones(cells.shape)), cells)
