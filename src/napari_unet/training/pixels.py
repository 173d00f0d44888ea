"""The size of the pixels that a network learns from: one for all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.arrays.pixel_size import (
    BELIEVED,
    are_alike,
    are_believed,
    is_brought,
    known_size,
    size_in_words,
)
from napari_unet.arrays.resampled import Resampled, resampled_shape
from napari_unet.arrays.units import UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.arrays.axes import Picture, View
    from napari_unet.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a network is trained at.

    Parameters
    ----------
    spacing : tuple of float or None
        Size of a pixel along each axis of the network; None where it is not known.
    unit : str
        "µm", or empty where it is not known.
    nearest : bool
        Whether what is to be learned must not be blended: numbers of objects or classes, or
        values of which one means that nothing is known.
    resample : bool
        Whether images of another known size are brought to it.
    notes : tuple of str
        What the user should know.
    """

    spacing: tuple[float, ...] | None
    unit: str
    nearest: bool
    resample: bool
    notes: tuple[str, ...] = ()

    def bring(
        self, picture: Picture, image: View, truth: View
    ) -> tuple[View | Resampled, View | Resampled]:
        """Return a plane of a picture and what is to be learned of it, at the size of all."""
        ndim = len(image.shape) - 1
        size = known_size(picture, ndim) if self.resample else None
        if size is None or self.spacing is None or not is_brought(size, self.spacing):
            return image, truth
        shape = resampled_shape(image.shape[1:], size, self.spacing)
        return Resampled(image, shape), Resampled(truth, shape, nearest=self.nearest)


def choose_pixels(config: TrainConfig, images: Sequence[Picture]) -> Pixels:
    """Choose the size of the pixels to learn from.

    Parameters
    ----------
    config : TrainConfig
        `spacing`: a size in µm, "first" for that of the first image that tells it, or None.
    images : sequence of Picture
        At least one. Those that do not tell the size of their pixels are taken as they are.
    """
    ndim, labels = config.model.ndim, config.labels
    sizes = [known_size(image, ndim) for image in images]
    known = [size for size in sizes if size is not None]
    nearest = labels.kind != "regression" or labels.ignore is not None
    nearest |= labels.zero == "unlabelled"
    wanted = next(iter(known), None) if config.spacing == "first" else config.spacing
    if wanted is None or isinstance(wanted, str):
        spacing = (images[0].spacing or ())[-ndim:]
        given, unit = (spacing, images[0].unit) if len(spacing) == ndim else (None, "")
        return Pixels(given, unit, nearest, resample=False, notes=_tell_differences(known))
    notes = _tell([image.name for image in images], sizes, wanted)
    return Pixels(wanted, UNIT, nearest, resample=True, notes=notes)


def _tell_differences(known: Sequence[tuple[float, ...]]) -> tuple[str, ...]:
    """Warn of images that are learned at different sizes of pixels."""
    other = next((size for size in known if not are_alike(known[0], size)), None)
    if other is None:
        return ()
    words = size_in_words(known[0], other)
    return (f"the pixels of the images differ in size, {words}: they are taken as they are",)


def _tell(
    names: Sequence[str], sizes: Sequence[tuple[float, ...] | None], wanted: tuple[float, ...]
) -> tuple[str, ...]:
    """Say which images are resampled, and of which nothing is known."""
    notes, of = [], f"of {len(names)} images"
    each = list(zip(names, sizes, strict=True))
    others = [(name, size) for name, size in each if size and is_brought(size, wanted)]
    wrong = [(name, size) for name, size in each if size and not are_believed(size, wanted)]
    unknown = [name for name, size in each if size is None]
    if others:
        name, size = others[0]
        words = size_in_words(size, wanted)
        notes.append(
            f"{len(others)} {of} resampled to the pixels of the model: {name} from {words}"
        )
    if wrong:
        name, size = wrong[0]
        words = f"more than {BELIEVED} times as large or small as {size_in_words(wanted)}"
        notes.append(f"{len(wrong)} {of} as they are: {name} says {size_in_words(size)}, {words}")
    if unknown:
        words = f"taken to be of {size_in_words(wanted)}"
        notes.append(f"{len(unknown)} {of} without a known pixel size, {words}: {unknown[0]}")
    return tuple(notes)
