"""Regression: the scale of a target, so that what a network says has mean 0 and spread 1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.config import InputError
from napari_unet.library.card import TargetCard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.training.augment import Source


def measure_target(sources: Sequence[Source]) -> tuple[TargetCard, ...]:
    """Measure mean and spread of the target over labelled pixels, of which there are some.

    Raises
    ------
    InputError
        U106 when a channel is the same everywhere.
    """
    n = len(sources[0].truth)
    names = ["value"] if n == 1 else [f"value {k}" for k in range(n)]
    return tuple(_measure_channel(sources, k, name) for k, name in enumerate(names))


def _measure_channel(sources: Sequence[Source], channel: int, name: str) -> TargetCard:
    found = [s.truth[channel][s.weights > 0].astype(np.float64) for s in sources]
    count = sum(each.size for each in found)
    mean = sum(float(each.sum()) for each in found) / count
    spread = float(np.sqrt(sum(float(((each - mean) ** 2).sum()) for each in found) / count))
    if not spread > np.finfo(np.float32).eps * abs(mean):
        raise InputError(
            "U106",
            f"{name} is {mean:g} in all {count:,} labelled pixels",
            "choose a target that varies",
        )
    return TargetCard(name=name, mean=mean, spread=spread)


def normalise(source: Source, target: Sequence[TargetCard]) -> Source:
    """Return a source whose values are in spreads from the mean, NaN where they were."""
    channels = zip(source.truth.astype(np.float64), target, strict=True)
    scaled = np.stack([(values - each.mean) / each.spread for values, each in channels])
    return replace(source, truth=scaled.astype(np.float32))
