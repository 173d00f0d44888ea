"""Signals to try 1-D networks on, made by code: what a detector would record, and the truth.

Events are drawn first: transients rise fast and decay slowly, as when a cell takes up calcium;
plateaus last, as while a molecule is bound. Then the record is formed: the response of the
detector, a dye that bleaches, a baseline that drifts, photon noise and that of the amplifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Trace = NDArray[np.float64]

TRANSIENT, PLATEAU = 1, 2
FIFTH = 0.2  # of its height, above which a transient counts as going on
RESPONSE = 1.2  # standard deviation of the detector, in samples
FEWEST = 12  # samples between the end of an event and the next


def signals(
    shape: tuple[int, int] = (64, 2048), seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draw records of two kinds of events; every row is a signal of its own.

    Returns
    -------
    image : float32 array, (N, X)
        Light over time, in units of a usual event.
    labels : uint8 array, (N, X)
        0 baseline, 1 transient (above a fifth of its height), 2 plateau.
    """
    rng = np.random.default_rng(seed)
    image = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.uint8)
    for signal, truth in zip(image, labels, strict=True):
        light = np.zeros(shape[1])
        for start, kind, event in _events(shape[1], rng):
            stop = start + len(event)
            here, seen = slice(max(start, 0), max(stop, 0)), event[max(-start, 0) :]
            seen = seen[: len(light[here])]
            light[here] += seen
            truth[here][seen > FIFTH * event.max()] = kind
        signal[:] = _record(light, rng)
    return image, labels


def _events(length: int, rng: np.random.Generator) -> Iterator[tuple[int, int, Trace]]:
    """Yield start, kind and course of one event after the other; the outer ones may be cut."""
    start = int(rng.uniform(-150, 50))
    while start < length:
        kind = int(rng.choice((TRANSIENT, PLATEAU), p=(0.65, 0.35)))
        event = rng.lognormal(0, 0.35) * (_transient(rng) if kind == TRANSIENT else _plateau(rng))
        yield start, kind, event
        lasting = int(np.flatnonzero(event > FIFTH * event.max())[-1])
        start += lasting + FEWEST + int(rng.exponential(70))


def _transient(rng: np.random.Generator) -> Trace:
    """Return (1 - exp(-t / rise)) exp(-t / decay), with a height of 1, until it has faded."""
    rise, decay = rng.uniform(1, 4), float(np.clip(rng.lognormal(2.9, 0.5), 6, 60))
    t = np.arange(1, 6 * decay)
    course: Trace = (1 - np.exp(-t / rise)) * np.exp(-t / decay)
    course /= course.max()
    return course


def _plateau(rng: np.random.Generator) -> Trace:
    """Return a level of 0.8 that is held for 50 to 250 samples."""
    return np.full(int(rng.uniform(50, 250)), 0.8)


def _record(light: Trace, rng: np.random.Generator) -> Trace:
    """Return what the detector makes of `light`."""
    n = len(light)
    bleaching = rng.uniform(0.5, 1.5) * np.exp(-np.arange(n) / (rng.uniform(0.4, 2) * 2000))
    total = gaussian_filter1d(light, RESPONSE) + 0.5 + bleaching + 0.25 * _wander(n, 150, rng)
    photons = 0.07 * np.sqrt(np.clip(total, 0, None)) * rng.normal(size=n)
    seen: Trace = total + photons + 0.05 * rng.normal(size=n) + 0.04 * _wander(n, 4, rng)
    return seen


def _wander(n: int, sigma: float, rng: np.random.Generator) -> Trace:
    """Return smooth noise of unit spread."""
    smooth: Trace = gaussian_filter1d(rng.normal(size=n + int(8 * sigma)), sigma, mode="wrap")[:n]
    smooth *= np.sqrt(2 * sigma * np.sqrt(np.pi))  # what smoothing took from the spread
    return smooth
