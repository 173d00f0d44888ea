"""What a training can be asked between two steps, and what it is told; sent into its generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.arrays.axes import Picture
    from napari_unet.training.pairs import Pair


@dataclass(frozen=True, slots=True)
class View:
    """Show what the network makes of an image around a point, now and after each validation.

    Parameters
    ----------
    picture : Picture
        Any image like those of the training.
    point : sequence of float
        Leading axes, then pixels.
    out : str
        A folder; each answer is a new zarr group in it.
    pair : int
        The number of the image among those of the training; -1 for another one.
    """

    picture: Picture
    point: Sequence[float]
    out: str
    pair: int = -1


@dataclass(frozen=True, slots=True)
class Losses:
    """Show how wrong each held-out pixel is (of the training images where nothing is held out)."""

    out: str


@dataclass(frozen=True, slots=True)
class Doubts:
    """Find the places of these images where the network is least sure."""

    pictures: Sequence[Picture]
    count: int = 8


@dataclass(frozen=True, slots=True)
class Correction:
    """Go on with other labels of the same images: same network, same optimiser, same split."""

    pairs: Sequence[Pair]


Question = View | Losses | Doubts | Correction
