"""Of what too little is drawn is told with its counts, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.library.card import ClassCard
from napari_unet.training.augment import Source
from napari_unet.training.scarcity import tell_scarce

CLASSES = (ClassCard(name="ground", value=1), ClassCard(name="wall", value=3))


def drawn(*lengths: int) -> Source:
    """Draw strokes of class 1, each of so many pixels, on plenty of class 0."""
    truth = np.zeros((60, 400), np.uint16)
    for row, n in enumerate(lengths):
        truth[2 * row, :n] = 1
    return Source(np.zeros((1, 60, 400), np.float32), truth, np.ones(truth.shape, np.float32), "")


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [
        ((57,), "57 labelled pixels in 1 place"),
        ((20, 30), "50 labelled pixels in 2 places"),
        ((300,), "300 labelled pixels in 1 place"),
        ((300, 300), None),
        ((), None),
    ],
)
def test_a_class_with_too_little_is_told(lengths: tuple[int, ...], counts: str | None) -> None:
    expected = (f"class 'wall' (value 3): {counts}; draw more",) if counts else ()
    assert tell_scarce([drawn(*lengths)], CLASSES) == expected


def test_images_are_counted_together_and_ignored_pixels_not() -> None:
    one, other = drawn(20), drawn(30)
    other.weights[0, 10:] = 0
    (note,) = tell_scarce([one, other], CLASSES)
    assert "30 labelled pixels in 2 places" in note
