"""A value counts where it is known, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.config import LabelConfig
from napari_unet.targets.values import read_values

TARGET = np.array([[[0, 1, -1, np.nan, np.inf, 5]], [[0, 0, -1, 2, 3, -np.inf]]], np.float32)


@pytest.mark.parametrize(
    ("zero", "ignore", "known"),
    [
        ("background", None, [1, 1, 1, 0, 0, 0]),
        ("unlabelled", None, [0, 1, 1, 0, 0, 0]),
        ("background", -1, [1, 1, 0, 0, 0, 0]),
        ("unlabelled", -1, [0, 1, 0, 0, 0, 0]),
    ],
)
def test_a_pixel_counts_where_all_its_channels_are_known(zero, ignore, known: list[int]) -> None:
    config = LabelConfig(kind="regression", zero=zero, ignore=ignore)
    before = TARGET.copy()
    values, weights = read_values(TARGET, config)
    np.testing.assert_array_equal(weights, [known])
    np.testing.assert_array_equal(np.isfinite(values), [[known]] * 2)
    np.testing.assert_array_equal(values[:, weights > 0], TARGET[:, weights > 0])
    np.testing.assert_array_equal(TARGET, before)
