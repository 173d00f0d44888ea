"""What is drawn as held out is what the card says, where the image is."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Shapes

from napari_unet.library.split import HeldBox, SplitCard
from napari_unet.ui.split_shapes import split_layer


def card(*boxes: HeldBox) -> dict[str, object]:
    return SplitCard(words="", boxes=boxes).model_dump(mode="json")


def test_a_box_and_its_gap_stand_on_the_image() -> None:
    image = Image(np.zeros((4, 60, 80)), scale=[1.0, 0.5, 0.5], translate=[0, 7, 9], name="cells")
    box = HeldBox(pair=1, lead=(2,), start=(0, 50), stop=(60, 80), gap=(8, 8))
    made = split_layer(image, "TYX", 2, card(box), pair=1)
    assert made is not None
    corners, meta, kind = made
    assert kind == "shapes"
    shapes = Shapes(corners, **meta)
    np.testing.assert_array_equal(shapes.translate, image.translate)
    held, gap = corners
    assert (held.min(0).tolist(), held.max(0).tolist()) == ([2, -0.5, 49.5], [2, 59.5, 79.5])
    assert (gap.min(0).tolist(), gap.max(0).tolist()) == ([2, -0.5, 41.5], [2, 59.5, 79.5])
    assert shapes.features["what"].tolist() == ["held out", "gap"]
    assert split_layer(image, "TYX", 2, card(box), pair=0) is None


@pytest.mark.parametrize(("axes", "ndim", "shape"), [("X", 1, (90,)), ("ZYX", 3, (9, 20, 30))])
def test_signals_get_lines_and_volumes_a_rectangle_in_each_plane(axes, ndim, shape) -> None:
    start = tuple(n // 3 for n in shape)
    box = HeldBox(pair=0, start=start, stop=shape, gap=(2,) * ndim)
    image = Image(np.zeros(shape)) if ndim > 1 else Image(np.zeros((1, *shape)))
    made = split_layer(
        image,
        axes if ndim > 1 else "TX",
        ndim,
        card(box if ndim > 1 else box.model_copy(update={"lead": (0,)})),
    )
    assert made is not None
    Shapes(made[0], **made[1])
    planes = 1 if ndim == 1 else shape[0] - start[0]
    assert made[1]["features"]["what"].count("held out") == planes


def test_a_whole_image_has_no_gap() -> None:
    whole = HeldBox(pair=0, start=(0, 0), stop=(9, 9), gap=(0, 0))
    made = split_layer(Image(np.zeros((9, 9))), "YX", 2, card(whole))
    assert made is not None
    assert len(made[0]) == 1
