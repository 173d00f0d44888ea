"""Where to look next: patches that find labelled pixels of every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.training.patches import draw_patches, move_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.config import AugmentConfig
    from napari_unet.training.augment import Source
    from napari_unet.training.patches import Batch

CPU = torch.device("cpu")
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
        Sizes of the image patch and of its labelled centre (see `draw_patches`).
    by_class : float
        Share of the patches that are drawn class by class, 0 to 1. Values have no classes: all
        their labelled pixels are alike.
    device : torch.device
        Where patches are computed, and left.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sizes: tuple[tuple[int, ...], tuple[int, ...]],
        by_class: float = 0.5,
        device: torch.device = CPU,
    ) -> None:
        self.sources = sources
        self.device = device
        self._material = move_in(sources, device)
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

    def batch(self, count: int, config: AugmentConfig | None, rng: np.random.Generator) -> Batch:
        """Draw `count` patches, varied as `config` says (None: as they are)."""
        drawn = [self._draw_place(rng) for _ in range(count)]
        places = [(self._material[number], centre) for number, centre in drawn]
        return draw_patches(places, self.sizes, config, rng, self.device)

    def _draw_place(self, rng: np.random.Generator) -> tuple[int, tuple[int, ...]]:
        """Draw a source, by its number, and one of its labelled pixels."""
        odds = self._by_class if rng.random() < self.by_class else self._by_area
        number, places = self._places[rng.choice(len(odds), p=odds)]
        shape = self.sources[number].weights.shape
        return number, tuple(int(c) for c in np.unravel_index(rng.choice(places), shape))


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
