"""Draw docs/images/instances.png: connected regions, their depth, and the objects.

    python docs/scripts/instances.py

The objects are those of `label_instances`; lines show where its blocks meet.
"""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_unet.arrays.samples import touching_cells
from napari_unet.config import InstanceConfig
from napari_unet.inference.instances import label_instances

PICTURE = Path(__file__).resolve().parents[1] / "images/instances.png"
SIZE, BLOCK, ZOOM = 128, 64, 3
COLOURS = np.array(  # red, green, blue
    [(76, 120, 168), (245, 133, 24), (84, 162, 75), (228, 87, 86), (114, 183, 178), (238, 202, 59)]
)


def find(classes: np.ndarray, *, split: bool) -> np.ndarray:
    """Number the objects as the program does, in blocks."""
    numbers = np.zeros(classes.shape, np.uint32)
    config = InstanceConfig(split=split)
    for _ in label_instances(classes, numbers, config, block=(BLOCK, BLOCK), memory_bytes=2**28):
        pass
    return numbers


def paint(numbers: np.ndarray) -> np.ndarray:
    """Give every object a colour, and draw the borders of the blocks: (Y, X, 3) in 0 to 255."""
    large = np.kron(numbers, np.ones((ZOOM, ZOOM), np.intp))
    picture = np.where(large[..., None] > 0, COLOURS[large % len(COLOURS)], 255)
    picture[BLOCK * ZOOM] = picture[:, BLOCK * ZOOM] = 150
    return picture


def main() -> None:
    """Draw the three panels side by side."""
    _, labels = touching_cells((SIZE, SIZE), seed=3)
    classes = (labels > 0).astype(np.uint8)
    depth = np.kron(distance_transform_edt(classes), np.ones((ZOOM, ZOOM)))
    grey = np.repeat(255 - 255 * (depth / depth.max())[..., None], 3, axis=-1)
    gap = np.full((SIZE * ZOOM, 12, 3), 255)
    regions, objects = paint(find(classes, split=False)), paint(find(classes, split=True))
    row = np.concatenate([regions, gap, grey, gap, objects], axis=1)
    imageio.imwrite(PICTURE, row.round().astype(np.uint8))


if __name__ == "__main__":
    main()
