"""Signals are what they say: two kinds of events on a baseline that drifts, in noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.arrays.signals import FEWEST, PLATEAU, TRANSIENT, signals


@pytest.fixture(scope="module")
def sample():
    return signals((48, 1500), seed=4)


def runs(row):
    """Return (class, length) of every stretch of one class in a row of labels."""
    ends = np.flatnonzero(np.diff(row)) + 1
    return [(int(part[0]), len(part)) for part in np.split(row, ends)]


def test_every_row_holds_events_and_baseline(sample):
    image, labels = sample
    assert image.dtype == np.float32
    assert labels.dtype == np.uint8
    assert np.isfinite(image).all()
    assert set(np.unique(labels)) == {0, TRANSIENT, PLATEAU}
    assert all(0 in row and row.any() for row in labels)
    assert 0.25 < (labels > 0).mean() < 0.75


def test_events_keep_apart_and_vary_in_width(sample):
    _, labels = sample
    inner = [run for row in labels for run in runs(row)[1:-1]]
    widths = {k: [n for kind, n in inner if kind == k] for k in (0, TRANSIENT, PLATEAU)}
    assert min(widths[0]) >= FEWEST - 1
    for kind in (TRANSIENT, PLATEAU):
        assert np.percentile(widths[kind], 90) > 2 * np.percentile(widths[kind], 10)
    assert np.median(widths[PLATEAU]) > 2 * np.median(widths[TRANSIENT])


def test_events_rise_above_the_baseline_beside_them(sample):
    image, labels = sample
    rises = []
    for signal, truth in zip(image, labels, strict=True):
        events, n = ndimage.label(truth > 0)
        for k in range(1, n + 1):
            first, last = np.flatnonzero(events == k)[[0, -1]]
            if first >= 8 and last - first >= 8:
                rises.append(
                    signal[first + 3 : first + 8].mean() - signal[first - 8 : first - 2].mean()
                )
    assert np.mean(np.array(rises) > 0.2) > 0.95


def test_noise_and_drift_are_there_without_events(sample):
    image, labels = sample
    noise = np.diff(image, axis=1)[(labels[:, 1:] == 0) & (labels[:, :-1] == 0)]
    assert 0.05 < noise.std() / np.sqrt(2) < 0.3
    starts, ends = (np.median(part, axis=1) for part in (image[:, :300], image[:, -300:]))
    assert np.median(starts - ends) > 0.1  # the dye bleaches


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (1, 5000), (0, 64)])
def test_any_shape_will_do(shape):
    image, labels = signals(shape)
    assert image.shape == labels.shape == shape
