"""Sizes of pixels count where their unit is known, and differ where that matters."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.arrays.axes import Picture
from napari_unet.arrays.pixel_size import (
    are_alike,
    are_believed,
    is_brought,
    known_size,
    size_in_words,
)


@pytest.mark.parametrize(
    ("spacing", "unit", "ndim", "expected"),
    [
        ((2.0, 0.5, 0.25), "µm", 3, (2.0, 0.5, 0.25)),
        ((2.0, 0.5, 0.25), "µm", 2, (0.5, 0.25)),
        ((2.0, 0.5, 0.25), "", 3, None),
        ((), "µm", 2, None),
        (None, "µm", 2, None),
    ],
)
def test_a_size_is_known_with_its_unit_only(spacing, unit, ndim, expected) -> None:
    picture = Picture(np.zeros((2, 3, 4)), "ZYX", spacing, unit=unit)
    assert known_size(picture, ndim) == expected


def test_sizes_are_alike_up_to_five_percent_along_every_axis() -> None:
    assert are_alike((1.0, 2.0), (1.04, 1.95))
    assert not are_alike((1.0, 2.0), (1.0, 2.2))
    assert not are_alike((1.0, 2.2), (1.0, 2.0))


def test_sizes_are_believed_up_to_ten_times() -> None:
    assert are_believed((1.0, 2.0), (10.0, 0.2))
    assert not are_believed((1.0, 2.0), (1.0, 0.19))


@pytest.mark.parametrize(
    ("size", "brought"), [(1.04, False), (1.06, True), (0.94, True), (9.9, True), (10.1, False)]
)
def test_what_differs_within_belief_is_resampled(size: float, brought: bool) -> None:
    assert is_brought((size, 1.0), (1.0, 1.0)) is brought
    assert is_brought((1.0, 1.0), (1.0, size)) is brought


def test_words_name_every_axis_where_they_differ() -> None:
    assert size_in_words((2.0, 0.65, 0.65)) == "2 x 0.65 x 0.65 µm"
    assert size_in_words((0.65, 0.65), (0.325, 0.325)) == "0.65 to 0.325 µm"
    assert size_in_words((1.0,), unit="") == "1"
