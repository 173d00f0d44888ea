"""A loss that goes wrong is noticed; one that is only noisy is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.metrics.divergence import diverged_since, jumped_at
from tests.metrics.courses import learning

lengths, spreads, seeds = st.integers(1, 3000), st.floats(0, 0.4), st.integers(0, 10**6)


@given(lengths, spreads, seeds)
def test_a_training_that_goes_well_is_left_alone(n: int, spread: float, seed: int) -> None:
    losses = learning(n, spread, seed)
    assert diverged_since(losses) is None
    assert jumped_at(losses) is None


@given(lengths, spreads, seeds)
def test_noise_alone_is_no_rise(n: int, spread: float, seed: int) -> None:
    losses = np.random.default_rng(seed).lognormal(0, spread, n)
    assert diverged_since(losses) is None
    assert jumped_at(losses) is None


@given(st.integers(100, 3000), st.floats(0, 0.4), seeds, st.floats(3, 50))
def test_a_loss_that_rises_for_long_is_noticed(n, spread, seed, factor: float) -> None:
    losses = learning(n, spread, seed)
    rise = n // 2
    losses[rise:] *= np.linspace(1, 4 * factor, n - rise)
    at = diverged_since(losses)
    assert at is not None
    assert at < 0.8 * n


def test_one_hard_batch_is_no_rise() -> None:
    losses = learning(400, 0.1, 0)
    losses[-5] = 1000.0
    assert diverged_since(losses) is None


@pytest.mark.parametrize("end", [0.7, 5.0, 1e6])
def test_a_jump_from_which_nothing_was_learned_is_noticed(end: float) -> None:
    losses = np.concatenate([[0.69, 0.68], np.geomspace(2, 1e5, 8), np.full(30, end)])
    at = jumped_at(losses)
    assert at is not None
    assert 1 <= at <= 8


def test_a_jump_that_was_made_good_is_forgotten() -> None:
    losses = np.concatenate([[0.69, 0.68], np.geomspace(2, 1e5, 8), np.full(30, 0.3)])
    assert jumped_at(losses) is None
