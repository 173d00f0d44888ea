"""What is doubtful about the images that a run learns from, told before its first step."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.events import Noted
from napari_unet.targets.balance import count_classes
from napari_unet.targets.shift import find_shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.training.augment import Source
    from napari_unet.training.data import TrainingData

RARE = 1e-3  # of the labelled pixels
LOOKED_AT = 16  # images, spread over all


def find_doubts(data: TrainingData) -> Iterator[Noted]:
    """Yield a note on labels that look shifted, and one on classes that are rare.

    Parameters
    ----------
    data : TrainingData
        Of a regression nothing is said.
    """
    if data.target:
        return
    notes = {
        "shift": _tell_shift((*data.train, *data.validation)),
        "rare": _tell_rare(data.train, data.names),
    }
    yield from (Noted(text, topic) for topic, text in notes.items() if text)


def _tell_shift(sources: tuple[Source, ...]) -> str:
    """Say by how much labels look shifted, or nothing; not all of many images are looked at."""
    chosen = sources[:: -(-len(sources) // LOOKED_AT)]
    found = [find_shift(s.image, s.truth, s.weights > 0) for s in chosen]
    shifts = [shift for shift in found if shift is not None]
    if not shifts:
        return ""
    usual = ", ".join(f"{median(along):+.0f}" for along in zip(*shifts, strict=True))
    return (
        f"labels look shifted against the image by ({usual}) px in {len(shifts)} of "
        f"{len(chosen)} images: check that they belong together"
    )


def _tell_rare(sources: tuple[Source, ...], names: tuple[str, ...]) -> str:
    """Name the rarest class, if it is so rare that it may never be found; else nothing."""
    each = [count_classes(s.truth, s.weights, len(names)) for s in sources]
    counts = np.sum(each, axis=0)
    rarest = int(np.argmin(counts))
    if not 0 < counts[rarest] < RARE * counts.sum():
        return ""
    return (
        f"class {names[rarest]!r} is so rare ({counts[rarest]:,} of {counts.sum():,} labelled "
        "pixels) that it may not be found: label more of it"
    )
