"""An image whose pixels have another size than those the model was trained at.

The network sees the image at the size it knows; what it tells is brought back to the pixels of the
image tile by tile: logits are blended, and classes, probabilities and all else follow from them, as
in nnU-Net (Isensee et al. 2021). So regions, tiles and results are in pixels of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.axes import spatial_shape
from napari_unet.arrays.pixel_size import (
    BELIEVED,
    are_alike,
    is_brought,
    known_size,
    size_in_words,
)
from napari_unet.arrays.resampled import Resampled, needed, resample, resampled_shape
from napari_unet.arrays.units import UNIT
from napari_unet.models.geometry import gate_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.config import PredictConfig
    from napari_unet.library.card import Card
    from napari_unet.tiling import Window


@dataclass(frozen=True, slots=True)
class Zoom:
    """How the pixels of an image and those that the network sees lie on each other.

    Parameters
    ----------
    image : tuple of int
        Spatial shape (*S) of the image.
    model : tuple of int
        The same as the network sees it.
    strides : tuple of tuple of int
        Pixels per cell of each attention gate whose map comes back, too.
    note : str
        What the user should know, with the numbers; empty where there is nothing.
    """

    image: tuple[int, ...]
    model: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...] = ()
    note: str = ""

    @property
    def plain(self) -> bool:
        """Whether the network sees the image as it is."""
        return self.image == self.model

    @property
    def scale(self) -> tuple[float, ...]:
        """Pixels that the network sees per pixel of the image, along each axis."""
        return tuple(m / n for m, n in zip(self.model, self.image, strict=True))

    def view(self, view: View) -> View | Resampled:
        """Return a plane of the image as the network sees it; nothing is read."""
        return view if self.plain else Resampled(view, self.model)

    def seen(self, window: Window) -> Window:
        """Return the pixels that have to be predicted for a window of the image."""
        if self.plain:
            return window
        found = needed(window, self.scale, self.model)
        for stride in self.strides:
            counts = [-(-m // n) for m, n in zip(self.model, stride, strict=True)]
            cells = needed(_cells(window, stride), self.scale, counts)
            each = zip(found, cells, stride, self.model, strict=True)
            found = tuple(
                slice(min(f.start, c.start * n), max(f.stop, min(c.stop * n, m)))
                for f, c, n, m in each
            )
        return found

    def back(
        self, told: NDArray[Any], window: Window, stride: Sequence[int] | None = None
    ) -> NDArray[Any]:
        """Bring what was predicted for a window back to the pixels of the image.

        Parameters
        ----------
        told : float32 array, (K, *seen)
            A map of the pixels `seen(window)`, or of all cells that these touch.
        window : tuple of slice
            Pixels of the image.
        stride : sequence of int, optional
            Pixels per cell of the map.

        Returns
        -------
        float32 array, (K, *window)
            Or (K, *cells) with all cells that the window touches.
        """
        if self.plain:
            return told
        stride = stride or (1,) * len(window)
        firsts = (w.start // n for w, n in zip(self.seen(window), stride, strict=True))
        at = tuple(slice(k, k + n) for k, n in zip(firsts, told.shape[1:], strict=True))
        return resample(told, at, _cells(window, stride), self.scale)


def choose_zoom(card: Card, picture: Picture, config: PredictConfig) -> Zoom:
    """Choose at which size of pixels the network sees an image.

    It is that of the model where both are known in µm, differ by more than 5 % and by less than
    10 times, and `config.resample` allows it; else that of the image.
    """
    ndim = card.model.ndim
    image = spatial_shape(picture, ndim)
    here, there = known_size(picture, ndim), card.spacing
    if there is None or len(there) != ndim:
        return Zoom(image, image)
    if card.unit != UNIT:
        return Zoom(image, image, note=_tell_numbers(card, picture, ndim))
    if here is None:
        words = size_in_words(there)
        return Zoom(image, image, note=f"pixels of a size not known (the model's: {words})")
    if not (config.resample and is_brought(here, there)):
        return Zoom(image, image, note=_tell_kept(here, there, resample=config.resample))
    words = size_in_words(here, there)
    model = resampled_shape(image, here, there)
    strides = gate_strides(card.model).values() if "attention" in config.outputs else ()
    return Zoom(image, model, tuple(strides), f"resampled from {words}")


def _tell_kept(here: Sequence[float], there: Sequence[float], *, resample: bool) -> str:
    """Say why an image is left as it is, where its pixels differ from those of the model."""
    if are_alike(here, there):
        return ""
    why = f"more than {BELIEVED} times, is the file right?" if resample else "resample is off"
    return f"not resampled from {size_in_words(here, there)}: {why}"


def _tell_numbers(card: Card, picture: Picture, ndim: int) -> str:
    """Warn of pixel sizes that differ, in a unit that nobody named."""
    here, there = (picture.spacing or ())[-ndim:], card.spacing or ()
    if picture.unit or len(here) != ndim or are_alike(here, there):
        return ""
    return f"not resampled from {size_in_words(here, there, unit='')}: in no known unit"


def _cells(window: Window, stride: Sequence[int]) -> Window:
    """Return all cells of some pixels that a window touches."""
    return tuple(slice(w.start // n, -(-w.stop // n)) for w, n in zip(window, stride, strict=True))
