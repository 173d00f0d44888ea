"""An oriented view equals numpy's flips and turns of the whole; maps come back as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.arrays.axes import name_axes, views
from napari_unet.arrays.mirror import read_mirrored
from napari_unet.inference.orientations import orientations

if TYPE_CHECKING:
    from napari_unet.arrays.axes import View

SHAPES = {1: (7,), 2: (4, 6), 3: (3, 4, 6)}
GROUPS = [(ndim, rotations) for ndim in SHAPES for rotations in (False, True)]


def view_of(*shape: int) -> View:
    """A view in which every pixel has its own value."""
    channels_last = np.arange(2 * np.prod(shape), dtype=np.uint16).reshape(*shape, 2)
    axes = "ZYX"[-len(shape) :] + "C"
    return views(name_axes(channels_last, axes, ndim=len(shape)), len(shape))[0]


@pytest.mark.parametrize(("ndim", "rotations"), GROUPS)
def test_the_orientations_are_a_group_and_the_first_leaves_all_as_it_is(
    ndim: int, rotations: bool
) -> None:
    cube = np.arange(3**ndim).reshape(1, *(3,) * ndim)
    group = orientations(ndim, rotations)
    seen = {each.apply(cube).tobytes() for each in group}
    twice = {a.apply(b.apply(cube)).tobytes() for a in group for b in group}
    assert len(seen) == len(group) == 2**ndim * (2 if rotations and ndim > 1 else 1)
    assert twice == seen
    np.testing.assert_array_equal(group[0].apply(cube), cube)


def test_those_of_a_plane_are_the_flips_and_turns_of_numpy() -> None:
    plane = np.arange(24).reshape(1, 4, 6)
    turned = [np.rot90(p, k, (1, 2)) for p in (plane, plane[:, ::-1]) for k in range(4)]
    ours = [each.apply(plane) for each in orientations(2, True)]
    assert sorted(t.tolist() for t in turned) == sorted(o.tolist() for o in ours)


@pytest.mark.parametrize(("ndim", "rotations"), GROUPS)
def test_a_view_reads_what_lies_in_the_oriented_whole(ndim: int, rotations: bool) -> None:
    view = view_of(*SHAPES[ndim])
    part = (slice(0, 2), *(slice(1, 3),) * ndim)
    for orientation in orientations(ndim, rotations):
        oriented, whole = orientation.view(view), orientation.apply(view[:])
        assert oriented.shape == whole.shape
        assert (oriented.dtype, oriented.name, oriented.lead) == (view.dtype, view.name, view.lead)
        np.testing.assert_array_equal(oriented[part], whole[part])
        np.testing.assert_array_equal(oriented[1:], whole[1:])
        outside = (slice(-2, 3),) * ndim
        np.testing.assert_array_equal(
            read_mirrored(oriented, outside), read_mirrored(whole, outside)
        )


@given(st.sampled_from(GROUPS), st.data())
def test_a_window_comes_back_where_it_was(group: tuple[int, bool], data: st.DataObject) -> None:
    ndim, rotations = group
    shape = SHAPES[ndim]
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
    window = tuple(slice(start, stop) for start, stop in ends)
    view = view_of(*shape)
    for orientation in orientations(ndim, rotations):
        there = orientation.window(window, shape)
        part = orientation.view(view)[(slice(None), *there)]
        np.testing.assert_array_equal(orientation.back(part), view[(slice(None), *window)])


def test_only_the_pixels_asked_for_are_read() -> None:
    class Spy:
        shape, dtype = (6, 8), np.dtype(np.uint8)

        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
            read.append(key)
            return np.zeros(self.shape, np.uint8)[key]

    read: list[tuple[slice, ...]] = []
    (view,) = views(name_axes(Spy(), "YX", ndim=2), 2)
    for orientation in orientations(2, True):
        window = orientation.window((slice(1, 3), slice(2, 7)), (6, 8))
        assert orientation.view(view)[(slice(None), *window)].shape[1:] in {(2, 5), (5, 2)}
    assert {tuple((s.start, s.stop) for s in key) for key in read} == {((1, 3), (2, 7))}


def test_a_view_takes_slices_of_step_one() -> None:
    oriented = orientations(2, True)[-1].view(view_of(4, 6))
    with pytest.raises(IndexError, match="step 1"):
        oriented[:, ::2]
    with pytest.raises(IndexError, match="slices"):
        oriented[0]  # type: ignore[index]
