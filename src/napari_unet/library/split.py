"""What of the training images is held out to validate, as a card keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from napari_unet.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AS_BEFORE = "what the parent held out of these images is held out again"


class HeldBox(Config):
    """A box of pixels that validates: of one pair, at one position of its leading axes."""

    pair: int = Field(ge=0, description="Which pair of image and labels, from 0.")
    lead: tuple[int, ...] = Field((), description="Position on the axes that are looped over.")
    start: tuple[int, ...] = Field(description="First pixel along each axis of space.")
    stop: tuple[int, ...] = Field(description="The pixel after the last, along each axis.")
    gap: tuple[int, ...] = Field(description="Pixels around it, by axis, that are not learned.")
    scale: tuple[float, ...] = Field(
        (), description="Pixels of the image per pixel of the box, along each axis; () is 1."
    )
    image: str = Field("", description="Digest of the image, by which it is found again.")

    @property
    def window(self) -> tuple[slice, ...]:
        """The box as slices of an array (*S)."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))


class SplitCard(Config):
    """The boxes that are held out; whole images are boxes as large as they are."""

    words: str = Field(description="One sentence for the user.")
    boxes: tuple[HeldBox, ...] = ()


def widened(window: Sequence[slice], by: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return a window of an array of `shape` (*S), wider by so many pixels on every side."""
    return tuple(
        slice(max(w.start - g, 0), min(w.stop + g, n))
        for w, g, n in zip(window, by, shape, strict=True)
    )


def sign(split: SplitCard, images: Mapping[tuple[int, tuple[int, ...]], str]) -> SplitCard:
    """Write the digest of its image, by pair and lead, into each box."""
    signed = (
        box.model_copy(update={"image": images.get((box.pair, box.lead), box.image)})
        for box in split.boxes
    )
    return split.model_copy(update={"boxes": tuple(signed)})


def place_boxes(split: SplitCard, images: Mapping[tuple[int, tuple[int, ...]], str]) -> SplitCard:
    """Return the boxes at the places that their images have now; those of no image here stay.

    Parameters
    ----------
    split : SplitCard
        Of a run that began with other pairs, or with these in another order.
    images : mapping
        The digest of each image, by pair and lead.
    """
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    for place, image in images.items():
        places.setdefault(image, place)
    moved = []
    for box in split.boxes:
        here = box.pair, box.lead
        if images.get(here) != box.image:  # an image that is there twice stays as well
            here = places.get(box.image, here)
        moved.append(box.model_copy(update={"pair": here[0], "lead": here[1]}))
    return split.model_copy(update={"boxes": tuple(moved)})


def follow_images(
    split: SplitCard, images: Mapping[tuple[int, tuple[int, ...]], str]
) -> SplitCard | None:
    """Return the boxes of those images that are here, at their places now; None without any.

    Parameters are those of `place_boxes`.
    """
    here = set(images.values())
    boxes = tuple(box for box in place_boxes(split, images).boxes if box.image in here)
    return SplitCard(words=AS_BEFORE, boxes=boxes) if boxes else None
