"""Results as a prediction writes them, without one."""

from __future__ import annotations

from itertools import product

import numpy as np

from napari_unet.inference.outputs import Outputs

CLASSES = [
    {"value": 0, "name": "background", "colour": "#00000000"},
    {"value": 7, "name": "cell", "colour": "#e69f00"},
]
ATTRS = {"axes": "YX", "spacing": [0.5, 0.4], "offset": [10, 20], "classes": CLASSES}
LABELS = (np.random.default_rng(0).random((1200, 700)) > 0.5).astype(np.uint8) * 7
SHARES = np.random.default_rng(1).random((2, 1200, 700)).astype(np.float32)


def fill(outputs, name, values, attrs=ATTRS, cell=(256, 256), ndim=2):
    """Write an array tile by tile, as a prediction does."""
    array = outputs.create(name, values.shape, values.dtype, ndim, attrs, cell)
    lead = values.ndim - ndim
    starts = (range(0, n, edge) for n, edge in zip(values.shape[lead:], cell, strict=True))
    for corner in product(*starts):
        window = tuple(slice(c, c + edge) for c, edge in zip(corner, cell, strict=True))
        array[(*(slice(None),) * lead, *window)] = values[(..., *window)]
    return array


def write_both(path, names=("classes", "probabilities"), **options):
    outputs = Outputs(path, names, **options)
    fill(outputs, "classes", LABELS)
    fill(outputs, "probabilities", SHARES, ATTRS | {"axes": "KYX"})
    return outputs
