"""Predict an image that need not fit into memory: see the plan, stop half-way, go on.

Run as `python examples/predict_large.py MODEL FOLDER [PIXELS]` with a model of one channel in 2-D.
The image is made chunk by chunk, PIXELS along each edge.
"""

import sys
from itertools import product
from pathlib import Path

import zarr

from napari_unet import open_model, predict
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.samples import touching_cells
from napari_unet.config import PredictConfig
from napari_unet.events import Finished, TileDone
from napari_unet.inference.plan import plan_prediction

CHUNK = 256


def main(model_folder: str, folder: Path, pixels: int) -> None:
    image, result = folder / "image.zarr", folder / "result.ome.zarr"
    draw(image, pixels)
    model = open_model(model_folder)
    config = PredictConfig(outputs=("classes", "probabilities"), tile=CHUNK, memory_gib=1)

    print(plan_prediction(model, open_picture(image, ndim=2), config))

    stream = predict(model, image, result, config)
    for event in stream:
        match event:
            case TileDone(done, total) if 2 * done >= total:
                print(f"stopped after {done} of {total} tiles")
                stream.close()  # what is written is kept

    for event in predict(model, image, result, config, resume=True):
        match event:
            case Finished(path, summary):
                print(f"computed the other {summary['computed']} tiles: {path}")
    print("share of foreground:", share_of_foreground(result, pixels))


def draw(path: Path, pixels: int) -> None:
    """Write cells, a chunk at a time."""
    image = zarr.create_array(
        store=path, shape=(pixels, pixels), chunks=(CHUNK, CHUNK), dtype="float32"
    )
    for y, x in product(range(0, pixels, CHUNK), repeat=2):
        window = (slice(y, min(y + CHUNK, pixels)), slice(x, min(x + CHUNK, pixels)))
        cells, _ = touching_cells((CHUNK, CHUNK), seed=y + x)
        image[window] = cells[: pixels - y, : pixels - x]


def share_of_foreground(result: Path, pixels: int) -> float:
    """Read the labels as any program may: row by row, never all of them."""
    classes = open_picture(result / "labels" / "classes", ndim=2, labels=True).data
    rows = range(0, pixels, CHUNK)
    return sum(int((classes[y : y + CHUNK] > 0).sum()) for y in rows) / pixels**2


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 2048)
