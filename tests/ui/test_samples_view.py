"""Every sample is in the mosaic, whole and in its place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.ui.samples_view import GAP, mosaic


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
def test_a_mosaic_holds_every_sample(n: int, shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(0).random((n, *shape))
    whole = mosaic(samples)
    columns = int(np.ceil(np.sqrt(n)))
    for k, sample in enumerate(samples):
        y, x = k // columns * (6 + GAP), k % columns * (5 + GAP)
        np.testing.assert_array_equal(whole[..., y : y + 6, x : x + 5], sample)
    assert whole.sum() == pytest.approx(samples.sum())


def test_signals_become_rows() -> None:
    samples = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(mosaic(samples), samples)
