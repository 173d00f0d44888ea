"""V_Rand and V_Info equal what counting pairs of pixels gives."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.metrics import variation_of_information

from napari_unet.config import InputError
from napari_unet.metrics.boundaries import (
    grow_regions,
    pool_tallies,
    score_tally,
    tally,
    v_scores,
)
from napari_unet.targets.numbering import number_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS = st.tuples(*[arrays(np.uint8, (4, 5), elements=st.integers(0, 3))] * 2)
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


def four_cells() -> NDArray[np.int64]:
    """The truth of the published vectors: 56 pixels in four cells, parted by a cross."""
    truth = np.zeros((8, 9), np.int64)
    truth[:4, :4], truth[:4, 5:], truth[5:, :4], truth[5:, 5:] = 1, 2, 3, 4
    return truth


def merged() -> NDArray[np.int64]:
    cells = four_cells()
    cells[:4] = 1
    return cells


def split() -> NDArray[np.int64]:
    cells = four_cells()
    cells[1, :4], cells[2:4, :4] = 0, 5
    return cells


def thick() -> NDArray[np.int64]:
    cells = four_cells()
    cells[:, 3] = 0
    return cells


@pytest.mark.parametrize(
    ("cells", "merge", "split", "v_rand", "v_info", "vi"),
    [
        (four_cells(), 1, 1, 1, 1, 0),
        (merged(), 0.609756, 1, 0.757576, 0.831885, 0.396084),
        (split(), 1, 0.785, 0.879552, 0.874187, 0.396084),
        (thick(), 1, 0.79, 0.882682, 0.862419, 0.439043),
    ],
)
def test_published_vectors(
    cells: NDArray[Any], merge: float, split: float, v_rand: float, v_info: float, vi: float
) -> None:
    found = v_scores(cells, four_cells())
    assert (found.v_rand_merge, found.v_rand_split) == pytest.approx((merge, split), abs=5e-7)
    assert (found.v_rand, found.v_info, found.vi) == pytest.approx((v_rand, v_info, vi), abs=5e-7)


def separate(prediction: NDArray[Any], truth: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """List the pixels that count, each boundary pixel a segment of its own."""
    p, t = prediction[truth > 0].astype(int), truth[truth > 0]
    p[p == 0] = -1 - np.arange(np.count_nonzero(p == 0))
    return p, t


@given(PAIRS)
def test_rand_counts_pairs_of_pixels(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    p, t = separate(*pair)
    found = v_scores(*pair)
    if not len(t):
        assert all(math.isnan(score) for score in astuple(found))
        return
    together = [each[:, None] == each for each in (p, t)]
    both = np.sum(together[0] & together[1])
    assert found.v_rand_merge == pytest.approx(both / together[0].sum())
    assert found.v_rand_split == pytest.approx(both / together[1].sum())
    harmonic = 2 / (1 / found.v_rand_merge + 1 / found.v_rand_split)
    assert found.v_rand == pytest.approx(harmonic)


@given(PAIRS)
def test_information_is_that_of_skimage(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    p, t = separate(*pair)
    if not len(t):
        return
    splits, merges = variation_of_information(t, p - p.min()) * math.log(2)  # given truth, given p
    found = v_scores(*pair)
    assert found.vi == pytest.approx(splits + merges, abs=1e-9)
    h_t = variation_of_information(np.zeros_like(t), t).sum() * math.log(2)
    merge = 1 - merges / h_t if h_t > 1e-9 else 1
    assert found.v_info_merge == pytest.approx(merge, abs=1e-9)


@given(arrays(np.uint8, (4, 5), elements=st.integers(1, 4)), st.permutations([1, 2, 3, 4]))
def test_names_of_segments_do_not_matter(cells: NDArray[Any], names: list[int]) -> None:
    renamed = np.array([0, *names])[cells]
    assert astuple(v_scores(renamed, cells)) == pytest.approx((1, 1, 1, 1, 1, 1, 0))


@given(*[arrays(np.uint8, (4, 5), elements=st.integers(1, 4))] * 2)
def test_swapping_swaps_split_and_merge(a: NDArray[Any], b: NDArray[Any]) -> None:
    there, back = v_scores(a, b), v_scores(b, a)
    assert (there.v_rand, there.v_info, there.vi) == pytest.approx(
        (back.v_rand, back.v_info, back.vi), abs=1e-12
    )
    assert there.v_rand_split == pytest.approx(back.v_rand_merge)
    assert there.v_info_split == pytest.approx(back.v_info_merge)


def test_one_segment_against_one() -> None:
    whole = np.ones((3, 3), int)
    assert astuple(v_scores(whole, whole)) == (1, 1, 1, 1, 1, 1, 0)
    lines = v_scores(np.zeros_like(whole), whole)  # nine segments of one pixel
    assert (lines.v_rand_split, lines.v_rand_merge) == pytest.approx((1 / 9, 1))
    assert (lines.v_info, lines.v_info_split, lines.v_info_merge) == (0, 0, 1)


def test_images_are_pooled_as_if_side_by_side() -> None:
    parts = [(merged(), four_cells()), (split(), four_cells())]
    pooled = score_tally(pool_tallies([tally(*part) for part in parts]))
    apart = [np.hstack([a, np.where(b, b + 9, 0)]) for a, b in zip(*parts, strict=True)]
    assert astuple(pooled) == pytest.approx(astuple(v_scores(*apart)))


@settings(deadline=None)
@given(MASKS)
def test_regions_grow_and_stay_apart(inside: NDArray[Any]) -> None:
    grown = grow_regions(inside)
    np.testing.assert_array_equal(grown[inside], number_regions(inside, corners=False)[inside])
    for a, b in ((grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])):
        assert not np.any((a != b) & (a > 0) & (b > 0))


@pytest.mark.parametrize("gap", [1, 2, 5, 6])
def test_boundaries_become_one_pixel_wide(gap: int) -> None:
    inside = np.ones((7, 10 + gap), bool)
    inside[:, 5 : 5 + gap] = False
    grown = grow_regions(inside)
    assert (np.count_nonzero(grown == 0, axis=1) == 1).all()
    assert grown.max() == 2


def test_nothing_inside_is_nothing() -> None:
    assert not grow_regions(np.zeros((4, 4), bool)).any()
    assert (grow_regions(np.ones((4, 4), bool)) == 1).all()


def test_shapes_must_match() -> None:
    with pytest.raises(InputError, match="U102"):
        v_scores(np.ones((2, 3), int), np.ones((3, 3), int))
