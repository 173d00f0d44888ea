"""Classes of which too little is drawn to learn them, told with their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.targets.numbering import number_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.library.card import ClassCard
    from napari_unet.training.augment import Source

FEW = 100  # labelled pixels
FEW_IN_ONE_PLACE = 1000  # labelled pixels


def tell_scarce(sources: Sequence[Source], classes: Sequence[ClassCard]) -> tuple[str, ...]:
    """Warn of each class that has few labelled pixels, or not many and all in one place.

    Parameters
    ----------
    sources : sequence of Source
        Images with class indices.
    classes : sequence of ClassCard
        One for each index.
    """
    notes = []
    for index, known in enumerate(classes):
        drawn = [(s.truth == index) & (s.weights > 0) for s in sources]
        n = sum(int(np.count_nonzero(mask)) for mask in drawn)
        if not 0 < n < FEW_IN_ONE_PLACE:
            continue
        n_places = sum(int(number_regions(mask).max()) for mask in drawn if mask.any())
        if n < FEW or n_places == 1:
            where = "1 place" if n_places == 1 else f"{n_places} places"
            what = f"class {known.name!r} (value {known.value}): {n:,} labelled pixels in {where}"
            notes.append(f"{what}; draw more")
    return tuple(notes)
