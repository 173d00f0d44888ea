"""Parting sources by boxes: what validates, what is learned, and the gap between them.

A pixel of the held-out boxes validates. One that is nearer to a box than the gap is neither
learned nor scored; all others are learned. With a gap as wide as the margin of the network, no
pixel that is scored is seen by what is learned, nor the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.config import InputError
from napari_unet.library.split import widened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.library.split import HeldBox, SplitCard
    from napari_unet.tiling import Geometry, Window
    from napari_unet.training.augment import Source


@dataclass(frozen=True, slots=True)
class Split:
    """What is trained on, what validates, and the boxes that say so."""

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    card: SplitCard


def part(sources: Sequence[Source], card: SplitCard, geometry: Geometry) -> Split:
    """Part sources by the boxes of a card.

    Parameters
    ----------
    sources : sequence of Source
        Whole images, each with labelled pixels.
    card : SplitCard
        The boxes, in pixels of the images, and the gap around them.
    geometry : Geometry
        Of the network: a source that validates keeps as much context around its box.

    Returns
    -------
    Split
        Sources that are learned are whole images, whose held-out pixels weigh nothing. Those that
        validate are windows of the images, in which only the pixels of the box weigh something.

    Raises
    ------
    InputError
        U118 when a box lies outside its image; U105 when no labelled pixel is left to learn from.
    """
    _check_boxes(sources, card)
    train: list[Source] = []
    validation: list[Source] = []
    for source in sources:
        boxes = [box for box in card.boxes if (box.pair, box.lead) == (source.pair, source.lead)]
        learned = replace(source, weights=_outside(source, boxes)) if boxes else source
        if learned.weights.any():
            train.append(learned)
        validation += _windows(source, boxes, geometry)
    if not train:
        raise InputError(
            "U105",
            "no pixel is labelled outside the area that is held out",
            "label pixels elsewhere, or begin a new model",
        )
    return Split(tuple(train), tuple(validation), card)


def _check_boxes(sources: Sequence[Source], card: SplitCard) -> None:
    shapes = {s.pair: s.weights.shape for s in sources}
    for box in card.boxes:
        shape = shapes.get(box.pair, box.stop)  # an image may have lost its labels
        if len(shape) != len(box.stop) or any(b > n for b, n in zip(box.stop, shape, strict=True)):
            raise InputError(
                "U118",
                f"pixels {box.start} to {box.stop} of image {box.pair + 1} are held out, "
                f"which has {shape}",
                "give the images that the model was trained on, or train a new one",
            )


def _outside(source: Source, boxes: Sequence[HeldBox]) -> NDArray[np.float32]:
    """Return the weights of a source: 0 in its boxes and nearer to them than their gap."""
    weights = source.weights.copy()
    for box in boxes:
        weights[widened(box.window, box.gap, weights.shape)] = 0
    return weights


def _windows(source: Source, boxes: Sequence[HeldBox], geometry: Geometry) -> Iterator[Source]:
    """Cut the boxes out of a source, with context around them; a pixel is in one of them only."""
    left = source.weights.copy() if boxes else source.weights
    for box in boxes:
        scored = np.zeros_like(left)
        scored[box.window] = left[box.window]
        left[box.window] = 0
        if scored.any():
            window = _with_context(box.window, scored.shape, geometry)
            yield replace(
                source,
                image=source.image[(slice(None), *window)],
                truth=source.truth[(slice(None),) * source.has_values + window],
                weights=scored[window].copy(),
                start=tuple(w.start for w in window),
            )


def _with_context(window: Window, shape: Sequence[int], geometry: Geometry) -> Window:
    """Widen a window by what its tiles read, from a multiple of the step on."""
    aligned = tuple(
        slice(w.start // step * step, w.stop) for w, step in zip(window, geometry.step, strict=True)
    )
    reach = [
        -(-max(margin, context) // step) * step + step
        for margin, context, step in zip(
            geometry.margin, geometry.context, geometry.step, strict=True
        )
    ]
    return widened(aligned, reach, shape)
