"""What is held out to validate: whole images where there are several, else a part of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.training.augment import Source

SMALLEST_HELD_OUT = 16  # pixels along the axis that is cut when a single image is split


def hold_out(
    sources: Sequence[Source], share: float, seed: int
) -> tuple[list[Source], list[Source], str]:
    """Return what is trained on, what is held out, and a sentence on it.

    Nothing is held out that would take a class from the training set.

    Parameters
    ----------
    sources : sequence of Source
        Each with labelled pixels.
    share : float
        Of the images, or of the length of the only one.
    seed : int
        Decides which images.
    """
    if not share:
        return list(sources), [], "nothing is held out: scores are those of the training images"
    if len(sources) > 1:
        order = np.random.default_rng(seed).permutation(len(sources))
        held = set(order[: max(1, round(share * len(sources)))].tolist())
        train = [s for k, s in enumerate(sources) if k not in held]
        validation = [s for k, s in enumerate(sources) if k in held]
        if train and _classes(train) >= _classes(validation):
            return train, validation, f"{len(held)} of {len(sources)} images are held out"
        return list(sources), [], "too few images with every class to hold any out"
    return _cut_in_two(sources[0], share)


def _cut_in_two(only: Source, share: float) -> tuple[list[Source], list[Source], str]:
    shape = only.weights.shape
    axis = int(np.argmax(shape))
    at = round((1 - share) * shape[axis])
    parts = [_part(only, axis, slice(None, at)), _part(only, axis, slice(at, None))]
    large = shape[axis] - at >= SMALLEST_HELD_OUT
    labelled = all(part.weights.any() for part in parts)
    if large and labelled and _classes(parts[:1]) >= _classes(parts[1:]):
        words = f"the last {share:.0%} of the image along its longest axis is held out"
        return parts[:1], parts[1:], words
    return [only], [], "the image is too small to hold any of it out"


def _classes(sources: Sequence[Source]) -> set[int]:
    """Return the classes that occur; none where the truth is values."""
    plain = (s for s in sources if not s.has_values)
    return {int(v) for s in plain for v in np.unique(s.truth[s.weights > 0])}


def _part(source: Source, axis: int, along: slice) -> Source:
    behind = (slice(None),) * (source.weights.ndim - 1 - axis)
    where: tuple[Any, ...] = (..., along, *behind)
    return replace(
        source,
        image=source.image[where],
        truth=source.truth[where],
        weights=source.weights[where],
    )
