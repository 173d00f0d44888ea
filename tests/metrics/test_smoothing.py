"""A smoothed curve is that of the whole, only calmer and shorter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.metrics.smoothing import smooth

MOST = 50
curves = arrays(np.float64, st.integers(0, 700), elements=st.floats(0, 1e9))
widths = st.sampled_from([1, 2, 7, 30, 100, 1000])


@given(curves, widths)
def test_a_smoothed_curve_is_short_and_lies_within_the_whole(values, width: int) -> None:
    steps = np.arange(len(values), dtype=np.float64)
    x, y = smooth(steps, values, width, MOST)
    assert len(x) == len(y) <= 2 * MOST + 2
    assert (np.diff(x) > 0).all()
    if len(values):
        assert len(y) > 0
        assert steps[0] <= x[0] <= x[-1] <= steps[-1]
        slack = 1e-12 * values.max()
        assert values.min() - slack <= y.min() <= y.max() <= values.max() + slack


@given(curves)
def test_without_a_mean_no_peak_is_lost(values) -> None:
    steps = np.arange(len(values), dtype=np.float64)
    x, y = smooth(steps, values, 1, MOST)
    assert np.array_equal(values[x.astype(int)], y)
    if len(values):
        assert (y.min(), y.max()) == (values.min(), values.max())
    if len(values) <= MOST:
        assert np.array_equal(y, values)


@pytest.mark.parametrize("width", [3, 5, 31])
def test_of_a_short_curve_every_point_is_the_mean_around_it(width: int) -> None:
    values = np.random.default_rng(0).uniform(1, 2, 40)
    x, y = smooth(np.arange(40.0), values, width, 10 * MOST)
    half = width // 2
    expected = [values[max(k - half, 0) : k + half + 1].mean() for k in range(40)]
    np.testing.assert_allclose(y, expected)
    assert np.array_equal(x, np.arange(40.0))


def test_noise_shrinks_with_the_width_and_a_trend_comes_in_time() -> None:
    steps = np.arange(5000.0)
    noise = np.random.default_rng(0).normal(0, 0.3, 5000)
    falling = np.linspace(2, 1, 5000)
    x, y = smooth(steps, falling + noise, 100, 500)
    inner = (x > 100) & (x < 4900)
    errors = (y - np.interp(x, steps, falling))[inner]
    assert errors.std() < 0.3 / 7  # ten times less in theory
    assert abs(errors.mean()) < 0.01  # a mean of what came before would lag behind


def test_a_peak_does_not_spoil_what_comes_after() -> None:
    values = np.full(4000, 0.5)
    values[10] = 1e30
    x, y = smooth(np.arange(4000.0), values, 30, 500)
    np.testing.assert_allclose(y[x > 60], 0.5)
