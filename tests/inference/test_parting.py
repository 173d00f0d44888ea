"""Objects with a neck are parted there; those without stay whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.inference.parting import part_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def balls(centres: list[tuple[int, ...]], radius: float, shape: tuple[int, ...]) -> Mask:
    """Balls (disks in a plane) around `centres`."""
    grid = np.indices(shape)
    far = [sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) for centre in centres]
    return np.min(far, axis=0) <= radius**2


TWO_DISKS = balls([(20, 20), (20, 44)], 14, (41, 65))
TWO_BALLS = balls([(12, 12, 12), (12, 12, 26)], 9, (25, 25, 40))
THREE_DISKS = balls([(16, 16), (16, 36), (36, 36)], 12, (52, 52))


@pytest.mark.parametrize(("mask", "n"), [(TWO_DISKS, 2), (TWO_BALLS, 2), (THREE_DISKS, 3)])
def test_round_objects_that_touch_are_parted_at_their_necks(mask: Mask, n: int) -> None:
    parts = part_object(mask, 1.0)
    np.testing.assert_array_equal(parts > 0, mask)
    assert parts.max() == n
    for i in range(1, n + 1):
        assert ndimage.label(parts == i)[1] == 1
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.max() - sizes.min() <= 0.05 * sizes.sum()


@given(st.floats(0, np.pi), st.floats(4, 40), st.floats(4, 40), st.booleans())
def test_a_convex_object_is_never_parted(turn: float, a: float, b: float, round_: bool) -> None:
    y, x = np.mgrid[-45:46, -45:46]
    u = (np.cos(turn) * x + np.sin(turn) * y) / a
    v = (np.cos(turn) * y - np.sin(turn) * x) / b
    mask = u**2 + v**2 <= 1 if round_ else np.maximum(abs(u), abs(v)) <= 0.7
    assert part_object(mask, 1.0).max() == 1


def test_an_object_that_the_image_cuts_or_that_fills_it_stays_whole() -> None:
    disk = balls([(20, 20)], 14, (41, 41))
    for cut in (disk[20:], disk[:, :25], disk[12:28, 12:28]):
        assert part_object(cut, 1.0).max() == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_a_deeper_neck_is_asked_for_and_fewer_are_parted(seed: int, ndim: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(25,) * ndim)
    labels, _ = ndimage.label(ndimage.gaussian_filter(noise, 2) > 0)
    mask = np.pad(labels == 1, 1)
    found = [int(part_object(mask, neck).max(initial=1)) for neck in (0, 0.5, 1, 2, 100)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 1
    if ndim == 1:
        assert set(found) == {1}


def test_depth_is_measured_in_units_of_space() -> None:
    flat = balls([(12, 12, 12), (12, 12, 24)], 9, (25, 25, 37))[::3]  # a stack with a coarse z
    assert part_object(flat, 1.0, (3.0, 1.0, 1.0)).max() == 2
    assert part_object(flat, 1.0, (0.9, 0.3, 0.3)).max() == 2
    assert part_object(flat, 1.0).max() == 1


def test_the_same_object_is_parted_in_the_same_way() -> None:
    first, again = part_object(THREE_DISKS, 1.0), part_object(THREE_DISKS.copy(order="F"), 1.0)
    np.testing.assert_array_equal(first, again)
