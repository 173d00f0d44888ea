"""Where to look next: patches that find labelled pixels of every class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.training.augment import Patch, Source, draw_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.config import AugmentConfig

KEPT_PLACES = 2**17  # per image and class; more would not change the odds


class Sampler:
    """Draws patches whose centres are labelled: some by area, some class by class.

    The sampler has no state that moves: `rng` decides everything, so a run that goes on after
    a stop sees the patches it would have seen.

    Parameters
    ----------
    sources : sequence of Source
        The training images.
    sizes : pair of tuples of int
        Sizes of the image patch and of its labelled centre (see `draw_patch`).
    by_class : float
        Share of the patches that are drawn class by class, 0 to 1. Values have no classes: all
        their labelled pixels are alike.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sizes: tuple[tuple[int, ...], tuple[int, ...]],
        by_class: float = 0.5,
    ) -> None:
        self.sources = sources
        self.sizes = sizes
        self.by_class = by_class
        self._places: list[tuple[int, NDArray[np.intp]]] = []  # (source, flat indices)
        classes, counts = [], []
        for number, source in enumerate(sources):
            for value, places in _labelled_places(source, np.random.default_rng(number)):
                self._places.append((number, places[:KEPT_PLACES]))
                classes.append(value)
                counts.append(source.share * len(places))
        area = np.asarray(counts, float)
        index = np.asarray(classes)
        even = area / np.bincount(index, weights=area)[index]
        self._by_area = area / area.sum()
        self._by_class = even / even.sum()

    def draw(self, config: AugmentConfig | None, rng: np.random.Generator) -> Patch:
        """Draw one patch."""
        odds = self._by_class if rng.random() < self.by_class else self._by_area
        number, places = self._places[rng.choice(len(odds), p=odds)]
        source = self.sources[number]
        centre = np.unravel_index(rng.choice(places), source.weights.shape)
        return draw_patch(source, [int(c) for c in centre], self.sizes, config, rng)

    def batch(
        self, count: int, config: AugmentConfig | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float32]]:
        """Draw image (B, C, *S), truth (B, ...) and weights (B, *S') of `count` patches."""
        patches = [self.draw(config, rng) for _ in range(count)]
        return (
            np.stack([p.image for p in patches]),
            np.stack([p.truth for p in patches]),
            np.stack([p.weights for p in patches]),
        )


def _labelled_places(
    source: Source, rng: np.random.Generator
) -> list[tuple[int, NDArray[np.intp]]]:
    """List `(class, shuffled flat indices of its labelled pixels)` for the classes present."""
    labelled = source.weights > 0
    if source.has_values:
        return [(0, rng.permutation(np.flatnonzero(labelled)))]
    found = []
    for value in np.unique(source.truth[labelled]):
        places = np.flatnonzero(labelled & (source.truth == value))
        found.append((int(value), rng.permutation(places)))
    return found
